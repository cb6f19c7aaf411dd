package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// Each file in testdata/script is a session with the binary: what is typed and
// what comes.
func TestTheCommandsDoWhatTheScriptsSay(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		Deadline:      time.Now().Add(2 * time.Minute),
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "await": await, "get": get, "append": appendTo, "count": count, "refused": refused, "up": up, "runs": running, "settled": settled, "held": held, "draining": draining,
			"term": signalTo(syscall.SIGTERM), "hup": signalTo(syscall.SIGHUP),
		},
	})
}

// until tries again and again, and fails the script when the answer stays no.
func until(ts *testscript.TestScript, what string, try func() bool) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.After(30 * time.Second); !try(); {
		select {
		case <-look.C:
		case <-end:
			ts.Fatalf("30 s and not yet: %s", what)
		}
	}
}

// signalTo is a command that takes DIR, and sends s to the node with its store there.
func signalTo(s syscall.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: term|hup DIR")
		}
		c, err := admin.NewClient(ts.MkAbs(args[0]))
		ts.Check(err)
		st, err := c.Status(context.Background())
		ts.Check(err)
		ts.Check(syscall.Kill(st.PID, s))
	}
}

// ready DIR: the node with its store in DIR answers and is ready.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	until(ts, "ready "+args[0], func() bool {
		c, err := admin.NewClient(ts.MkAbs(args[0]))
		ts.Check(err)
		r, err := c.Ready(context.Background())
		if err != nil || !r.Ready {
			return false
		}
		st, err := c.Status(context.Background())
		return err == nil && len(st.Deployed) > 0
	})
}

// up DIR: the node with its store in DIR answers.
func up(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: up DIR")
	}
	until(ts, "up "+args[0], func() bool {
		c, err := admin.NewClient(ts.MkAbs(args[0]))
		ts.Check(err)
		_, err = c.Status(context.Background())
		return err == nil
	})
}

// runs DIR PATH: the actor at PATH is RUNNING.
func running(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: runs DIR PATH")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, args[1]+" runs", func() bool {
		a, err := c.InspectActor(context.Background(), args[1])
		return err == nil && a.State == agent.Running
	})
}

// settled DIR N: N events were delivered, and none is held.
func settled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: settled DIR N")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, args[1]+" delivered", func() bool {
		st, err := c.Status(context.Background())
		return err == nil && st.Ledger.Held == 0 && strconv.FormatInt(st.Ledger.Delivered, 10) == args[1]
	})
}

// held DIR N: the channels hold N events.
func held(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: held DIR N")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, args[1]+" held", func() bool {
		st, err := c.Status(context.Background())
		return err == nil && strconv.FormatInt(st.Ledger.Held, 10) == args[1]
	})
}

// draining DIR: the node is stopping, and says so.
func draining(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: draining DIR")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, "draining "+args[0], func() bool {
		r, err := c.Ready(context.Background())
		return err == nil && !r.Ready && r.Reasons[0].Part == "node"
	})
}

// refused DIR: a new form of what the node runs was refused.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: refused DIR")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	until(ts, "refused "+args[0], func() bool {
		all, err := c.Topologies(context.Background())
		return err == nil && len(all) > 0 && all[0].ReloadError != ""
	})
}

// await GLOB REGEXP: the files that GLOB names hold what REGEXP matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await GLOB REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	until(ts, args[1]+" in "+args[0], func() bool { return re.MatchString(all(ts, args[0])) })
}

// all is what the files that glob names hold, one after the other.
func all(ts *testscript.TestScript, glob string) string {
	files, err := filepath.Glob(ts.MkAbs(glob))
	ts.Check(err)
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		ts.Check(err)
		b.Write(text)
	}
	return b.String()
}

// count GLOB N REGEXP: REGEXP matches N times in the files that GLOB names.
func count(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count GLOB N REGEXP")
	}
	got := len(regexp.MustCompile("(?m)"+args[2]).FindAllString(all(ts, args[0]), -1))
	if want := args[1]; want != strconv.Itoa(got) {
		ts.Fatalf("%s matches %d times in %s, want %s", args[2], got, args[0], want)
	}
}

// get DIR ADDRESS PATH: what the node with its store in DIR answers there.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: get DIR ADDRESS PATH")
	}
	c, err := admin.NewClient(ts.MkAbs(args[0]))
	ts.Check(err)
	st, err := c.Status(context.Background())
	ts.Check(err)
	res, err := http.Get("http://" + st.Addresses[args[1]] + args[2])
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
}

// append FILE TEXT: one more line.
func appendTo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append FILE TEXT")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	ts.Check(err)
	_, err = f.WriteString(args[1] + "\n")
	ts.Check(err)
	ts.Check(f.Close())
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
		checkExample(t, c.CommandPath(), line)
	}
}

// checkExample parses a command line without running it.
func checkExample(t *testing.T, where, line string) {
	t.Helper()
	typed, _, _ := strings.Cut(line, ">")
	words := strings.Fields(typed)
	if len(words) == 0 || words[0] != "sluice" {
		t.Errorf("%s: example %q does not begin with sluice", where, line)
		return
	}
	found, rest, err := newRoot().Find(words[1:])
	if err == nil {
		err = found.ParseFlags(rest)
	}
	if err == nil {
		err = found.ValidateArgs(found.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: example %q: %v", where, line, err)
	}
}

// What the README tells people to type must be something that the commands take.
func TestTheReadmesCommandsAreTaken(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fenced, checked := false, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		line = strings.Replace(strings.TrimPrefix(line, "./"), "go run ./cmd/sluice", "sluice", 1)
		if fenced && strings.HasPrefix(line, "sluice ") {
			checkExample(t, "README.md", line)
			checked++
		}
	}
	if checked < 5 {
		t.Errorf("only %d commands were found", checked)
	}
}

func TestACommandThatPrintsDataTakesTheFormOfIt(t *testing.T) {
	without := map[string]bool{"agent": true, "serve": true, "completion": true, "schema": true, "convert": true, "install-links": true}
	for _, c := range newRoot().Commands() {
		leaves := c.Commands()
		if len(leaves) == 0 {
			leaves = []*cobra.Command{c}
		}
		for _, leaf := range leaves {
			if !without[c.Name()] && !slices.Contains(kafkaNames, c.Name()) && !leaf.Hidden && leaf.Flags().ShorthandLookup("o") == nil {
				t.Errorf("%s has no -o", leaf.CommandPath())
			}
		}
	}
}
