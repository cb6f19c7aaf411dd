package channeltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
)

// Subject is a kind of channel to be judged.
type Subject struct {
	// Spec makes what a channel of capacity records is made of. It is asked
	// again after a restart of the node.
	Spec func(n *Node, name string, capacity int) *channel.Spec
	// Durable is true where a batch survives the process.
	Durable bool
}

// Run judges the kind. Every case has a node and a clock of its own.
func Run(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Node, Subject)
	}{
		{"keeps the order and every record", keepsOrder},
		{"pushes back when it is full", pushesBack},
		{"refuses what would never fit", refusesTooLarge},
		{"counts bytes in slots", countsSlots},
		{"gives room in the order of asking", givesRoomInOrder},
		{"leaks no room to those who stop waiting", leaksNoRoom},
		{"can be made larger and smaller", canBeAdjusted},
		{"puts into all channels or none", putsAllOrNone},
		{"gives every record to one of its sinks", sharesBetweenSinks},
		{"offers what was rolled back to anybody", offersRolledBack},
		{"wakes a sink that waits", wakesSink},
		{"goes on after it failed", goesOnAfterFailure},
		{"loses no room to those who asked while it was down", losesNoRoomWhileDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				n := Open(t, dir)
				defer func() { n.Close() }()
				c.run(t, n, s)
			})
		})
	}
	if s.Durable {
		t.Run("goes on after the node stopped", func(t *testing.T) { s.goesOnAfterRestart(t) })
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%s: %d records, want %d; they part at %d", what, len(got), len(want), at)
}

func put(t testing.TB, n *Node, first, count int, to ...channel.Ref) {
	t.Helper()
	if err := n.Put(t.Context(), Numbered(first, count), 10*time.Second, to...); err != nil {
		t.Fatalf("put %d records: %v", count, err)
	}
}

func keepsOrder(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 1000))
	random := rand.New(rand.NewPCG(3, 4))
	k := n.Sink("k1", c)
	defer k.Close()
	sent := 0
	var got []string
	for sent < 3000 {
		size := 1 + random.IntN(90)
		put(t, n, sent, size, c)
		if sent += size; sent%3 > 0 {
			got = append(got, k.TakeAll(1+random.IntN(int(n.Inspect(c).Held)), 1+random.IntN(70))...)
		}
	}
	got = append(got, k.TakeAll(sent-len(got), 100)...)
	equal(t, "what came out", got, Numbered(0, sent))
	if snap := n.Inspect(c); snap.Held != 0 || snap.Bytes != 0 || snap.MemoryBytes != 0 || snap.BySink["k1"] != int64(sent) {
		t.Errorf("empty again: got %+v", snap)
	}
}

// Full is said exactly when the patience of the sender ends, and not before.
func pushesBack(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	put(t, n, 0, 8, c)
	start := time.Now()
	err := n.Put(t.Context(), Numbered(8, 3), 3*time.Second, c)
	if !errors.Is(err, channel.ErrFull) || time.Since(start) != 3*time.Second {
		t.Fatalf("3 into a channel with room for 2: %v after %v, want %v after 3s", err, time.Since(start), channel.ErrFull)
	}
	put(t, n, 8, 2, c)
	if snap := n.Inspect(c); snap.Held != 10 || snap.PutError != 1 {
		t.Fatalf("full: got %+v", snap)
	}
	k := n.Sink("k1", c)
	defer k.Close()
	late := make(chan error, 1)
	go func() { late <- n.Put(t.Context(), Numbered(10, 5), time.Hour, c) }()
	synctest.Wait()
	if snap := n.Inspect(c); snap.Waiting != 1 || snap.Full.IsZero() {
		t.Errorf("a source waits for room: got %+v", snap)
	}
	first := k.TakeAll(5, 5)
	if err := <-late; err != nil {
		t.Fatalf("put once there is room: %v", err)
	}
	equal(t, "all of it", append(first, k.TakeAll(10, 10)...), Numbered(0, 15))
}

