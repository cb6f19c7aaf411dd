package clientprops

import (
	"bytes"
	"fmt"
	"os"
	"regexp"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// Side is which of the two clients settings are for.
type Side string

// The two sides.
const (
	Producer Side = "producer"
	Consumer Side = "consumer"
)

const fileMax = 1 << 20 // bytes

// Setting is one setting as it stands somewhere.
type Setting struct {
	Name, Value string
	Pos         topologies.Pos
}

// ReadFile reads the settings of one side from a file: Java properties, either
// plain or in blocks "producer.properties {" … "}" and "consumer.properties {"
// … "}". Of a file with blocks only the side's own are read.
func ReadFile(path string, side Side) ([]Setting, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileMax {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, fileMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text, side)
}

// Parse is ReadFile on text that is already there.
func Parse(file string, text []byte, side Side) ([]Setting, error) {
	plain, sides, err := unblock(file, text)
	if err != nil {
		return nil, err
	}
	properties, faults := flume.Properties(file, plain)
	for _, f := range faults {
		if f.Severity == topologies.Error {
			return nil, fmt.Errorf("%s: %s", f.Pos, f.Message)
		}
	}
	var out []Setting
	for _, p := range properties {
		if of := sides[p.Pos.Line-1]; of == "" || of == side {
			out = append(out, Setting{p.Key, p.Value, p.Pos})
		}
	}
	return out, nil
}

var opening = regexp.MustCompile(`^[ \t]*(producer|consumer)\.properties[ \t]*\{[ \t]*\r?$`)

// unblock blanks the lines that open and close blocks, so that places stay
// right, and answers for every line in whose block it stands.
func unblock(file string, text []byte) (plain []byte, sides []Side, err error) {
	lines := bytes.Split(text, []byte("\n"))
	sides = make([]Side, len(lines))
	var open Side
	at := 0
	for i, line := range lines {
		sides[i] = open
		switch m := opening.FindSubmatch(line); {
		case m != nil && open != "":
			return nil, nil, fmt.Errorf("%s:%d: a block within the block of line %d; close it with } first", file, i+1, at)
		case m != nil:
			open, at, lines[i] = Side(m[1]), i+1, nil
		case open != "" && string(bytes.TrimSpace(line)) == "}":
			open, lines[i] = "", nil
		}
	}
	if open != "" {
		return nil, nil, fmt.Errorf("%s:%d: the block that begins here has no closing brace", file, at)
	}
	return bytes.Join(lines, []byte("\n")), sides, nil
}
