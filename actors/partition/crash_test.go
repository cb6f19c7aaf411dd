package partition_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// writerVariable makes this test program a writer that is to be killed: folder,
// step, number of the step, first sequence, flush policy.
const writerVariable = "SLUICE_PARTITION_WRITER"

const (
	writerBatches = 400
	writerFlight  = 8
	writerID      = 7
)

// random returns a source that SLUICE_SEED repeats.
func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SLUICE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// killer kills the process before step number n.
type killer struct {
	op string
	mu sync.Mutex
	n  int
}

func (k *killer) Before(op, _ string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if op == k.op {
		if k.n--; k.n == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return nil
}

// valueOf is the value of the record with sequence n: some lie in the entry,
// some in a segment.
func valueOf(n int) string {
	size := []int{20, 900, 17 << 10, 3000}[n%4]
	return fmt.Sprintf("%08d%s", n, strings.Repeat("v", size))
}

// tb lets the helpers of the tests work in a process that is no test.
type tb struct{ testing.TB }

func (tb) Helper()                   {}
func (tb) Cleanup(func())            {}
func (tb) Fatal(v ...any)            { fmt.Fprintln(os.Stderr, v...); os.Exit(3) }
func (tb) Fatalf(f string, v ...any) { fmt.Fprintf(os.Stderr, f+"\n", v...); os.Exit(3) }
func (tb) Errorf(f string, v ...any) { fmt.Fprintf(os.Stderr, f+"\n", v...); os.Exit(3) }

// runWriter appends until it is killed, and prints what is acknowledged.
func runWriter(settings string) {
	f := strings.Split(settings, ";")
	at, _ := strconv.Atoi(f[2])
	first, _ := strconv.Atoi(f[3])
	flush, err := persistence.ParsePolicy(f[4])
	if err != nil {
		tb{}.Fatal(err)
	}
	n := newNode(tb{}, f[0], func(o *persistence.Options) {
		o.Faults, o.SegmentBytes = &killer{op: f[1], n: at}, 256<<10
	})
	r := n.begin(orders, func(e *partition.Env) { e.Config.Flush = flush })
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	room := make(chan struct{}, writerFlight)
	for seq := first; seq < first+writerBatches; seq++ {
		room <- struct{}{}
		r.Append(partition.Append{
			Batch: by(batch(valueOf(seq)), writerID, 0, int32(seq)), LeaderEpoch: -1, MarkerCoordinatorEpoch: -1,
			Done: func(a partition.Appended) {
				mu.Lock()
				defer mu.Unlock()
				if a.Err != nil {
					tb{}.Fatal(a.Err)
				}
				fmt.Fprintf(out, "%d %d\n", seq, a.Base)
				out.Flush()
				<-room
			},
		})
	}
	for range writerFlight {
		room <- struct{}{}
	}
	os.Exit(0)
}

// writer runs a writer and returns what it was told: offsets by sequence.
func writer(t *testing.T, dir, op string, at, first int, flush string) (acks map[int]record.Offset, killed bool) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s;%s;%d;%d;%s", writerVariable, dir, op, at, first, flush))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acks = map[int]record.Offset{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var seq int
		var base record.Offset
		if n, _ := fmt.Sscan(lines.Text(), &seq, &base); n == 2 {
			acks[seq] = base
		}
	}
	err = c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Fatal("the writer failed")
	}
	return acks, err != nil
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilledAtAnyStep(t *testing.T) {
	rnd := random(t)
	rounds := 2
	switch {
	case os.Getenv("SLUICE_FULL") == "1":
		rounds = 25
	case testing.Short():
		rounds = 1
	}
	for _, flush := range []string{"always", "interval:1s"} {
		for _, op := range []string{segment.OpWrite, segment.OpSync, segment.OpCreate, persistence.OpCommit} {
			t.Run(flush+"/"+op, func(t *testing.T) {
				dir, next := t.TempDir(), 0
				acks := map[int]record.Offset{}
				kills := 0
				for range rounds {
					at := 1 + rnd.IntN(map[string]int{segment.OpCreate: 5, segment.OpWrite: 12, segment.OpSync: 12, persistence.OpCommit: 20}[op])
					more, killed := writer(t, dir, op, at, next, flush)
					for seq, base := range more {
						acks[seq] = base
					}
					if killed {
						kills++
					}
					next = verifyWriter(t, dir, acks, flush)
				}
				if kills == 0 && flush == "always" {
					t.Errorf("never came to %s", op)
				}
			})
		}
	}
}

