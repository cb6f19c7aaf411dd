package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// Each file in testdata/script is a session with the binary: what is typed and
// what comes.
func TestTheCommandsDoWhatTheScriptsSay(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
	})
}

func TestEveryCommandShowsTwoExamplesThatItTakes(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if !c.Hidden {
			checkExamples(t, c)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

func checkExamples(t *testing.T, c *cobra.Command) {
	t.Helper()
	lines := strings.Split(c.Example, "\n")
	if len(lines) != 2 {
		t.Errorf("%s: %d examples, want 2", c.CommandPath(), len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "sluice" {
			t.Errorf("%s: example %q does not begin with sluice", c.CommandPath(), line)
			continue
		}
		if i := strings.IndexAny(line, "|>"); i >= 0 {
			words = strings.Fields(line[:i])
		}
		found, rest, err := newRoot().Find(words[1:])
		if err != nil {
			t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			continue
		}
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			continue
		}
		if err := found.ValidateArgs(found.Flags().Args()); err != nil {
			t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
		}
	}
}

func TestACommandThatPrintsDataTakesTheFormOfIt(t *testing.T) {
	without := map[string]bool{"agent": true, "serve": true, "completion": true, "schema": true, "convert": true}
	for _, c := range newRoot().Commands() {
		leaves := c.Commands()
		if len(leaves) == 0 {
			leaves = []*cobra.Command{c}
		}
		for _, leaf := range leaves {
			if !without[c.Name()] && !leaf.Hidden && leaf.Flags().ShorthandLookup("o") == nil {
				t.Errorf("%s has no -o", leaf.CommandPath())
			}
		}
	}
}
