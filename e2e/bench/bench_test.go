package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/gen"
)

const inputLines = 400

// input is a file of lines, and its lines.
func input(t *testing.T) (name string, lines []string) {
	t.Helper()
	var b bytes.Buffer
	if err := gen.New(gen.Seed).WriteTo(&b, inputLines); err != nil {
		t.Fatal(err)
	}
	return write(t, b.String()), slices.Collect(strings.Lines(b.String()))
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	in, lines := input(t)
	without := func(at int) []string { return slices.Delete(slices.Clone(lines), at, at+1) }
	swapped := slices.Clone(lines)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	var matching []string
	for _, line := range lines {
		if strings.Contains(line, "status=200") || strings.Contains(line, "status=500") {
			matching = append(matching, line)
		}
	}
	// The second half before the first: right where two connections sent them.
	sent := split([]byte(strings.Join(lines, "")), 2)
	halves := []string{string(sent[1]), string(sent[0])}
	for _, c := range []struct {
		name  string
		check check
		lines []string
		want  verdict
	}{
		{"equal", check{"equal", 1}, lines, verdict{want: 400, got: 400}},
		{"one missing", check{"ids", 1}, without(7), verdict{want: 400, got: 399, missing: 1}},
		{"one twice", check{"ids", 1}, append([]string{lines[0]}, lines...), verdict{want: 400, got: 401, duplicate: 1}},
		{"out of order", check{"ids", 1}, swapped, verdict{want: 400, got: 400, outOfOrder: 1}},
		{"any order", check{"ids", 0}, halves, verdict{want: 400, got: 400}},
		{"order of two connections", check{"ids", 2}, halves, verdict{want: 400, got: 400}},
		{"order within a connection", check{"ids", 2}, swapped, verdict{want: 400, got: 400, outOfOrder: 1}},
		{"another order than the input", check{"equal", 1}, swapped, verdict{want: 400, got: 400, outOfOrder: 1, different: true}},
		{"never sent", check{"ids", 1}, append(slices.Clone(lines), "seq=000000400\n"), verdict{want: 400, got: 401, unknown: 1}},
		{"the matching ones", check{"matching", 1}, matching, verdict{want: len(matching), got: len(matching)}},
		{"one that should be filtered", check{"matching", 1}, lines, verdict{want: len(matching), got: 400, unknown: 400 - len(matching)}},
		{"all in one line", check{"ids", 1}, []string{strings.ReplaceAll(strings.Join(lines, ""), "\n", " ")}, verdict{want: 400, got: 400}},
	} {
		got, err := c.check.files(in, write(t, strings.Join(c.lines, "")))
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

// File_roll numbers its files; 10 comes after 9.
func TestOutputFilesAreReadInTheOrderOfTheirNumbers(t *testing.T) {
	in, lines := input(t)
	dir := t.TempDir()
	for i := range 12 {
		part := lines[i*inputLines/12 : (i+1)*inputLines/12]
		name := filepath.Join(dir, fmt.Sprintf("1700000000000-%d", i+1))
		if err := os.WriteFile(name, []byte(strings.Join(part, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := (check{"equal", 1}).files(in, dir); err != nil || !v.ok() {
		t.Fatalf("got %v, %v", v, err)
	}
}

func TestSyslogGoesOverAllConnectionsInOrder(t *testing.T) {
	in, _ := input(t)
	text, _ := os.ReadFile(in)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	parts := make(chan []byte, 4)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				got, _ := io.ReadAll(c)
				parts <- got
				c.Close()
			}()
		}
	}()
	if err := sendSyslog(l.Addr().String(), text, 4); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for range 4 {
		all = append(all, <-parts...)
	}
	v, err := check{"ids", 4}.files(in, write(t, string(all)))
	if err != nil || !v.ok() {
		t.Fatalf("got %v, %v", v, err)
	}
}

func TestBatchesThatAreRefusedAreSentAgain(t *testing.T) {
	in, _ := input(t)
	text, _ := os.ReadFile(in)
	for form, path := range map[string]string{"flume": "body", "otlp": "stringValue"} {
		var mu sync.Mutex
		var got []string
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if requests++; requests%3 == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			var body any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Errorf("%s: %v", form, err)
			}
			got = append(got, find(body, path)...)
		}))
		err := sendHTTP(server.URL, text, 2, 50, form)
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		v, err := check{"ids", 0}.files(in, write(t, strings.Join(got, "\n")))
		if err != nil || !v.ok() || v.got != inputLines {
			t.Errorf("%s: got %v, %v", form, v, err)
		}
	}
}

// find are all texts with seq= under the name key, wherever they stand.
func find(value any, key string) []string {
	var found []string
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			found = append(found, find(e, key)...)
		}
	case map[string]any:
		for k, e := range v {
			if text, ok := e.(string); ok && k == key && strings.Contains(text, "seq=") {
				found = append(found, text)
			}
			found = append(found, find(e, key)...)
		}
	}
	return found
}

func TestPartsAreWholeLines(t *testing.T) {
	for text, want := range map[string]int{"": 1, "a": 1, "a\nb\n": 2, "a\nb\nc\nd\ne\n": 4, "\n\n\n\n": 4} {
		parts := split([]byte(text), 4)
		if string(bytes.Join(parts, nil)) != text || len(parts) < want-1 {
			t.Errorf("%q: got %q", text, parts)
		}
		for _, p := range parts[:len(parts)-1] {
			if p[len(p)-1] != '\n' {
				t.Errorf("%q: part %q is no whole line", text, p)
			}
		}
	}
}

func TestARunMeasuresAndChecksATool(t *testing.T) {
	in, _ := input(t)
	config := write(t, "from @IN@ to @OUT@")
	do := func(script string) (result, error) {
		r := run{workload: workloads["a"], input: in, dir: filepath.Join(t.TempDir(), "run"), wait: 2 * time.Second}
		if err := r.prepare(config, []string{"sh", "-c", script}); err != nil {
			t.Fatal(err)
		}
		var res result
		err := r.do(&res)
		return res, err
	}
	res, err := do("cat @IN@ > @OUT@/out; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 60")
	if err != nil || !res.OK || res.Lines != inputLines || res.Seconds <= 0 || res.PeakRSS == 0 {
		t.Errorf("a tool that copies: got %+v, %v", res, err)
	}
	if res, err := do("head -n 300 @IN@ > @OUT@/out; sleep 60"); err != nil || res.OK || !strings.Contains(res.Verdict, "missing 100") {
		t.Errorf("a tool that stops half-way: got %+v, %v", res, err)
	}
	if _, err := do("exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a tool that fails: got %v", err)
	}
}

func TestWrongRunsDoNotCount(t *testing.T) {
	runs := []result{{OK: true, Bytes: 1e9, Lines: 1e6, Seconds: 10, CPU: 5}, {OK: true, Bytes: 1e9, Lines: 1e6, Seconds: 20, CPU: 7}, {Bytes: 1e9, Lines: 1e6, Seconds: 1, CPU: 1}}
	if got, want := row("a x", runs), "| a x | 2 | 1 | 75 | 75.0 | 50.0-100.0 | 6.00 | 5.00-7.00 |"; !strings.HasPrefix(got, want) {
		t.Fatalf("got %s, want %s…", got, want)
	}
}
