package flume_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies/flume"
)

// The vectors were made by the classes of Flume 1.11.
func TestAsFlumeAgreesWithFlume(t *testing.T) {
	for _, conf := range goldenFiles(t, "testdata/edge/*.conf") {
		t.Run(filepath.Base(conf), func(t *testing.T) {
			want := strings.Split(strings.TrimRight(readFile(t, strings.TrimSuffix(conf, ".conf")+".expect.txt"), "\n"), "\n")
			slices.Sort(want)
			got := flume.AsFlume([]flume.File{{Name: conf, Data: []byte(readFile(t, conf))}}, flume.Options{
				Env: map[string]string{"SLUICE_ORACLE_BIND": "10.0.0.9", "SLUICE_ORACLE_PART": "ORACLE_BIND"},
			})
			for _, line := range missingFrom(want, got) {
				t.Errorf("want the line %q", line)
			}
			for _, line := range missingFrom(got, want) {
				t.Errorf("got the line  %q", line)
			}
		})
	}
}

func missingFrom(lines, in []string) []string {
	var out []string
	for _, l := range lines {
		if !slices.Contains(in, l) {
			out = append(out, l)
		}
	}
	return out
}

func goldenFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return files
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
