package source_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// judged finds the kinds that a test hands to the shared suite.
var judged = regexp.MustCompile(`sourcetest\.Subject\{\s*Kind:\s*"([^"]+)"`)

// Whoever adds a source lets the shared suite judge it.
func TestEverySourceIsJudgedByTheSharedSuite(t *testing.T) {
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
		for _, m := range judged.FindAllSubmatch(text, -1) {
			seen[string(m[1])] = true
		}
	}
	for _, k := range kinds.All(kinds.Source) {
		if k.Support == kinds.Missing {
			continue
		}
		if !seen[k.Name] {
			t.Errorf("no test runs sourcetest.Run for the kind %s", k.Name)
		}
		if _, err := os.Stat(k.Name + "_test.go"); err != nil {
			t.Errorf("source %s has no test file of its own: %v", k.Name, err)
		}
	}
}