func refusesTooLarge(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	start := time.Now()
	if err := n.Put(t.Context(), Numbered(0, 11), time.Hour, c); !errors.Is(err, channel.ErrTooLarge) || time.Since(start) > time.Second {
		t.Fatalf("11 into a channel of 10: %v after %v, want %v at once", err, time.Since(start), channel.ErrTooLarge)
	}
	put(t, n, 0, 10, c)
}

// A body counts as so many slots of 100 bytes, at least one, as Flume counts.
func countsSlots(t *testing.T, n *Node, s Subject) {
	spec := s.Spec(n, "c1", 1000)
	spec.ByteCapacity = 1000
	if s.Durable {
		spec.ByteCapacity = 0
	}
	c := n.Spawn(spec)
	if s.Durable {
		t.Log("a channel on disk is bound by its records")
		put(t, n, 0, 1000, c)
		return
	}
	put(t, n, 0, 9, c) // 6 bytes each take a slot each
	if err := n.Put(t.Context(), []string{string(make([]byte, 101))}, time.Second, c); !errors.Is(err, channel.ErrFull) {
		t.Fatalf("two slots where one is free: %v", err)
	}
	put(t, n, 9, 1, c)
	if snap := n.Inspect(c); snap.Bytes != 1000 {
		t.Errorf("10 small records take %d bytes, want 1000", snap.Bytes)
	}
	k := n.Sink("k1", c)
	defer k.Close()
	k.TakeAll(10, 10)
	// What is larger than all of the channel goes through it alone.
	if err := n.Put(t.Context(), []string{string(make([]byte, 5000))}, time.Second, c); err != nil {
		t.Errorf("one large record into the empty channel: %v", err)
	}
}

func givesRoomInOrder(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	put(t, n, 0, 10, c)
	answered := make(chan int, 3)
	for i, size := range []int{6, 1, 3} { // the small ones do not overtake
		go func() {
			if err := n.Put(t.Context(), Numbered(100*i, size), time.Hour, c); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			answered <- i
		}()
		synctest.Wait()
	}
	k := n.Sink("k1", c)
	defer k.Close()
	k.TakeAll(5, 5)
	synctest.Wait()
	if len(answered) != 0 {
		t.Fatalf("source %d overtook the one that needs more room", <-answered)
	}
	for i, free := range []int{1, 1, 3} {
		k.TakeAll(free, free)
		if got := <-answered; got != i {
			t.Fatalf("source %d was answered, and it is the turn of %d", got, i)
		}
	}
	got := k.TakeAll(10, 10)
	equal(t, "the order of asking", got, slices.Concat(Numbered(0, 6), Numbered(100, 1), Numbered(200, 3)))
}

func leaksNoRoom(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	put(t, n, 0, 10, c)
	gone := errors.New("the sender is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	results := make(chan error, 4)
	for range 4 {
		go func() { results <- n.Put(ctx, Numbered(0, 5), 0, c) }()
	}
	synctest.Wait()
	k := n.Sink("k1", c)
	defer k.Close()
	l, _ := k.Take(10)
	cancel(gone) // at the same time as there is room
	if err := k.Commit(nil, l); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for range 4 {
		if err := <-results; err == nil {
			stored += 5
		} else if !errors.Is(err, gone) {
			t.Errorf("withdrawn: %v, want %v", err, gone)
		}
	}
	if stored > 0 {
		k.TakeAll(stored, 10)
	}
	put(t, n, 0, 10, c) // all of the room is there
}

func canBeAdjusted(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	put(t, n, 0, 10, c)
	late := make(chan error, 1)
	go func() { late <- n.Put(t.Context(), Numbered(10, 10), time.Hour, c) }()
	synctest.Wait()
	c.Adjust(&channel.Spec{Capacity: 25})
	if err := <-late; err != nil {
		t.Fatalf("put into the larger channel: %v", err)
	}
	c.Adjust(&channel.Spec{Capacity: 15})
	if n.Inspect(c); c.Capacity() != 15 {
		t.Errorf("capacity %d, want 15", c.Capacity())
	}
	if err := n.Put(t.Context(), Numbered(20, 1), time.Second, c); !errors.Is(err, channel.ErrFull) {
		t.Errorf("1 into a channel of 15 that holds 20: %v", err)
	}
	k := n.Sink("k1", c)
	defer k.Close()
	equal(t, "what it held", k.TakeAll(20, 7), Numbered(0, 20))
	if err := n.Put(t.Context(), Numbered(0, 16), time.Second, c); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("16 into a channel of 15: %v", err)
	}
}

