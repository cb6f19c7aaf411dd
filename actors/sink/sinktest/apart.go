package sinktest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// apartVariable is set in a process that runs one test alone.
const apartVariable = "SINKTEST_APART"

// Apart says whether the test runs in a process of its own. If not, it runs
// the test so and reports what came of it: the caller returns. A broken target
// may be broken for the whole process, where the test tool writes files too.
func Apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartVariable) != "" {
		return true
	}
	var names []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		names = append(names, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(names, "/"), "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, output)
	}
	if !strings.Contains(string(output), "--- PASS: "+t.Name()) && !t.Failed() {
		t.Errorf("the test did not run in a process of its own:\n%s", output)
	}
	return false
}
