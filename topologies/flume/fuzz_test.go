package flume_test

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// FuzzFlumeConf checks that no file makes the reader panic or contradict
// itself, and that it reads properties as a second, plainer reader does.
func FuzzFlumeConf(f *testing.F) {
	for _, pattern := range []string{"testdata/edge/*.conf", "testdata/faults/*.conf"} {
		files, err := os.ReadDir(strings.TrimSuffix(pattern, "/*.conf"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(strings.TrimSuffix(pattern, "*.conf") + file.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, s := range []string{"\\", "a\\u", "\xff\xfe\x00", "a.sources {", "}", "a.sinks(", "a.sinks(k).channels(c)", "${${${", "a.sinks.x.y=${a.sinks.x.y}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		files := []flume.File{{Name: "f", Data: data}}
		var shapes []string
		for _, o := range []flume.Options{{}, {Lenient: true}, {Compat: true}} {
			o.Env = map[string]string{"HOME": "/root", "X": "${env:HOME}"}
			p, err := flume.Read(files, o)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, p, data)
			if again, _ := flume.Read(files, o); !reflect.DeepEqual(again.Faults, p.Faults) || shape(again) != shape(p) {
				t.Fatal("the same file gives another answer the second time")
			}
			shapes = append(shapes, shape(p))
			if o.Lenient && !p.Blocks && !topologies.Failed(p.Faults, "") {
				survive(t, p, flume.AsFlume(files, o))
			}
			if !o.Lenient && !o.Compat {
				compare(t, p, data)
				if topologies.Failed(p.Faults, "") {
					shapes[0] = "" // it does not run
				}
			}
		}
		if shapes[0] != "" && shapes[0] != shapes[1] && !valueDropped(files) {
			t.Fatalf("without errors strict runs %q, lenient %q", shapes[0], shapes[1])
		}
	})
}

// valueDropped says whether lenient drops a component for a value, which
// strict leaves to the check of values.
func valueDropped(files []flume.File) bool {
	p, _ := flume.Read(files, flume.Options{Lenient: true})
	return slices.ContainsFunc(p.Faults, func(f topologies.Fault) bool { return strings.HasPrefix(f.Code, "SL030") })
}

// judge checks what holds for every answer.
func judge(t *testing.T, p *flume.Parsed, data []byte) {
	if err := topologies.RenderFaults(io.Discard, p.Faults, p.Source); err != nil {
		t.Fatal(err)
	}
	lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r"))
	for _, f := range p.Faults {
		if f.Pos.Line > lines || f.Pos.Column > len(data)+1 || f.End > len(data)+2 || f.End != 0 && f.End < f.Pos.Column {
			t.Fatalf("a fault lies outside the file: %+v", f)
		}
		if _, ok := topologies.Explain(f.Code); !ok || f.Message == "" {
			t.Fatalf("a fault explains nothing: %+v", f)
		}
	}
	for _, a := range p.Topology.Agents {
		for _, c := range slices.Concat(a.Sources, a.Sinks) {
			if c.Kind == nil || len(c.Channels) == 0 {
				t.Fatalf("%s cannot run", c.Settings.Name())
			}
			for _, name := range c.Channels {
				if !slices.ContainsFunc(a.Channels, func(ch topologies.Component) bool { return ch.Name == name }) {
					t.Fatalf("%s has the channel %q, which does not run", c.Settings.Name(), name)
				}
			}
		}
	}
}

// survive checks that nothing runs which Flume would have dropped.
func survive(t *testing.T, p *flume.Parsed, lines []string) {
	for _, a := range p.Topology.Agents {
		for _, s := range a.Sources {
			if prefix := "source " + a.Name + "." + s.Name + " type = "; !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
				t.Fatalf("source %s runs, and Flume drops it", s.Name)
			}
		}
	}
}

// compare checks the properties against the plainer reader.
func compare(t *testing.T, p *flume.Parsed, data []byte) {
	if p.Blocks || !utf8.Valid(data) || bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return
	}
	want, ok := plain(string(data))
	if bad := slices.ContainsFunc(p.Faults, func(f topologies.Fault) bool { return f.Code == "SL0103" && f.End > 0 }); bad == ok {
		t.Fatalf("a broken escape: got %v, want %v", bad, !ok)
	}
	if !ok {
		return
	}
	got := map[string]string{}
	for _, q := range p.Properties {
		got[q.Key] = q.Value
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// plain reads properties in three plain steps: join lines, part key and value,
// undo escapes. It is false for a file that Java refuses.
func plain(file string) (map[string]string, bool) {
	const blank = " \t\f"
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(file, "\r\n", "\n"), "\r", "\n"), "\n")
	out := map[string]string{}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], blank)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1 {
			line = line[:len(line)-1]
			if i+1 == len(lines) {
				break
			}
			i++
			line += strings.TrimLeft(lines[i], blank)
		}
		if line == "" {
			continue
		}
		end := 0
		for end < len(line) && !strings.ContainsRune(blank+"=:", rune(line[end])) {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(line))
		value := strings.TrimLeft(line[end:], blank)
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], blank)
		}
		k, ok1 := unescaped(line[:end])
		v, ok2 := unescaped(value)
		if !ok1 || !ok2 {
			return nil, false
		}
		out[k] = v
	}
	return out, true
}

func unescaped(s string) (string, bool) {
	var units []uint16
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r != '\\' {
			units = utf16.AppendRune(units, r)
			continue
		}
		if i == len(s) {
			break
		}
		r, n = utf8.DecodeRuneInString(s[i:])
		i += n
		if at := strings.IndexRune("tnrf", r); at >= 0 {
			units = append(units, uint16("\t\n\r\f"[at]))
		} else if r == 'u' {
			digits := s[i:min(i+4, len(s))]
			v, err := strconv.ParseUint(digits, 16, 16)
			if err != nil || len(digits) < 4 {
				return "", false
			}
			units = append(units, uint16(v))
			i += 4
		} else {
			units = utf16.AppendRune(units, r)
		}
	}
	return string(utf16.Decode(units)), true
}
