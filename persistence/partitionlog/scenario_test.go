package partitionlog_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

var update = flag.Bool("update", false, "write what came into testdata")

// A scenario is a text of commands, each with the full trace of what came of
// it. Time stands still but for "advance". Look at the diff of -update.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(old))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(old) {
				t.Errorf("%s says otherwise; got\n%s", file, difference(got, string(old)))
			}
		})
	}
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < min(len(g), len(w)) && g[n] == w[n] {
		n++
	}
	first := max(0, n-5)
	return strings.Join(g[first:min(len(g), n+8)], "\n") + "\n--- where it says\n" + strings.Join(w[first:min(len(w), n+8)], "\n")
}

// play runs the commands of a scenario and returns it with their traces.
func play(t *testing.T, text string) string {
	w := &world{t: t, state: partitionlog.New(), index: partitionlog.NewIndex(), compaction: partitionlog.Compaction{
		MaxLag: partitionlog.Unlimited, SegmentBytes: 1 << 30, SegmentAge: 7 * 24 * time.Hour,
	}}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "\t"): // an old trace
			continue
		case line != "" && !strings.HasPrefix(line, "#"):
			w.out.WriteString(line + "\n")
			if err := w.do(strings.Fields(line)); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		default:
			w.out.WriteString(line + "\n")
		}
	}
	return w.out.String()
}

// world is one partition with a log in memory.
type world struct {
	t          *testing.T
	out        strings.Builder
	now        int64
	state      *partitionlog.State
	index      *partitionlog.Index
	log        memoryLog
	epoch      int32
	pending    []record.Batch // proposed
	guard      partitionlog.Guard
	compaction partitionlog.Compaction
	dirty      record.Offset
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(&w.out, "\t"+format+"\n", args...)
}

func (w *world) do(words []string) error {
	args := words[1:]
	switch words[0] {
	case "plain", "client", "sink", "coordinator":
		return w.append(words[0], args)
	case "marker":
		return w.marker(args)
	case "records":
		return w.records(args)
	case "commit":
		return w.commit(args)
	case "drop":
		w.state.DropProposed()
		w.say("%d batches are lost", len(w.pending))
		w.pending = nil
		return nil
	case "leader":
		epoch, err := strconv.Atoi(args[0])
		w.epoch = int32(epoch)
		w.state.BeginEpoch(w.epoch, w.log.next)
		return err
	case "advance":
		d, err := time.ParseDuration(args[0])
		w.now += d.Milliseconds()
		return err
	case "restart":
		return w.restart()
	case "show":
		return w.show(args)
	case "aborted":
		from, to := w.offset(args[0]), w.offset(args[1])
		for _, a := range w.state.Aborted(from, to) {
			w.say("producer %d from %d, marker at %d", a.Producer, a.First, a.Last)
		}
		return nil
	case "epoch-end":
		asked, err := strconv.Atoi(args[0])
		epoch, end := w.state.EpochEnd(int32(asked), w.log.next)
		w.say("epoch %d ends at %d", epoch, end)
		return err
	case "guard": // for all batches from now on; "none" ends it
		f, err := producerOf(args[0])
		w.guard = 0
		if args[0] != "none" {
			w.guard = w.state.Guard(f.id)
			return err
		}
		return nil
	case "ongoing":
		f, err := producerOf(args[0])
		w.say("%t", w.state.Ongoing(f.id, f.epoch))
		return err
	case "expire":
		d, err := time.ParseDuration(args[0])
		w.say("%d forgotten", w.state.Expire(w.now, d))
		return err
	case "trim":
		w.trim(w.offset(args[0]))
		return nil
	}
	return w.doLog(words[0], args)
}

// settings reads words like "age=1h".
func settings(args []string) map[string]string {
	m := map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		m[k] = v
	}
	return m
}

func (w *world) offset(s string) record.Offset {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return record.Offset(n)
}

// producerOf reads "7/0": producer 7 with epoch 0.
func producerOf(s string) (f from, err error) {
	f = nobody
	if _, err = fmt.Sscanf(s, "%d/%d", &f.id, &f.epoch); err != nil && !strings.Contains(s, "/") {
		_, err = fmt.Sscanf(s, "%d", &f.id)
	}
	return f, err
}

