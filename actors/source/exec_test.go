package source_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// command is an exec source that has run to its end.
func command(t *testing.T, settings ...string) *sourcetest.Out {
	t.Helper()
	out := new(sourcetest.Out)
	run := sourcetest.Start(t, newCommand(t, settings...), out)
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

func newCommand(t *testing.T, settings ...string) source.Source {
	t.Helper()
	all := map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	return sourcetest.New(t, "exec", all, sourcetest.Env(t))
}

func TestExecKeepsWhatEverySourcePromises(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Kind: "exec",
		Place: func(t *testing.T) sourcetest.Place {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			return sourcetest.Place{
				Settings: map[string]string{"command": "tail -n +1 -F -s 0.01 " + path, "batchSize": "10", "batchTimeout": "20"},
				Feed: func(_ context.Context, _ source.Source, first, n int) error {
					f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
					if err != nil {
						return err
					}
					defer f.Close()
					for i := first; i < first+n; i++ {
						if _, err := fmt.Fprintln(f, sourcetest.Line(i)); err != nil {
							return err
						}
					}
					return nil
				},
			}
		},
	})
}

func TestExecCutsLinesAsJavaDoes(t *testing.T) {
	for text, want := range map[string][]string{
		`a\nb\r\nc\rd`:    {"a", "b", "c", "d"},
		`\n\n\r\r\n`:      {"", "", "", ""},
		`\377\376 kept\n`: {"\xff\xfe kept"},
		`no newline`:      {"no newline"},
		``:                nil,
	} {
		out := command(t, "shell", "/bin/sh -c", "command", "printf '"+text+"'")
		if got := out.Bodies(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	out := command(t, "shell", "/bin/sh -c", "command", `printf '\377\376a\0\n\0\r\0\n\0\n\001'`, "charset", "UTF-16")
	if got, want := out.Bodies(), []string{"a\x00", "", "\n\x01"}; !slices.Equal(got, want) {
		t.Errorf("UTF-16: got %q, want %q", got, want)
	}
}

func TestExecRunsAShellOnlyWhenTold(t *testing.T) {
	if got := command(t, "command", "echo  `echo  x`  'a b'").Bodies(); !slices.Equal(got, []string{"`echo x` 'a b'"}) {
		t.Errorf("without a shell: %q", got)
	}
	if got := command(t, "shell", "/bin/sh  -c", "command", "for i in `seq 3`; do echo $i; done | sort -r").Bodies(); !slices.Equal(got, []string{"3", "2", "1"}) {
		t.Errorf("with a shell: %q", got)
	}
}

func TestExecSendsFullBatchesAndTheRestAfterAWhile(t *testing.T) {
	out := new(sourcetest.Out)
	src := newCommand(t, "shell", "/bin/sh -c", "command", "seq 25; exec sleep 1000", "batchSize", "10", "batchTimeout", "50")
	run := sourcetest.Start(t, src, out)
	out.WaitRecords(t, 25)
	run.Stop()
	var sizes []int
	for _, b := range out.Batches() {
		sizes = append(sizes, len(b.Records))
	}
	if fmt.Sprint(sizes) != "[10 10 5]" {
		t.Errorf("batches of %v lines, want 10, 10 and, after a while, 5", sizes)
	}
}

// Flume loses 900 of these.
func TestExecLosesNothingToAFullChannel(t *testing.T) {
	out := new(sourcetest.Out)
	out.SetFull(true)
	env := sourcetest.Env(t)
	src := sourcetest.New(t, "exec", map[string]string{"command": "seq 1 1000"}, env)
	run := sourcetest.Start(t, src, out)
	out.WaitBlocked(t)
	out.SetFull(false)
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, b := range out.Bodies() {
		if b != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i, b)
		}
	}
	if n := out.Len(); n != 1000 {
		t.Errorf("got %d lines, want 1000", n)
	}
	if env.Counters.ChannelWriteFail.Load() == 0 {
		t.Error("the refusals were not counted")
	}
}

