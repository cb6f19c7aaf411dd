package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAgentTakesFlumesWaysOfNamingFiles(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "conf", "flume.conf"), "")
	writeFile(t, filepath.Join(dir, "here.conf"), "")
	for _, c := range []struct {
		name  string
		flags agentFlags
		want  []string
	}{
		{"-f", agentFlags{files: []string{filepath.Join(dir, "here.conf")}}, []string{filepath.Join(dir, "here.conf")}},
		{"-f twice", agentFlags{files: []string{"a", "b"}}, []string{"a", "b"}},
		{"-c and a name in it", agentFlags{files: []string{"flume.conf"}, confDir: filepath.Join(dir, "conf")}, []string{filepath.Join(dir, "conf", "flume.conf")}},
		{"-u wins over -f", agentFlags{files: []string{"a"}, uris: []string{"file:/x/y.conf", "file:///z.conf"}}, []string{"/x/y.conf", "/z.conf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := c.flags.paths(); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestAgentRefusesWhatWouldRunSomethingElse(t *testing.T) {
	for args, want := range map[string]string{
		"agent":                              "want -n NAME",
		"agent -n a1":                        "want -f FILE",
		"agent -n a1 -u http://h/f.conf":     "only file: URIs",
		"agent -n a1 -u classpath:f.conf":    "only file: URIs",
		"agent -n a1 -f x -z host:2181":      "ZooKeeper",
		"agent -n a1 -f x --conf-provider=C": "provider",
		"agent -n a1 -f x -user me":          "authentication",
		"agent -n a1 -f x -i 0":              "at least 1 second",
		"agent -n a1 -f x surplus":           "unknown command",
	} {
		var out, errs bytes.Buffer
		if code := run(strings.Fields(args), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("sluice %s: exit %d, %s; want %d and %q", args, code, &errs, exitUsage, want)
		}
	}
}

func TestASystemPropertyMayHoldAnything(t *testing.T) {
	got, err := parseProperties([]string{"a=b=c", "alone", "empty="})
	if err != nil || got["a"] != "b=c" || len(got) != 3 {
		t.Errorf("got %q, %v; want a to be b=c, and alone and empty to be there", got, err)
	}
}

func TestTheScreenDrawsOverItsLastLineOnATerminalOnly(t *testing.T) {
	var plain bytes.Buffer
	s := &screen{w: &plain}
	s.redraw(field{"one", 1}, field{"1", 1})
	s.redraw(field{"two", 1})
	s.line("three")
	if want := "  one   1\n  two\nthree\n"; plain.String() != want {
		t.Errorf("without a terminal: got %q, want %q", &plain, want)
	}
	var live bytes.Buffer
	s = &screen{w: &live, live: true, raw: true}
	s.redraw(field{"one", 1})
	s.redraw(field{"two", 1})
	s.line("a\nb")
	if want := "\r\x1b[K  one\r\x1b[K  two\r\x1b[Ka\r\nb\r\n"; live.String() != want {
		t.Errorf("on a terminal: got %q, want %q", &live, want)
	}
}
