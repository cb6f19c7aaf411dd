package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const examples = "../topologies/examples"

// example is how one file of the examples is run: its agent, and what is sent
// to it beside the files that lie ready.
type example struct {
	agent string
	send  func(port string) error
	quiet bool // nothing is expected to come
	alone bool // what it talks to is not there: it starts, waits and stops
	kafka bool // its topics are served by the agent's own process
}

func post(port string) error {
	body := `[{"headers":{"shop":"berlin"},"body":"one"},{"headers":{"shop":"paris"},"body":"two"}]`
	resp, err := http.Post("http://127.0.0.1:"+port+"/", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

func write(network, text string) func(string) error {
	return func(port string) error {
		c, err := net.Dial(network, "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(text))
		return err
	}
}

var runs = map[string]example{
	"article.conf":         {agent: "agent"},
	"demo.conf":            {agent: "a1"},
	"exec.conf":            {agent: "app"},
	"failover.conf":        {agent: "a1"},
	"failover.yaml":        {agent: "a1"},
	"http.conf":            {agent: "in", send: post},
	"http.yaml":            {agent: "in", send: post},
	"kafka.conf":           {agent: "a1", kafka: true},
	"kafkachannel.conf":    {agent: "a1", kafka: true},
	"netcat.conf":          {agent: "a1", send: write("tcp", "one\ntwo\n")},
	"orders.yaml":          {agent: "shop", kafka: true},
	"seq.conf":             {agent: "a1"},
	"sequencefile.conf":    {agent: "a1", quiet: true}, // wants Avro files
	"shop.conf":            {agent: "shop", alone: true, quiet: true},
	"spillablememory.conf": {agent: "a1"},
	"spooldir.conf":        {agent: "inbox"},
	"stress.conf":          {agent: "bench"},
	"syslog.conf":          {agent: "rack", send: write("tcp", "<134>Nov 22 12:00:00 web01 app: hello\n")},
	"taildir.conf":         {agent: "web"},
	"taildir.yaml":         {agent: "web"},
}

// here moves an example into dir: its paths, and its ports to free ones.
func here(t *testing.T, dir, text string) (moved, port string) {
	t.Helper()
	moved = text
	for _, root := range []string{"/var/", "/mnt/", "/flume/"} {
		moved = strings.ReplaceAll(moved, root, dir+root)
	}
	for _, old := range []string{"5140", "5141", "44444", "5514", "9092"} {
		if !strings.Contains(moved, old) {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, free, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		moved = strings.ReplaceAll(moved, old, free)
		if port == "" {
			port = free
		}
	}
	for _, d := range []string{"var/log/app", "var/log/sluice", "var/lib/sluice", "var/spool/sluice/app", "var/spool/sluice/berlin", "var/spool/sluice/other",
		"var/spool/sluice/spill", "var/spool/sluice/inbox", "var/spool/inbox/text", "var/spool/inbox/avro", "var/spool/inbox/blobs",
		"mnt/disk1/sluice", "mnt/disk2/sluice", "flume/events", "out", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lines := []byte(nil)
	for id := range 100 {
		lines = appendLine(lines, id, 100)
	}
	for _, f := range []string{"app.log", "var/log/app.log", "var/log/app/app.log", "var/log/app/access.log", "var/log/syslog", "var/spool/inbox/text/a.txt"} {
		if err := os.WriteFile(filepath.Join(dir, f), lines, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return moved, port
}

// What users copy runs, also with Flume's defects: it becomes ready, delivers
// what there is, and stops. The examples leave no kind out.
func TestEveryExampleRuns(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		name := filepath.Base(file)
		if ext := filepath.Ext(name); ext != ".conf" && ext != ".yaml" {
			continue
		}
		seen++
		for _, compat := range []string{"", "flume"} {
			t.Run(name+"/compat="+compat, func(t *testing.T) {
				t.Parallel()
				runExample(t, file, compat)
			})
		}
	}
	if seen != len(runs) {
		t.Errorf("%d examples, %d are known", seen, len(runs))
	}
}

func runExample(t *testing.T, file, compat string) {
	name := filepath.Base(file)
	e, known := runs[name]
	if !known {
		t.Fatalf("nobody says how %s is run: give it a line", name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := workDir(t)
	moved, port := here(t, dir, string(text))
	conf := filepath.Join(dir, name)
	if err := os.WriteFile(conf, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command(nil, "agent", "-n", e.agent, "-f", conf, "-Ddemo.dir="+dir, "--data", filepath.Join(dir, "data"),
		"--http", "127.0.0.1:0", "--ready-json", "--compat", compat)
	if e.kafka {
		c.Args = append(c.Args, "--kafka", "127.0.0.1:"+port, "--auto-create-topics")
	}
	c.Env = append(os.Environ(), "USER=someone", "STATE="+dir+"/var/lib/sluice")
	n := start(t, filepath.Join(dir, "stderr"), c)
	n.mustBeReady()
	if e.send != nil {
		if err := e.send(port); err != nil {
			t.Errorf("sent when ready: %v", err)
		}
	}
	if !e.quiet {
		delivered := regexp.MustCompile(`sluice_ledger_events\{account="delivered",[^}]*\} [1-9]`)
		until(t, "something is delivered", func() bool { return delivered.MatchString(n.get("/metrics")) })
	}
	if s := n.get("/readyz?verbose"); !e.alone && !strings.HasPrefix(s, "200") {
		t.Errorf("not ready: %s\n%s", s, n.messages())
	}
	n.stop()
}
