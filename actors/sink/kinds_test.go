package sink_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// What a test makes sinks of: a kind by its name, or by a helper.
var (
	made  = regexp.MustCompile(`maker\("([^"]+)"`)
	calls = regexp.MustCompile(`\b(rollTarget|f\.target)\b`)
)

// kindOfTarget is the kind that the helpers of these tests make.
var kindOfTarget = map[string]string{"rollTarget": "file_roll", "f.target": "hdfs"}

// Whoever adds a sink lets the shared suite judge it.
func TestEverySinkIsJudgedByTheSharedSuite(t *testing.T) {
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for test := range bytes.SplitSeq(text, []byte("\nfunc ")) {
			if !bytes.Contains(test, []byte("sinktest.Run(")) {
				continue
			}
			for _, m := range made.FindAllSubmatch(test, -1) {
				seen[string(m[1])] = true
			}
			for _, m := range calls.FindAllSubmatch(test, -1) {
				seen[kindOfTarget[string(m[1])]] = true
			}
		}
	}
	for _, k := range kinds.All(kinds.Sink) {
		if k.Support != kinds.Missing && !seen[k.Name] {
			t.Errorf("no test runs sinktest.Run for the kind %s", k.Name)
		}
	}
}
