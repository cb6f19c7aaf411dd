package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

// A scenario is a file of commands, each with everything that it does: the
// result of each part of the request, and the changes that go into the log.
// UPDATE=1 writes them anew; look at the difference.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScene().play(t, string(text))
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s does not happen as written (UPDATE=1 writes it anew); got\n%s", file, got)
			}
		})
	}
}

// scene is a controller without a log: what it decides is kept in memory.
type scene struct {
	settings Settings
	machine  *machine
	ids      byte
	log      [][]byte
	end      record.Offset
}

func newScene() *scene {
	s := &scene{settings: Settings{NumPartitions: 4, Factor: 1}}
	s.machine = newMachine(s.settings, emptyImage())
	return s
}

func (s *scene) newID() TopicID {
	s.ids++
	return TopicID{1, 15: s.ids}
}

// play runs the commands of a scenario and writes what they do below each.
func (s *scene) play(t *testing.T, text string) string {
	var out strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			skipping = false
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "> "):
			skipping = true
			out.WriteString(line + "\n" + s.run(t, line[2:]))
		case !skipping:
			t.Fatalf("%q is neither a command, nor what one does", line)
		}
	}
	return out.String()
}

// run is what one command does. Its words are a verb, names, and key=value.
func (s *scene) run(t *testing.T, command string) string {
	words := strings.Fields(command)
	switch verb, rest := words[0], words[1:]; verb {
	case "settings":
		a := parse(rest)
		s.settings = Settings{int32(a.number("partitions", 4)), int16(a.number("factor", 1)), a.has("clamp")}
		s.machine.settings = s.settings
		return ""
	case "fail":
		s.machine.drop()
		return ""
	case "restart":
		return s.restart(t)
	case "show":
		return s.show(rest)
	default:
		request := requestOf(t, verb, rest)
		results := s.machine.decide(request, Input{NewID: s.newID})
		return s.commit(t, results, words[len(words)-1] == "!lost")
	}
}

// commit puts what was decided into the log, or drops it as a log that refuses
// does, and describes both.
func (s *scene) commit(t *testing.T, results []Result, lost bool) string {
	var out strings.Builder
	for _, r := range results {
		out.WriteString("  " + describe(r) + "\n")
	}
	staged, head := s.machine.take()
	for _, c := range staged {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "  log %s\n", text)
	}
	if lost {
		s.machine.drop()
		return out.String()
	}
	if len(staged) > 0 {
		s.append(t, staged)
		head.Epoch = s.end
	}
	s.machine.image = head
	s.machine.head = newEdit(head)
	return out.String()
}

func (s *scene) append(t *testing.T, staged []change) {
	batch, err := encode(staged, 1000)
	if err != nil {
		t.Fatal(err)
	}
	record.SetBaseOffset(batch, s.end)
	s.end += record.Offset(len(staged))
	s.log = append(s.log, batch)
}

// restart replays the log and says whether it comes to the same.
func (s *scene) restart(t *testing.T) string {
	r := newReplay()
	for _, b := range s.log {
		if err := r.add(b); err != nil {
			t.Fatal(err)
		}
	}
	was, is := dump(s.machine.image), dump(r.now.image)
	s.machine = newMachine(s.settings, r.now.image)
	if was != is {
		return fmt.Sprintf("  differs: was\n%sis\n%s", was, is)
	}
	return fmt.Sprintf("  the same after %d records\n", s.end)
}

// dump is everything in an image.
func dump(i *Image) string {
	var out strings.Builder
	for _, c := range i.changes() {
		text, _ := json.Marshal(c)
		out.Write(append(text, '\n'))
	}
	return out.String()
}

func (s *scene) show(what []string) string {
	i := s.machine.image
	var out strings.Builder
	for _, w := range what {
		switch w {
		case "topics":
			for _, t := range i.Topics() {
				fmt.Fprintf(&out, "  %s\n", describe(Result{Topic: t}))
			}
		case "features":
			fmt.Fprintf(&out, "  features %v\n", i.Features())
		case "quotas":
			for _, q := range i.Quotas() {
				text, _ := json.Marshal(q)
				fmt.Fprintf(&out, "  %s\n", text)
			}
		case "cluster":
			fmt.Fprintf(&out, "  cluster %s, epoch %d, brokers %v\n", i.ClusterID, i.Epoch, i.Brokers)
		}
	}
	return out.String()
}

func describe(r Result) string {
	var refusal *Refusal
	switch {
	case errors.As(r.Err, &refusal):
		return refusal.Error()
	case r.Err != nil:
		return "error " + r.Err.Error()
	case r.Count > 0:
		return fmt.Sprintf("ids from %d, %d of them", r.First, r.Count)
	case r.Topic == nil:
		return "ok"
	}
	var replicas []string
	for _, p := range r.Topic.Partitions {
		replicas = append(replicas, fmt.Sprint(p.Replicas))
	}
	kind := ""
	if r.Topic.Internal {
		kind = " internal"
	}
	return fmt.Sprintf("%s %s%s %s %v", r.Topic.Name, r.Topic.ID, kind, strings.Join(replicas, ""), r.Topic.Configs)
}

// words are the key=value words of a part of a command, and those without "=".
type words struct {
	values map[string]string
	names  []string
}

func parse(list []string) words {
	w := words{values: map[string]string{}}
	for _, word := range list {
		if k, v, ok := strings.Cut(word, "="); ok {
			w.values[k] = v
		} else {
			w.names = append(w.names, word)
		}
	}
	return w
}

func (w words) has(name string) bool {
	for _, n := range w.names {
		if n == name {
			return true
		}
	}
	return false
}

func (w words) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(w.values[key]); err == nil {
		return n
	}
	return otherwise
}

// parts cuts a list of words at each ",".
func parts(list []string) []words {
	var out []words
	from := 0
	for i, w := range list {
		if w == "," {
			out = append(out, parse(list[from:i]))
			from = i + 1
		}
	}
	return append(out, parse(list[from:]))
}

// lists reads "1,2;2,1" as the replicas of partitions.
func lists(text string) [][]int32 {
	var out [][]int32
	for p := range strings.SplitSeq(text, ";") {
		list := []int32{}
		for n := range strings.SplitSeq(p, ",") {
			if i, err := strconv.Atoi(n); err == nil {
				list = append(list, int32(i))
			}
		}
		out = append(out, list)
	}
	return out
}