// verifyWriter opens what a killed writer has left: what it acknowledged is
// there, in order and once, and its last batches are known as repeats. It
// answers the next sequence.
func verifyWriter(t *testing.T, dir string, acks map[int]record.Offset, flush string) int {
	t.Helper()
	n := newNode(t, dir)
	defer n.close()
	policy, _ := persistence.ParsePolicy(flush)
	r := n.start(orders, func(e *partition.Env) { e.Config.Flush = policy })
	all := values(t, r)
	for i, v := range all {
		if want := fmt.Sprintf("%d %s", i, valueOf(i)); v != want {
			t.Fatalf("record %d is %.30q, want %.30q", i, v, want)
		}
	}
	for seq, base := range acks {
		if seq >= len(all) || record.Offset(seq) != base {
			t.Fatalf("sequence %d was acknowledged at %d, and is lost: the log ends at %d", seq, base, len(all))
		}
	}
	for seq := max(0, len(all)-5); seq < len(all); seq++ {
		if got := mustProduce(t, r, by(batch(valueOf(seq)), writerID, 0, int32(seq))); got != record.Offset(seq) {
			t.Errorf("the repeat of sequence %d was appended at %d", seq, got)
		}
	}
	if got := r.HighWatermark(); got != record.Offset(len(all)) {
		t.Errorf("the log ends at %d after repeats, want %d", got, len(all))
	}
	return len(all)
}

func TestAPartitionThatWasKilledAnswersWhoeverWaited(t *testing.T) {
	g := newGate()
	n := newNode(t, t.TempDir(), func(o *persistence.Options) { o.Faults = g })
	r := n.start(orders)
	woken := make(chan struct{}, 100)
	w := &partition.Watcher{Wake: func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}}
	r.Watch(w)
	defer r.Unwatch(w)
	release := g.block(persistence.OpCommit)
	a := produceLater(r, by(batch("a"), 7, 0, 0))
	<-g.held // it is on its way to the disk
	again := produceLater(r, by(batch("a"), 7, 0, 0))
	if err := n.tree.Kill(r.PID().Id, "a test"); err != nil {
		t.Fatal(err)
	}
	behind := produceLater(r, by(batch("b"), 7, 0, 1)) // while nobody is there
	release()
	for i, done := range []<-chan partition.Appended{a, again, behind} {
		select {
		case got := <-done:
			if want := record.Offset(i / 2); got.Err != nil || got.Base != want {
				t.Errorf("append %d: at %d, %v; want %d", i, got.Base, got.Err, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("append %d is not answered", i)
		}
	}
	for r.HighWatermark() < 2 {
		<-woken // watchers survive
	}
	if got := mustProduce(t, r, by(batch("c"), 7, 0, 2)); got != 2 {
		t.Errorf("the next at %d, want 2", got)
	}
}

func TestAPartitionThatStopsAnswersWhoeverWaited(t *testing.T) {
	g := newGate()
	n := newNode(t, t.TempDir(), func(o *persistence.Options) { o.Faults = g })
	r := n.start(orders)
	release := g.block(persistence.OpCommit)
	a := produceLater(r, batch("a"))
	<-g.held
	n.system.Root.Stop(r.PID())
	release()
	if got := <-a; got.Err != nil || got.Base != 0 {
		t.Errorf("on its way to the disk: at %d, %v", got.Base, got.Err)
	}
	n.stop(r)
	if got := produce(t, r, batch("b")); !errors.Is(got.Err, partition.ErrNotLeader) {
		t.Errorf("when it had stopped: %v", got.Err)
	}
	if r.Leading() {
		t.Error("it leads, stopped")
	}
	done := make(chan error, 1)
	r.DeleteRecords(-1, func(_ record.Offset, err error) { done <- err })
	if err := <-done; !errors.Is(err, partition.ErrNotLeader) {
		t.Errorf("delete records: %v", err)
	}
}

// gate lets a test stop or fail every step that changes the disk.
type gate struct {
	mu   sync.Mutex
	hold map[string]chan struct{} // closed: go on
	held chan string
}

func newGate() *gate { return &gate{hold: map[string]chan struct{}{}, held: make(chan string, 1024)} }

func (g *gate) Before(op, _ string) error {
	g.mu.Lock()
	hold := g.hold[op]
	g.mu.Unlock()
	if hold != nil {
		g.held <- op
		<-hold
	}
	return nil
}

// block makes every op wait; the answer lets them go.
func (g *gate) block(op string) (release func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold[op] = ch
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.hold, op)
		close(ch)
	}
}
