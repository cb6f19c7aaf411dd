package source

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/persistence/record"
)

const (
	// jsonDepthMax bounds how deep values that are skipped may nest.
	jsonDepthMax = 100
	// jsonHeadersMax bounds the headers of one record.
	jsonHeadersMax = 1000
	// namesMax bounds the header names that are remembered.
	namesMax = 1000
)

// errNullEvent says that there is null where an event should be. Flume answers
// it as a fault of its own, status 500.
var errNullEvent = errors.New("null is no event")

// jsonEvents reads [{"headers":{…},"body":"…"}] from the buffer of a slab and
// marks bodies and headers where they lie: escapes are resolved in place, so
// nothing is copied. It takes what Gson takes: comments, single quotes, names
// and texts without quotes, = for a colon, ; for a comma.
type jsonEvents struct {
	slab    *record.Slab
	b       []byte // the slab's buffer, which does not move meanwhile
	at      int
	names   map[string]string
	headers []jsonHeader // of the event being read
}

type jsonHeader struct {
	name       string
	start, end int
}

// parse reads the text at [start, end) of slab's buffer. On an error the slab
// holds some of the events.
func (j *jsonEvents) parse(slab *record.Slab, start, end int) error {
	j.slab, j.b, j.at = slab, slab.Buffer()[:end], start
	defer func() { j.slab, j.b = nil, nil }()
	j.skip("\ufeff")
	if len(j.names) > namesMax || j.names == nil {
		j.names = map[string]string{}
	}
	switch c := j.next(); {
	case c == 0:
		return fmt.Errorf("%w: there is nothing", errNullEvent)
	case c != '[':
		if j.literalIs("null") {
			return errNullEvent
		}
		return j.errorf("an array of events begins with [")
	}
	j.at++
	if j.next() == ']' {
		j.at++
		return j.finish()
	}
	for {
		if err := j.event(); err != nil {
			return err
		}
		switch j.next() {
		case ',', ';':
			j.at++
		case ']':
			j.at++
			return j.finish()
		default:
			return j.errorf("after an event comes , or ]")
		}
	}
}

func (j *jsonEvents) finish() error {
	if j.next() != 0 {
		return j.errorf("nothing may follow the array")
	}
	return nil
}

func (j *jsonEvents) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", j.at, fmt.Sprintf(format, args...))
}

// next skips white space and comments and answers the character there, 0 at the
// end.
func (j *jsonEvents) next() byte {
	for j.at < len(j.b) {
		switch c := j.b[j.at]; c {
		case ' ', '\t', '\r', '\n':
			j.at++
		case '#':
			j.skipLine()
		case '/':
			switch {
			case bytes.HasPrefix(j.b[j.at:], []byte("//")):
				j.skipLine()
			case bytes.HasPrefix(j.b[j.at:], []byte("/*")):
				end := bytes.Index(j.b[j.at+2:], []byte("*/"))
				if end < 0 {
					return c // no comment, and nothing else either
				}
				j.at += 2 + end + 2
			default:
				return c
			}
		case 0:
			return ' ' // a NUL is text, not the end
		default:
			return c
		}
	}
	return 0
}

func (j *jsonEvents) skipLine() {
	for j.at < len(j.b) && j.b[j.at] != '\n' && j.b[j.at] != '\r' {
		j.at++
	}
}

func (j *jsonEvents) skip(prefix string) {
	if bytes.HasPrefix(j.b[j.at:], []byte(prefix)) {
		j.at += len(prefix)
	}
}

// literalIs takes word if it stands here without quotes.
func (j *jsonEvents) literalIs(word string) bool {
	if !bytes.HasPrefix(j.b[j.at:], []byte(word)) {
		return false
	}
	if end := j.at + len(word); end == len(j.b) || endsLiteral(j.b[end]) {
		j.at = end
		return true
	}
	return false
}

func endsLiteral(c byte) bool {
	switch c {
	case '/', '\\', ';', '#', '=', '{', '}', '[', ']', ':', ',', ' ', '\t', '\f', '\r', '\n':
		return true
	}
	return false
}

// event reads one element of the array.
func (j *jsonEvents) event() error {
	if j.next() != '{' {
		if j.literalIs("null") {
			return errNullEvent
		}
		return j.errorf("an event begins with {")
	}
	body := piece{}
	j.headers = j.headers[:0]
	err := j.object(func(name []byte) error {
		var err error
		switch string(name) {
		case "headers":
			j.headers = j.headers[:0]
			err = j.readHeaders()
		case "body":
			if body, err = j.text(); !body.there() {
				body = piece{}
			}
		default:
			err = j.skipValue(0)
		}
		return err
	})
	if err != nil {
		return err
	}
	i := j.slab.Len()
	j.slab.Mark(body.start, body.end)
	for _, h := range j.headers {
		j.slab.MarkHeader(i, h.name, h.start, h.end)
	}
	return nil
}

// object reads { name : value , … }, the values by member.
func (j *jsonEvents) object(member func(name []byte) error) error {
	j.at++
	if j.next() == '}' {
		j.at++
		return nil
	}
	for {
		j.next()
		name, err := j.text()
		if err != nil {
			return err
		}
		if !name.there() {
			name = piece{j.at - len("null"), j.at} // null as a name
		}
		switch j.next() {
		case ':':
			j.at++
		case '=':
			j.at++
			j.skip(">")
		default:
			return j.errorf("after a name comes a colon")
		}
		j.next()
		if err = member(j.b[name.start:name.end]); err != nil {
			return err
		}
		switch j.next() {
		case ',', ';':
			j.at++
		case '}':
			j.at++
			return nil
		default:
			return j.errorf("after a value comes , or }")
		}
	}
}

func (j *jsonEvents) readHeaders() error {
	if j.literalIs("null") {
		return nil
	}
	if j.at >= len(j.b) || j.b[j.at] != '{' {
		return j.errorf("headers are an object")
	}
	return j.object(func(name []byte) error {
		value, err := j.text()
		if err != nil || !value.there() {
			return err // a header without value cannot be kept
		}
		key := j.name(name)
		for _, h := range j.headers {
			if h.name == key {
				return j.errorf("header %q comes twice", key)
			}
		}
		if len(j.headers) == jsonHeadersMax {
			return j.errorf("an event has more than %d headers", jsonHeadersMax)
		}
		j.headers = append(j.headers, jsonHeader{key, value.start, value.end})
		return nil
	})
}

// name is b as a string, the same one each time.
func (j *jsonEvents) name(b []byte) string {
	name, known := j.names[string(b)]
	if !known {
		name = string(b)
		j.names[name] = name
	}
	return name
}

// skipValue skips a value of any form.
func (j *jsonEvents) skipValue(depth int) error {
	if depth > jsonDepthMax {
		return j.errorf("nested deeper than %d", jsonDepthMax)
	}
	if j.at < len(j.b) && j.b[j.at] == '{' {
		return j.object(func([]byte) error { return j.skipValue(depth + 1) })
	}
	if j.at >= len(j.b) || j.b[j.at] != '[' {
		_, err := j.text()
		return err
	}
	j.at++
	for {
		switch j.next() {
		case ']':
			j.at++
			return nil
		case ',', ';':
			j.at++
		case 0:
			return j.errorf("the array is not closed")
		default:
			if err := j.skipValue(depth + 1); err != nil {
				return err
			}
		}
	}
}
