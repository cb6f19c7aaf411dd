package txn

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A scenario is a text of commands, each with the trace of what came of it. Time
// stands still but for "advance". UPDATE=1 writes the traces anew.
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
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(old) {
				t.Errorf("%s says otherwise; got\n%s", file, firstDifference(got, string(old)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < min(len(g), len(w)) && g[n] == w[n] {
		n++
	}
	from := max(0, n-6)
	return strings.Join(g[from:min(len(g), n+10)], "\n") + "\n--- where it says\n" + strings.Join(w[from:min(len(w), n+10)], "\n")
}

// play runs the commands of a scenario and returns it with their traces.
func play(t *testing.T, text string) string {
	w := newWorld()
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			out.WriteString(line + "\n")
			continue
		}
		if strings.HasPrefix(line, "\t") { // an old trace
			continue
		}
		out.WriteString(line + "\n")
		w.trace.Reset()
		if err := w.do(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out.WriteString(w.trace.String())
	}
	return out.String()
}

// world is what surrounds a coordinator: its log, the partitions, the producer ids.
type world struct {
	c       *Coordinator
	now     int64
	log     [][2][]byte
	held    map[string]bool
	writes  []Write
	markers []Marker
	fetches int
	nextID  int64
	names   map[any]string // of requests
	trace   strings.Builder
}

func newWorld() *world {
	w := &world{c: NewCoordinator(DefaultConfig), held: map[string]bool{}, names: map[any]string{}, nextID: 1000}
	w.c.Loaded(0)
	return w
}

func (w *world) do(words []string) error {
	verb, args, options := words[0], []string{}, map[string]string{}
	for _, word := range words[1:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			options[key] = value
		} else {
			args = append(args, word)
		}
	}
	switch verb {
	case "init":
		w.init(args, options)
	case "add":
		w.add(args, options)
	case "end":
		w.end(args, options)
	case "describe":
		m := kmsg.NewPtrDescribeTransactionsRequest()
		m.TransactionalIDs = args
		w.handle("describe", m)
	case "list":
		w.list(options)
	case "advance":
		return w.advance(args[0])
	case "hold":
		w.held[args[0]] = true
	case "release":
		delete(w.held, args[0])
		w.release(args[0], 0)
	case "fail":
		w.release(args[0], kerr.CoordinatorNotAvailable.Code)
	case "crash": // with what is on its way
		w.writes, w.markers, w.fetches = nil, nil, 0
		w.held = map[string]bool{}
		w.c = NewCoordinator(DefaultConfig)
		if len(args) > 0 && args[0] == "loading" {
			return nil
		}
		return w.load()
	case "load":
		return w.load()
	case "drop":
		w.c.Drop(kerr.NotCoordinator.Code)
	case "log":
		w.printLog()
	case "put": // into the log, as if it had come to that
		v := value{previous: noProducer, next: noProducer, last: noEpoch, timeout: 60000, started: -1, updated: w.now}
		v.producer, v.epoch = producerOf(args[1])
		v.state = State(slices.Index(stateNames, args[2]))
		w.log = append(w.log, [2][]byte{encodeKey(args[0]), v.encode()})
		w.c = NewCoordinator(DefaultConfig)
		return w.load()
	case "next-id":
		w.nextID = number(args[0])
		w.c.firstID, w.c.endID = 0, 0
	default:
		return fmt.Errorf("no command %q", verb)
	}
	w.settle()
	return nil
}

func (w *world) load() error {
	for _, r := range w.log {
		if err := w.c.Load(r[0], r[1]); err != nil {
			return err
		}
	}
	w.c.Loaded(w.now)
	w.settle()
	return nil
}

func (w *world) init(args []string, options map[string]string) {
	m := kmsg.NewPtrInitProducerIDRequest()
	m.Version = 5
	if len(args) > 0 {
		m.TransactionalID = &args[0]
	}
	m.TransactionTimeoutMillis = int32(duration(options["timeout"], time.Minute).Milliseconds())
	if p := options["producer"]; p != "" {
		m.ProducerID = number(p)
	}
	if e := options["epoch"]; e != "" {
		m.ProducerEpoch = int16(number(e))
	}
	w.handle("init", m)
}

