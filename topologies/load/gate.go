package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	goccy "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"go.yaml.in/yaml/v3"
)

// The bounds of a YAML file. Parsers need memory in proportion to the square of
// the depth, so the depth is looked at before any of them sees the text.
const (
	yamlMax   = 1 << 20 // bytes
	depthMax  = 64
	valuesMax = 100_000 // with those that aliases repeat
	// openersMax bounds what is shown to the parser that only makes messages.
	openersMax = 500
)

// refusal is why a YAML text is not read, with its place.
type refusal struct {
	code         string
	line, column int // column in runes, 0 unknown
	why          string
}

// parseYAML is the one document of text. What it may cost is bounded.
func parseYAML(text []byte) (*yaml.Node, *refusal) {
	if len(text) > yamlMax {
		return nil, &refusal{"SL0152", 0, 0, fmt.Sprintf("the file is larger than %d MiB", yamlMax>>20)}
	}
	if line, ok := tooDeep(text); ok {
		return nil, &refusal{"SL0152", line, 0, fmt.Sprintf("the file is more than %d levels deep", depthMax)}
	}
	root, second, err := decode(text)
	if err != nil {
		return nil, syntaxError(text, err)
	}
	if second != nil {
		return nil, &refusal{"SL0150", second.Line, second.Column, "the file holds more than one document"}
	}
	if root == nil || len(root.Content) == 0 {
		return nil, &refusal{"SL0150", 1, 0, "the file is empty"}
	}
	return root.Content[0], nil
}

// decode reads the first document and, where there is one, a second. A panic of
// the parser is an error: the text is a stranger's.
func decode(text []byte) (first, second *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	first = &yaml.Node{}
	if err := d.Decode(first); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	second = &yaml.Node{}
	if err := d.Decode(second); errors.Is(err, io.EOF) {
		return first, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if len(second.Content) > 0 && second.Content[0].Tag == "!!null" {
		return first, nil, nil // a last "---" with nothing behind it
	}
	return first, second, nil
}

// tooDeep looks, without parsing, for nesting that no topology has, and says in
// which line. It knows nothing of quotes, so a text may be taken for deeper than
// it is, but only by brackets that are opened and never closed.
func tooDeep(text []byte) (int, bool) {
	depth, line := 0, 0
	var indents []int
	for row := range bytes.Lines(text) {
		line++
		trimmed := bytes.TrimLeft(row, " ")
		if len(bytes.TrimSpace(trimmed)) == 0 || trimmed[0] == '#' {
			continue
		}
		indent := len(row) - len(trimmed)
		for len(indents) > 0 && indents[len(indents)-1] >= indent {
			indents = indents[:len(indents)-1]
		}
		indents = append(indents, indent)
		if indent == 0 && depth > 0 && !bytes.HasPrefix(trimmed, []byte("]")) && !bytes.HasPrefix(trimmed, []byte("}")) {
			depth = 0 // what was open was text
		}
		most := depth
		for _, c := range trimmed {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			most = max(most, depth)
		}
		if most+len(indents)+indicators(trimmed) > depthMax {
			return line, true
		}
	}
	return 0, false
}

// indicators counts the "- " and "? " that a line begins with: each is a level.
func indicators(row []byte) int {
	n := 0
	for len(row) > 1 && (row[0] == '-' || row[0] == '?') && (row[1] == ' ' || row[1] == '\t') {
		n++
		row = bytes.TrimLeft(row[1:], " \t")
	}
	return n
}

var lineNumber = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError is err with the best place and words for it. The parser with the
// better ones is asked only where it cannot do harm.
func syntaxError(text []byte, err error) *refusal {
	m := lineNumber.FindStringSubmatch(err.Error())
	out := &refusal{code: "SL0153", line: 1, why: err.Error()}
	if m != nil {
		out.why = err.Error()[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			out.line = n
		}
	}
	if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("? ")) > openersMax || len(text) > 64<<10 {
		return out
	}
	if line, column, why, ok := betterWords(text); ok {
		out.line, out.column, out.why = line, column, why
	}
	return out
}

func betterWords(text []byte) (line, column int, why string, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // the other parser's words will do
		}
	}()
	_, err := parser.ParseBytes(text, 0)
	var bad goccy.Error
	if !errors.As(err, &bad) || bad.GetToken() == nil || bad.GetToken().Position == nil {
		return 0, 0, "", false
	}
	at := bad.GetToken().Position
	return at.Line, at.Column, strings.TrimSpace(bad.GetMessage()), true
}