// append reads "client 7/0 5+3 txn": three records from sequence 5 on.
func (w *world) append(kind string, args []string) error {
	f, count := nobody, int32(1)
	origin := map[string]partitionlog.Origin{"client": partitionlog.Client, "plain": partitionlog.Client, "sink": partitionlog.Sink, "coordinator": partitionlog.Coordinator}[kind]
	if kind != "plain" {
		var err error
		if f, err = producerOf(args[0]); err != nil {
			return err
		}
		args = args[1:]
	}
	if kind == "sink" { // "sink 7 100+3": three records, the last of which is at position 100
		var position int64
		if _, err := fmt.Sscanf(args[0], "%d+%d", &position, &count); err != nil {
			return err
		}
		f.id = partitionlog.FeederID(f.id)
		f.epoch, f.seq = partitionlog.FeederSequence(position)
	} else if _, err := fmt.Sscanf(args[0], "%d+%d", &f.seq, &count); err != nil {
		return err
	}
	f.txn = slices.Contains(args, "txn")
	w.propose(numbered(f, int(count), w.now), origin)
	return nil
}

// marker reads "marker 7/1 abort 4": of coordinator epoch 4; "v1" for a client
// that keeps its epoch.
func (w *world) marker(args []string) error {
	f, err := producerOf(args[0])
	if err != nil {
		return err
	}
	epoch, err := strconv.Atoi(args[2])
	origin := partitionlog.Coordinator
	switch {
	case slices.Contains(args, "v1"):
		origin = partitionlog.CoordinatorV1
	case slices.Contains(args, "client"):
		origin = partitionlog.Client
	}
	m := partitionlog.Marker{Commit: args[1] == "commit", CoordinatorEpoch: int32(epoch)}
	w.propose(partitionlog.AppendMarker(nil, f.id, f.epoch, m, w.now), origin)
	return err
}

// records reads "records a=1 b": at once in the log, the second a tombstone.
// The first word may be a producer, "7/0:3" with its sequence; it is
// transactional then.
func (w *world) records(args []string) error {
	f := nobody
	if producer, seq, ok := strings.Cut(args[0], ":"); ok {
		var err error
		if f, err = producerOf(producer); err != nil {
			return err
		}
		n, err := strconv.Atoi(seq)
		if err != nil {
			return err
		}
		f.seq, f.txn, args = int32(n), true, args[1:]
	}
	var all []pair
	at := w.now
	for _, a := range args {
		if d, ok := strings.CutPrefix(a, "@"); ok { // later by so much
			later, err := time.ParseDuration(d)
			if err != nil {
				return err
			}
			at = w.now + later.Milliseconds()
			continue
		}
		all = append(all, pairOf(a, at))
	}
	w.propose(batchOf(f, all...), partitionlog.Client)
	return w.commit(nil)
}

func (w *world) propose(b record.Batch, o partitionlog.Origin) {
	dup, err := w.state.Check(b, o, w.guard)
	switch {
	case err != nil:
		w.say("refused: %v", err)
	case dup != nil:
		w.say("a duplicate of %d", dup.Base)
	default:
		base := w.log.next
		for _, p := range w.pending {
			base += record.Offset(p.LastOffsetDelta()) + 1
		}
		record.SetLeaderEpoch(b, w.epoch)
		w.state.Propose(base, b, w.now)
		w.pending = append(w.pending, b)
		w.say("at %d", base)
	}
}

// commit commits so many batches, or all.
func (w *world) commit(args []string) error {
	n := len(w.pending)
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	for _, b := range w.pending[:n] {
		e := w.log.add(b)
		w.state.Commit(e.Base, b, w.now)
		w.index.Add(e, w.now)
	}
	w.pending = w.pending[n:]
	return nil
}

// restart goes on from snapshots.
func (w *world) restart() (err error) {
	if w.state, err = partitionlog.Decode(w.state.Append(nil)); err != nil {
		return err
	}
	w.index, err = partitionlog.DecodeIndex(w.index.Append(nil))
	w.pending = nil
	return err
}

func (w *world) trim(to record.Offset) {
	w.log.trim(to)
	w.state.Trim(to)
	w.index.Trim(to)
}

// show prints what the state knows.
func (w *world) show(args []string) error {
	for _, what := range args {
		switch what {
		case "producers":
			for _, p := range w.state.Producers() {
				w.say("producer %d/%d coordinator %d last sequence %d of %d batches, open since %d, heard of at %s",
					p.ID, p.Epoch, p.CoordinatorEpoch, p.LastSeq(), len(p.Batches), p.TxnFirst, time.Duration(p.LastTime)*time.Millisecond)
			}
		case "stable":
			w.say("stable %d of %d", w.state.LastStable(w.log.next), w.log.next)
		case "epochs":
			for _, e := range w.state.Epochs() {
				w.say("epoch %d from %d", e.Epoch, e.Start)
			}
		default:
			return fmt.Errorf("nothing is called %s", what)
		}
	}
	return nil
}