func (w *world) add(args []string, options map[string]string) {
	id, epoch := producerOf(args[1])
	a := &Add{TransactionalID: args[0], ProducerID: id, Epoch: epoch, Version: 2}
	for _, word := range args[2:] {
		switch word {
		case "v1":
			a.Version = 0
		case "verify":
			a.VerifyOnly = true
		case "wait":
			a.Wait = true
		default:
			at := strings.LastIndexByte(word, '-')
			a.Partitions = append(a.Partitions, Partition{Topic: word[:at], Index: int32(number(word[at+1:]))})
		}
	}
	w.names[a] = "add " + strings.Join(args, " ")
	w.c.Add(w.now, a)
}

func (w *world) end(args []string, options map[string]string) {
	m := kmsg.NewPtrEndTxnRequest()
	m.Version = 5
	m.TransactionalID = args[0]
	m.ProducerID, m.ProducerEpoch = producerOf(args[1])
	for _, word := range args[2:] {
		switch word {
		case "v1":
			m.Version = 4
		case "commit":
			m.Commit = true
		}
	}
	w.handle("end "+strings.Join(args, " "), m)
}

func (w *world) list(options map[string]string) {
	m := kmsg.NewPtrListTransactionsRequest()
	m.Version = 2
	if s := options["state"]; s != "" {
		m.StateFilters = strings.Split(s, ",")
	}
	if p := options["producer"]; p != "" {
		m.ProducerIDFilters = []int64{number(p)}
	}
	if d := options["longer"]; d != "" {
		m.DurationFilterMillis = duration(d, 0).Milliseconds()
	}
	if p, ok := options["pattern"]; ok {
		m.TransactionalIDPattern = &p
	}
	w.handle("list", m)
}

func (w *world) handle(name string, body kmsg.Request) {
	q := &Request{Body: body}
	w.names[q] = name
	w.c.Handle(w.now, q)
}

// advance lets time pass, one timer after the other.
func (w *world) advance(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	end := w.now + d.Milliseconds()
	for {
		at, ok := w.c.Next()
		if !ok || at > end {
			break
		}
		if at < w.now {
			return fmt.Errorf("a timer is set to %d, it is %d", at, w.now)
		}
		w.now = at
		w.print("at %v", time.Duration(w.now)*time.Millisecond)
		w.c.Tick(w.now)
		if again, ok := w.c.Next(); ok && again <= w.now {
			return fmt.Errorf("a timer that was due at %d is still set to %d", w.now, again)
		}
		w.settle()
	}
	w.now = end
	return nil
}

// settle does what the coordinator wants, and prints it, until it wants no more.
func (w *world) settle() {
	for {
		outputs := slices.Clone(w.c.Take())
		for _, o := range outputs {
			w.output(o)
		}
		if len(outputs) == 0 {
			return
		}
		for _, kind := range []string{"ids", "log", "markers"} {
			if !w.held[kind] {
				w.release(kind, 0)
			}
		}
	}
}

func (w *world) output(o Output) {
	switch o := o.(type) {
	case Write:
		if o.Value == nil {
			w.print("write %s forgotten", o.ID)
		} else {
			v, err := decodeValue(o.Value)
			if err != nil {
				w.print("write %s: %v", o.ID, err)
			}
			w.print("write %s %s", o.ID, show(&v))
		}
		w.writes = append(w.writes, o)
	case Marker:
		what := "abort"
		if o.Commit {
			what = "commit"
		}
		w.print("marker %s %s %d/%d v%d", o.Partition, what, o.Producer, o.Epoch, o.Version)
		w.markers = append(w.markers, o)
	case Answer:
		w.print("answer %s: %s", w.names[o.Request], response(o.Response))
	case Added:
		var codes []string
		for i, c := range o.Codes {
			codes = append(codes, o.Add.Partitions[i].String()+" "+codeName(c))
		}
		w.print("answer %s: %s", w.names[o.Add], strings.Join(codes, ", "))
	case FetchIDs:
		w.print("fetch producer ids")
		w.fetches++
	}
}