func TestExecCountsWhatItLosesWhenItIsStopped(t *testing.T) {
	out := new(sourcetest.Out)
	out.SetFull(true)
	env := sourcetest.Env(t)
	src := sourcetest.New(t, "exec", map[string]string{"shell": "/bin/sh -c", "command": "seq 10; exec sleep 1000", "batchSize": "10"}, env)
	run := sourcetest.Start(t, src, out)
	out.WaitBlocked(t)
	run.Stop()
	if n := env.Counters.Lost.Load(); n != 10 {
		t.Errorf("counted %d lost lines, want 10", n)
	}
}

func TestExecRunsAgainWhenToldTo(t *testing.T) {
	out := new(sourcetest.Out)
	run := sourcetest.Start(t, newCommand(t, "command", "echo x", "restart", "true", "restartThrottle", "1"), out)
	out.WaitRecords(t, 3)
	run.Stop()
}

func TestExecEndsWithItsCommand(t *testing.T) {
	if got := command(t, "shell", "/bin/sh -c", "command", "echo x; echo e >&2; exit 3", "logStdErr", "true").Bodies(); !slices.Equal(got, []string{"x"}) {
		t.Errorf("got %q", got)
	}
	err := sourcetest.Start(t, newCommand(t, "command", "/no/such/command"), new(sourcetest.Out)).Wait()
	if err == nil || !strings.Contains(err.Error(), "/no/such/command") {
		t.Errorf("got %v, want an error that names the command", err)
	}
}

// The shell does not pass its signal on; its children end all the same. The
// second ignores SIGTERM.
func TestExecEndsAllThatItsCommandHasStarted(t *testing.T) {
	for _, c := range []string{
		"sleep 1000 & echo $!; wait",
		"trap '' TERM; sleep 1000 & echo $!; while :; do wait; done",
	} {
		out := new(sourcetest.Out)
		run := sourcetest.Start(t, newCommand(t, "shell", "/bin/sh -c", "command", c, "batchSize", "1"), out)
		pid, err := strconv.Atoi(out.WaitRecords(t, 1)[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		run.Stop()
		// A kill takes effect when the process is next scheduled.
		state := stateOf(pid)
		for range 5000 {
			if state = stateOf(pid); state == "" || state == "Z" {
				break
			}
			<-time.After(time.Millisecond)
		}
		if state != "" && state != "Z" {
			t.Errorf("%s: process %d goes on in state %s", c, pid, state)
		}
	}
}

// stateOf is what the kernel says a process does, or "" when there is none.
func stateOf(pid int) string {
	if syscall.Kill(pid, 0) != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestExecIsRefusedWhereCommandsMayNotRun(t *testing.T) {
	env := sourcetest.Env(t)
	env.AllowExec = false
	if _, err := newSource("exec", map[string]string{"command": "echo"}, env); err == nil || !strings.Contains(err.Error(), "--allow-exec") {
		t.Errorf("got %v", err)
	}
	env.AllowExec = true
	for key, value := range map[string]string{"command": " ", "charset": "no", "batchSize": "x"} {
		settings := map[string]string{"command": "echo"}
		settings[key] = value
		if _, err := newSource("exec", settings, env); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %q: got %v", key, value, err)
		}
	}
}

func TestExecReplacesMalformedTextWithFlumesDefects(t *testing.T) {
	env := sourcetest.Env(t)
	env.Compat = true
	out := new(sourcetest.Out)
	src := sourcetest.New(t, "exec", map[string]string{"shell": "/bin/sh -c", "command": `printf 'a\377b\n'`}, env)
	if err := sourcetest.Start(t, src, out).Wait(); err != nil {
		t.Fatal(err)
	}
	if got := out.Bodies(); !slices.Equal(got, []string{"a\uFFFDb"}) {
		t.Errorf("got %q", got)
	}
}