// One channel that is full keeps the batch out of all of them.
func putsAllOrNone(t *testing.T, n *Node, s Subject) {
	a, b, last := n.Spawn(s.Spec(n, "c1", 100)), n.Spawn(s.Spec(n, "c2", 10)), n.Spawn(s.Spec(n, "c3", 100))
	put(t, n, 0, 10, b)
	if err := n.Put(t.Context(), Numbered(0, 5), time.Second, a, b, last); !errors.Is(err, channel.ErrFull) {
		t.Fatalf("put into three channels, one of them full: %v", err)
	}
	for _, c := range []channel.Ref{a, last} {
		if snap := n.Inspect(c); snap.Held != 0 || snap.Put != 0 {
			t.Errorf("channel %s kept %d records", c.Name(), snap.Held)
		}
		put(t, n, 0, 100, c) // nor does it keep room
		k := n.Sink("k1", c)
		k.TakeAll(100, 100)
		k.Close()
	}
	k := n.Sink("k1", b)
	k.TakeAll(10, 10)
	k.Close()
	put(t, n, 0, 5, a, b, last)
	for _, c := range []channel.Ref{a, b, last} {
		if snap := n.Inspect(c); snap.Held != 5 {
			t.Errorf("channel %s holds %d records, want 5", c.Name(), snap.Held)
		}
	}
}

func sharesBetweenSinks(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10_000))
	const total = 3000
	results := make(chan []string, 3)
	for i := range 3 {
		go func() {
			k := n.Sink(fmt.Sprint("k", i), c)
			defer k.Close()
			var mine []string
			for {
				l, bodies := k.Take(7 + i)
				if err := k.Commit(nil, l); err != nil {
					t.Errorf("commit: %v", err)
				}
				if bodies[0] == "end" {
					break
				}
				mine = append(mine, bodies...)
			}
			results <- mine
		}()
	}
	for at := 0; at < total; at += 100 {
		put(t, n, at, 100, c)
	}
	n.Until("all delivered", func() bool { return n.Inspect(c).Held == 0 })
	for range 3 {
		// One at a time: each is a lease of its own.
		if err := n.Put(t.Context(), []string{"end"}, time.Second, c); err != nil {
			t.Fatal(err)
		}
		n.Until("a sink took its end", func() bool { return n.Inspect(c).Held == 0 })
	}
	var all []string
	for range 3 {
		all = append(all, <-results...)
	}
	slices.Sort(all)
	equal(t, "what the sinks got together", all, Numbered(0, total))
}

func offersRolledBack(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 100))
	put(t, n, 0, 20, c)
	one, two := n.Sink("k1", c), n.Sink("k2", c)
	defer two.Close()
	l1, _ := one.Take(4)
	l2, _ := one.Take(6)
	_, middle := two.Take(5)
	equal(t, "the next five", middle, Numbered(10, 5))
	one.Taker.Rollback(l2)
	one.Taker.Rollback(l1)
	_, got := two.Take(100)
	equal(t, "the first lease again", got, Numbered(0, 4))
	_, got = two.Take(100)
	equal(t, "the second lease again", got, Numbered(4, 6))
	_, got = one.Take(3)
	equal(t, "what nobody had", got, Numbered(15, 3))
	one.Close() // all that it has goes back
	_, got = two.Take(100)
	equal(t, "what the closed sink had", got, Numbered(15, 3))
	if snap := n.Inspect(c); snap.Held != 20 || snap.TakeErr != 2 {
		t.Errorf("nothing is committed: got %+v", snap)
	}
}