// release lets what is held come to its end, well or, with a code, not.
func (w *world) release(kind string, code int16) {
	switch kind {
	case "log":
		list := w.writes
		w.writes = nil
		for _, o := range list {
			if code == 0 {
				w.log = append(w.log, [2][]byte{o.Key, o.Value})
			}
			w.c.Written(w.now, o.ID, code)
		}
	case "markers":
		list := w.markers
		w.markers = nil
		for _, m := range list {
			w.c.Marked(w.now, m, code == 0)
		}
	case "ids":
		for ; w.fetches > 0; w.fetches-- {
			if code != 0 {
				w.c.IDs(w.now, 0, 0)
				continue
			}
			w.c.IDs(w.now, w.nextID, 1000)
			w.nextID += 1000
		}
	}
}

func (w *world) print(format string, args ...any) {
	fmt.Fprintf(&w.trace, "\t"+format+"\n", args...)
}

func (w *world) printLog() {
	last := map[string][]byte{}
	for _, r := range w.log {
		last[string(r[0])] = r[1]
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		id, _, _ := decodeKey([]byte(key))
		if last[key] == nil {
			w.print("%s forgotten", id)
			continue
		}
		v, err := decodeValue(last[key])
		if err != nil {
			w.print("%s: %v", id, err)
			continue
		}
		if again := v.encode(); !bytes.Equal(again, last[key]) {
			w.print("%s reads back as another value", id)
		}
		w.print("%s %s", id, show(&v))
	}
}

func show(v *value) string {
	s := fmt.Sprintf("%s %d/%d", v.state, v.producer, v.epoch)
	if v.last != noEpoch {
		s += fmt.Sprintf(" after epoch %d", v.last)
	}
	if v.previous != noProducer {
		s += fmt.Sprintf(" previous %d", v.previous)
	}
	if v.next != noProducer {
		s += fmt.Sprintf(" next %d", v.next)
	}
	if v.started >= 0 && !v.state.idle() {
		s += fmt.Sprintf(" since %v", time.Duration(v.started)*time.Millisecond)
	}
	for _, p := range v.partitions {
		s += " " + p.String()
	}
	return s
}

func response(r kmsg.Response) string {
	switch r := r.(type) {
	case *kmsg.InitProducerIDResponse:
		if r.ErrorCode == 0 {
			return fmt.Sprintf("%d/%d", r.ProducerID, r.ProducerEpoch)
		}
		return codeName(r.ErrorCode)
	case *kmsg.EndTxnResponse:
		if r.ErrorCode == 0 {
			return fmt.Sprintf("%d/%d", r.ProducerID, r.ProducerEpoch)
		}
		return codeName(r.ErrorCode)
	case *kmsg.ListTransactionsResponse:
		s := codeName(r.ErrorCode)
		for _, u := range r.UnknownStateFilters {
			s += " unknown:" + u
		}
		for _, t := range r.TransactionStates {
			s += fmt.Sprintf(" %s=%s/%d", t.TransactionalID, t.TransactionState, t.ProducerID)
		}
		return s
	case *kmsg.DescribeTransactionsResponse:
		var all []string
		for _, t := range r.TransactionStates {
			s := t.TransactionalID + " " + codeName(t.ErrorCode)
			if t.ErrorCode == 0 {
				s += fmt.Sprintf(" %s %d/%d timeout %dms start %d", t.State, t.ProducerID, t.ProducerEpoch, t.TimeoutMillis, t.StartTimestamp)
			}
			for _, topic := range t.Topics {
				s += fmt.Sprintf(" %s%v", topic.Topic, topic.Partitions)
			}
			all = append(all, s)
		}
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%T", r)
}

func codeName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "ok"
}

func producerOf(word string) (int64, int16) {
	id, epoch, _ := strings.Cut(word, "/")
	return number(id), int16(number(epoch))
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func duration(s string, otherwise time.Duration) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}
