package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// result is one run of one tool, as a line of the results.
type result struct {
	Tool     string
	Workload string
	Lines    int
	Bytes    int64 // of the input
	Seconds  float64
	CPU      float64 // seconds
	PeakRSS  int64
	PeakAnon int64
	Load     [2]float64 // of the machine, before and after
	OK       bool
	Verdict  string
}

// workload is one of those in README.md.
type workload struct {
	send string // "", "syslog" or "http"
	check
}

var workloads = map[string]workload{
	"a": {"", check{"equal", 1}},
	"b": {"", check{"equal", 1}},
	"c": {"syslog", check{"ids", 4}},
	"d": {"http", check{"ids", 0}},
	"e": {"", check{"matching", 1}},
}

// runTool runs one tool once: a directory of its own, its configuration with
// the places filled in, the input offered or sent, the output checked. It
// prints the result as a line of JSON.
func runTool(args []string) error {
	f := flags("run")
	name := f.String("tool", "", "name in the results")
	letter := f.String("workload", "a", "a to e")
	config := f.String("config", "", "configuration with @IN@, @DIR@, @OUT@ and @PORT@ in it")
	input := f.String("input", "", "the lines; for c in their syslog form")
	dir := f.String("dir", "", "where the tool may write; emptied first")
	form := f.String("http-form", "flume", "of requests: flume or otlp")
	path := f.String("http-path", "/", "that requests go to")
	anyForm := f.Bool("any-form", false, "the tool writes records in a form of its own: compare ids, not bytes")
	anyOrder := f.Bool("any-order", false, "the tool is known not to keep the order: only what is missing or twice counts")
	wait := f.Duration("wait", 5*time.Minute, "for the output to be complete")
	_ = f.Parse(args)
	w, ok := workloads[*letter]
	if !ok || *config == "" || *input == "" || *dir == "" || f.NArg() == 0 {
		return errors.New("want -workload, -config, -input, -dir and a command; @CONF@ in the command is the configuration")
	}
	if *anyForm && w.form == "equal" {
		w.form = "ids"
	}
	if *anyOrder && w.form != "equal" {
		w.split = 0
	}
	r := run{workload: w, input: *input, dir: *dir, wait: *wait, httpForm: *form, httpPath: *path}
	res := result{Tool: *name, Workload: *letter}
	if err := r.prepare(*config, f.Args()); err != nil {
		return err
	}
	if err := r.do(&res); err != nil {
		return err
	}
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if !res.OK {
		return fmt.Errorf("%s, workload %s: %s", res.Tool, res.Workload, res.Verdict)
	}
	return nil
}

type run struct {
	workload
	input, dir, out    string
	httpForm, httpPath string
	port               int
	wait               time.Duration
	command            []string
}

// prepare empties the directory and fills in the configuration.
func (r *run) prepare(config string, command []string) error {
	var err error
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return err
	}
	if r.input, err = filepath.Abs(r.input); err != nil {
		return err
	}
	r.out = filepath.Join(r.dir, "out")
	if err := errors.Join(os.RemoveAll(r.dir), os.MkdirAll(r.out, 0o755)); err != nil {
		return err
	}
	if r.port, err = freePort(); err != nil {
		return err
	}
	fill := strings.NewReplacer("@IN@", r.input, "@DIR@", r.dir, "@OUT@", r.out, "@PORT@", fmt.Sprint(r.port))
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	filled := filepath.Join(r.dir, filepath.Base(config))
	if err := os.WriteFile(filled, []byte(fill.Replace(string(text))), 0o644); err != nil {
		return err
	}
	for _, word := range command {
		r.command = append(r.command, strings.ReplaceAll(fill.Replace(word), "@CONF@", filled))
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// warmUp is how long a tool that is sent to has run before the load begins.
const warmUp = time.Second

func (r *run) do(res *result) error {
	info, err := os.Stat(r.input)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(r.input) // the page cache is warm
	if err != nil {
		return err
	}
	res.Bytes, res.Load[0] = info.Size(), loadAverage()
	t, err := startTool(r.command, r.dir, filepath.Join(r.dir, "log"))
	if err != nil {
		return err
	}
	begun := t.begun
	if r.send != "" {
		if err := r.awaitListener(t); err != nil {
			_, _ = t.finish()
			return err
		}
		time.Sleep(warmUp)
		begun = time.Now()
		err = r.load(text)
	}
	last, complete := time.Time{}, err
	if complete == nil {
		last, complete = r.awaitOutput(t, info.Size())
	}
	used, err := t.finish()
	if err != nil {
		return fmt.Errorf("%w; its output is in %s", err, filepath.Join(r.dir, "log"))
	}
	v, err := r.files(r.input, r.out)
	if err != nil {
		return err
	}
	res.Lines, res.Seconds, res.CPU = countLines(text), last.Sub(begun).Seconds(), used.CPU.Seconds()
	res.PeakRSS, res.PeakAnon, res.Load[1] = used.PeakRSS, used.PeakAnon, loadAverage()
	res.OK, res.Verdict = v.ok() && complete == nil, v.String()
	if complete != nil {
		res.Verdict = complete.Error() + ": " + res.Verdict
	}
	return nil
}

func countLines(text []byte) int {
	n := 0
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	return n
}

func (r *run) load(text []byte) error {
	if r.send == "syslog" {
		return sendSyslog(fmt.Sprintf("127.0.0.1:%d", r.port), text, 4)
	}
	return sendHTTP(fmt.Sprintf("http://127.0.0.1:%d%s", r.port, r.httpPath), text, 4, 100, r.httpForm)
}

// listenWait is how long a tool may take until it listens.
const listenWait = time.Minute

func (r *run) awaitListener(t *tool) error {
	for begun := time.Now(); time.Since(begun) < listenWait; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err == nil {
			return c.Close()
		}
		if t.hasEnded() {
			break
		}
	}
	return fmt.Errorf("nothing listens on port %d; the tool's output is in %s", r.port, filepath.Join(r.dir, "log"))
}

// quiet is how long nothing may be written until the output counts as final
// where its size is not known before.
const quiet = 7 * time.Second

// awaitOutput waits until the output is complete and answers when it was last
// written to. Where output equals input the size tells, else silence does: longer
// than Flume's runner sleeps on an empty channel.
func (r *run) awaitOutput(t *tool, want int64) (time.Time, error) {
	size, since := int64(-1), time.Now()
	for begun := time.Now(); time.Since(begun) < r.wait; time.Sleep(5 * time.Millisecond) {
		now, last, err := written(r.out)
		if err != nil {
			return last, err
		}
		if now != size {
			size, since = now, time.Now()
		}
		if r.form == "equal" && size >= want || size > 0 && time.Since(since) > quiet {
			return last, nil
		}
		if t.hasEnded() {
			return last, nil // finish says so
		}
	}
	_, last, _ := written(r.out)
	return last, errNotComplete
}

// written is the size of everything below dir, and when it was last changed.
func written(dir string) (size int64, last time.Time, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renamed meanwhile
		}
		if err != nil {
			return err
		}
		if info.Size() > 0 && info.ModTime().After(last) {
			last = info.ModTime()
		}
		size += info.Size()
		return nil
	})
	return size, last, err
}
