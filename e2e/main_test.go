package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// binary is the sluice under test.
var binary string

// seed is what every choice of this run follows from.
var seed = rand.Uint64N(1 << 32)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if s, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64); err == nil {
		seed = s
	}
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sluice")
	if err := buildTo(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("faults available:", strings.Join(available(), ", "))
	fmt.Printf("replay: SLUICE_SEED=%d go test ./e2e\n", seed)
	return m.Run()
}

// buildTo builds the binary, with the race detector when SLUICE_RACE is set: a
// race it finds is in its messages, and in its exit code.
func buildTo(path string, flags ...string) error {
	cgo := "CGO_ENABLED=0"
	if os.Getenv("SLUICE_RACE") != "" {
		cgo, flags = "CGO_ENABLED=1", append(flags, "-race")
	}
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, "../cmd/sluice")...)
	build.Env = append(os.Environ(), cgo)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// available names what can be done to a process here.
func available() []string {
	faults := []string{"kill", "stop", "bit flip", "truncation", "deletion"}
	if whyNoStrace() == "" {
		faults = append(faults, "kill at a system call")
	}
	if os.Getuid() == 0 {
		faults = append(faults, "full disk", "plug pull")
	}
	return faults
}

// times is how often something is done: in the README's test command, in CI,
// and at full counts.
func times(sample, ci, full int) int {
	switch {
	case os.Getenv("SLUICE_FULL") == "1":
		return full
	case os.Getenv("CI") == "true":
		return ci
	}
	return sample
}

// choices returns the choices of part n of the test.
func choices(t *testing.T, n int) *rand.Rand {
	t.Helper()
	t.Logf("replay: SLUICE_SEED=%d go test ./e2e -run '^%s$'", seed, strings.ReplaceAll(t.Name(), "/", "$/^"))
	return rand.New(rand.NewPCG(seed, uint64(n)))
}

// workDir is a directory for one test. Its path is short, for the sockets in
// it; it stays after a failure when SLUICE_KEEP is set.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("SLUICE_KEEP") != "" {
			t.Logf("kept: %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}
