package e2e

import (
	"fmt"
	"os/exec"
)

// whyNoStrace says why processes cannot be killed at a system call here.
func whyNoStrace() string {
	out, err := exec.Command("strace", "-qq", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL:when=1", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no strace that can inject signals: %v %s", err, out)
	}
	return ""
}
