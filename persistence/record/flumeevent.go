package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Flume event as one value is Avro's binary form of
//
//	record AvroFlumeEvent { map<string> headers; bytes body; }
//
// without a container (flume-ng-sdk's AvroFlumeEvent; the encoding is that of
// the Avro specification 1.11: zig-zag varints, a map in blocks that end with
// an empty one). Flume's Kafka channel, source and sink write and read it.

var errFlumeEvent = errors.New("no Flume event in Avro's form")

// AppendFlumeEvent appends record i of s as a Flume event.
func (s *Slab) AppendFlumeEvent(dst []byte, i int) []byte {
	n := 0
	for range s.Headers(i) {
		n++
	}
	if n > 0 {
		dst = binary.AppendVarint(dst, int64(n))
		for k, v := range s.Headers(i) {
			dst = append(binary.AppendVarint(dst, int64(len(k))), k...)
			dst = append(binary.AppendVarint(dst, int64(len(v))), v...)
		}
	}
	body := s.Body(i)
	dst = append(dst, 0) // the end of the map
	return append(binary.AppendVarint(dst, int64(len(body))), body...)
}

// AddFlumeEvent adds the Flume event that value is, and answers the number of
// its record. Of an error nothing is left in s.
func (s *Slab) AddFlumeEvent(value []byte) (i int, err error) {
	r := avroReader{b: value}
	headers := r.b
	r.headers(nil)
	body := r.bytes()
	switch {
	case r.err != nil:
		return 0, r.err
	case len(r.b) > 0:
		return 0, fmt.Errorf("%w: %d bytes behind it", errFlumeEvent, len(r.b))
	}
	s.Append(body)
	i = s.Len() - 1
	again := avroReader{b: headers}
	again.headers(func(k, v []byte) { s.SetHeader(i, string(k), v) })
	return i, nil
}

type avroReader struct {
	b   []byte
	err error
}

func (r *avroReader) long() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("a number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *avroReader) bytes() []byte {
	n := r.long()
	if r.err != nil || n < 0 || n > int64(len(r.b)) {
		r.fail("a length")
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *avroReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s is wrong %d bytes before its end", errFlumeEvent, what, len(r.b))
	}
	r.b = nil
}

// headers reads the map and gives its pairs to fn.
func (r *avroReader) headers(fn func(k, v []byte)) {
	for r.err == nil {
		n := r.long()
		if n == 0 {
			return
		}
		if n < 0 { // a count that is followed by the size of the block
			n = -n
			r.long()
		}
		if n < 0 || n > int64(len(r.b)) {
			r.fail("the number of headers")
			return
		}
		for ; n > 0 && r.err == nil; n-- {
			k := r.bytes()
			v := r.bytes()
			if fn != nil && r.err == nil {
				fn(k, v)
			}
		}
	}
}