func wakesSink(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 100))
	k := n.Sink("k1", c)
	defer k.Close()
	woken := make(chan time.Time, 1)
	go func() {
		if err := k.Taker.Await(context.Background()); err != nil {
			t.Error(err)
		}
		woken <- time.Now()
	}()
	<-time.After(3 * time.Hour)
	start := time.Now()
	put(t, n, 0, 1, c)
	if at := <-woken; at.Sub(start) > time.Millisecond*500 {
		t.Errorf("woken %v after the put", at.Sub(start))
	}
	k.TakeAll(1, 1)
}

// What was leased when the channel failed is offered again, and the leases of
// before are worth nothing.
func goesOnAfterFailure(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 1000))
	put(t, n, 0, 30, c)
	k := n.Sink("k1", c)
	defer k.Close()
	done, _ := k.Take(10)
	if err := k.Commit(nil, done); err != nil {
		t.Fatal(err)
	}
	out, before := k.Take(7)
	n.Kill("channel/c1")
	if err := k.Commit(nil, out); !errors.Is(err, channel.ErrStale) {
		t.Fatalf("commit a lease of the life before: %v, want %v", err, channel.ErrStale)
	}
	_, again := k.Take(7)
	equal(t, "what was leased", again, before)
	put(t, n, 30, 5, c)
	_, rest := k.Take(100)
	for len(rest) < 18 {
		_, more := k.Take(100)
		rest = append(rest, more...)
	}
	equal(t, "the rest", rest, Numbered(17, 18))
	if snap := n.Inspect(c); snap.Put != 35 || snap.Delivered != 10 {
		t.Errorf("the counters do not go on: %+v", snap)
	}
}

// A source that asks a channel which is down and gives up must not be granted
// room when the channel is back.
func losesNoRoomWhileDown(t *testing.T, n *Node, s Subject) {
	c := n.Spawn(s.Spec(n, "c1", 10))
	for range 7 { // the waits grow to some seconds
		n.Kill("channel/c1")
	}
	if err := n.Tree.Kill("channel/c1", "killed on purpose"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if err := n.Put(t.Context(), Numbered(0, 6), time.Second, c); !errors.Is(err, channel.ErrFull) {
		t.Fatalf("put into a channel that is down: %v", err)
	}
	n.Until("the channel is back", func() bool {
		p, err := n.Tree.Get("channel/c1")
		return err == nil && p.State == "RUNNING"
	})
	n.Inspect(c)
	<-time.After(time.Second)
	put(t, n, 0, 10, c)
}

// The process ends with leases out and some of them committed out of order.
func (s Subject) goesOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := Open(t, dir)
		c := n.Spawn(s.Spec(n, "c1", 1000))
		put(t, n, 0, 50, c)
		put(t, n, 50, 50, c)
		k := n.Sink("k1", c)
		first, _ := k.Take(10)
		_, _ = k.Take(10)
		third, _ := k.Take(40) // over the end of the first batch
		if err := k.Commit(nil, third); err != nil {
			t.Fatal(err)
		}
		if err := k.Commit(nil, first); err != nil {
			t.Fatal(err)
		}
		n.Close()

		n = Open(t, dir)
		defer n.Close()
		c = n.Spawn(s.Spec(n, "c1", 1000))
		if snap := n.Inspect(c); snap.Carried != 50 {
			t.Errorf("held from before: %d, want 50", snap.Carried)
		}
		k = n.Sink("k1", c)
		defer k.Close()
		equal(t, "what was not committed", k.TakeAll(50, 25), slices.Concat(Numbered(10, 10), Numbered(60, 40)))
		put(t, n, 100, 10, c)
		equal(t, "what is new", k.TakeAll(10, 10), Numbered(100, 10))
	})
}
