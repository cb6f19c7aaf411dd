package partition_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

func withConfig(t testing.TB, settings map[string]string) func(*partition.Env) {
	t.Helper()
	c, err := partition.ParseConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	return func(e *partition.Env) { e.Config = c }
}

func at(b record.Batch, ms int64) record.Batch {
	binary.BigEndian.PutUint64(b[27:], uint64(ms))
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	return sealed(b)
}

// aged is a batch whose records are older, by its base timestamp, than its
// newest time says.
func aged(newest, ms int64) record.Batch {
	b := at(batch("x"), newest)
	binary.BigEndian.PutUint64(b[27:], uint64(newest+ms))
	return sealed(b)
}

func keyed(keys ...string) record.Batch {
	b := record.Builder{At: time.Now().UnixMilli()}
	for _, k := range keys {
		if k == "" {
			b.Add(nil, []byte("v"))
		} else {
			b.Add([]byte(k), []byte("v"))
		}
	}
	return b.Batch()
}

func TestWhatATopicDoesNotTakeIsRefusedAndLeavesNothing(t *testing.T) {
	n := newNode(t, t.TempDir())
	now := time.Now().UnixMilli()
	hour := time.Hour.Milliseconds()
	for i, c := range []struct {
		name     string
		settings map[string]string
		bad      record.Batch
		want     error
		good     record.Batch
	}{
		{"too large", map[string]string{"max.message.bytes": "100"}, batch(strings.Repeat("x", 40)), partition.ErrTooLarge, batch("x")},
		{"from the future", map[string]string{"message.timestamp.after.max.ms": "3600000"}, at(batch("x"), now+2*hour), partition.ErrInvalidTimestamp, at(batch("x"), now+hour/2)},
		{"from the past", map[string]string{"message.timestamp.before.max.ms": "3600000"}, at(batch("x"), now-2*hour), partition.ErrInvalidTimestamp, at(batch("x"), now-hour/2)},
		{"a record of a batch from the past", map[string]string{"message.timestamp.before.max.ms": "3600000"}, aged(now, -2*hour), partition.ErrInvalidTimestamp, at(batch("x"), -1)},
		{"a record without a key in a compacted topic", map[string]string{"cleanup.policy": "compact"}, keyed("a", ""), partition.ErrInvalidRecord, keyed("a", "b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := n.start(partition.ID{Topic: "t", Index: int32(i)}, withConfig(t, c.settings))
			if got := produce(t, r, c.bad); !errors.Is(got.Err, c.want) || got.Base != -1 {
				t.Errorf("at %d, %v; want %v", got.Base, got.Err, c.want)
			}
			if got := mustProduce(t, r, c.good); got != 0 {
				t.Errorf("what is good lies at %d, want 0", got)
			}
		})
	}
}

// The settings count from the moment on at which they change.
func TestSettingsChangeWhileThePartitionRuns(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	c := partition.Defaults()
	c.MaxMessageBytes = 70
	r.Configure(c)
	if err := r.AwaitStart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := produce(t, r, batch("four")); !errors.Is(got.Err, partition.ErrTooLarge) {
		t.Errorf("got %v, want %v", got.Err, partition.ErrTooLarge)
	}
}

func TestLogAppendTimeIsStampedAndTheBatchStaysWhole(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders, withConfig(t, map[string]string{"message.timestamp.type": "LogAppendTime"}))
	before := time.Now().UnixMilli()
	got := produce(t, r, at(batch("a"), 5))
	if got.Err != nil || got.LogAppendTime < before {
		t.Fatalf("at time %d, %v; it was %d before", got.LogAppendTime, got.Err, before)
	}
	out, err := r.Read(0, r.HighWatermark(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := record.Batch(out)
	if err := b.Validate(); err != nil || !b.LogAppendTime() || b.MaxTimestamp() != got.LogAppendTime {
		t.Errorf("read %v, %d, %v", b.LogAppendTime(), b.MaxTimestamp(), err)
	}
	if got := produce(t, n.start(partition.ID{Topic: "other"}), batch("a")); got.LogAppendTime != -1 {
		t.Errorf("without it: time %d, want -1", got.LogAppendTime)
	}
}

func TestAppendsAreRefusedWhileTheVolumeIsNearlyFullAndReadsGoOn(t *testing.T) {
	dir := t.TempDir()
	n := newNode(t, dir)
	mustProduce(t, n.start(orders), batch("a"))
	n.close()
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	free := int64(disk.Bavail) * disk.Bsize
	for _, c := range []struct {
		name string
		min  int64
	}{{"nearly full", free + free/4}, {"so full that no leader can begin", 1 << 50}} {
		n := newNode(t, dir, func(o *persistence.Options) { o.MinFree = c.min })
		r := n.start(orders)
		if got := produce(t, r, batch("b")); !errors.Is(got.Err, partition.ErrNoSpace) {
			t.Errorf("%s: got %v, want %v", c.name, got.Err, partition.ErrNoSpace)
		}
		if got := values(t, r); !slices.Equal(got, []string{"0 a"}) {
			t.Errorf("%s: read %q", c.name, got)
		}
		n.close()
	}
	n = newNode(t, dir)
	if got := mustProduce(t, n.start(orders), batch("b")); got != 1 {
		t.Errorf("when there is room: at %d, want 1", got)
	}
}

func TestRecordsAreDeletedForGood(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	for i := range 5 {
		mustProduce(t, r, by(batch(fmt.Sprint(2*i), fmt.Sprint(2*i+1)), 7, 0, int32(2*i)))
	}
	remove := func(to record.Offset) (record.Offset, error) {
		type answer struct {
			low record.Offset
			err error
		}
		done := make(chan answer, 1)
		r.DeleteRecords(to, func(low record.Offset, err error) { done <- answer{low, err} })
		a := <-done
		return a.low, a.err
	}
	if low, err := remove(3); low != 3 || err != nil { // in the middle of a batch
		t.Fatalf("deleted to %d, %v; want 3", low, err)
	}
	if low, err := remove(1); low != 3 || err != nil {
		t.Errorf("deleted to %d, %v; want 3: the start never goes back", low, err)
	}
	if _, err := remove(11); !errors.Is(err, partition.ErrOffsetOutOfRange) {
		t.Errorf("above the high watermark: %v", err)
	}
	check := func() {
		t.Helper()
		if _, err := r.Read(2, 10, 100, nil); !errors.Is(err, partition.ErrOffsetOutOfRange) {
			t.Errorf("read below the start: %v", err)
		}
		if got := values(t, r); r.LogStart() != 3 || got[0] != "2 2" || len(got) != 8 {
			t.Errorf("from %d: %q", r.LogStart(), got)
		}
		if got := mustProduce(t, r, by(batch("8", "9"), 7, 0, 8)); got != 8 {
			t.Errorf("a repeat lies at %d, want 8", got)
		}
	}
	check()
	n.reopen()
	r = n.start(orders)
	check()
	if low, err := remove(partitionlog.HighWatermark); low != 10 || err != nil {
		t.Errorf("deleted to %d, %v; want 10", low, err)
	}
	n.reopen()
	r = n.start(orders)
	if r.LogStart() != 10 || r.HighWatermark() != 10 || r.LeaderEpoch() != 2 {
		t.Errorf("all deleted: %d to %d, epoch %d", r.LogStart(), r.HighWatermark(), r.LeaderEpoch())
	}
	if got := mustProduce(t, r, batch("x")); got != 10 {
		t.Errorf("the next at %d, want 10", got)
	}
	n = n.crash()
	if r = n.start(orders); r.HighWatermark() != 11 {
		t.Errorf("after a crash: to %d, want 11", r.HighWatermark())
	}
}

func transactional(b record.Batch) record.Batch {
	b[22] |= 1 << 4
	return sealed(b)
}

func TestAnOpenTransactionHoldsTheLastStableOffset(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	woken := make(chan struct{}, 1)
	w := &partition.Watcher{Wake: func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}}
	r.Watch(w)
	defer r.Unwatch(w)
	mustProduce(t, r, transactional(by(batch("a"), 7, 1, 0)))
	mustProduce(t, r, batch("b"))
	if r.LastStable() != 0 || r.HighWatermark() != 2 || !r.OngoingTxn(7, 1) {
		t.Errorf("open: last stable %d, high watermark %d, ongoing %v", r.LastStable(), r.HighWatermark(), r.OngoingTxn(7, 1))
	}
	n.reopen()
	r = n.start(orders)
	r.Watch(w)
	if r.LastStable() != 0 || !r.OngoingTxn(7, 1) {
		t.Errorf("after a restart: last stable %d, ongoing %v", r.LastStable(), r.OngoingTxn(7, 1))
	}
	marker := partitionlog.AppendMarker(nil, 7, 2, partitionlog.Marker{CoordinatorEpoch: 3}, time.Now().UnixMilli())
	if got := produce(t, r, slices.Clone(marker)); !errors.Is(got.Err, partition.ErrInvalid) {
		t.Errorf("a marker of a client: %v", got.Err)
	}
	for len(woken) > 0 {
		<-woken
	}
	done := make(chan partition.Appended, 1)
	r.Append(partition.Append{Batch: marker, Origin: partition.Coordinator, LeaderEpoch: -1, MarkerCoordinatorEpoch: 3, Done: func(a partition.Appended) { done <- a }})
	if got := <-done; got.Err != nil || got.Base != 2 {
		t.Fatalf("the marker: at %d, %v", got.Base, got.Err)
	}
	<-woken
	if r.LastStable() != 3 || r.OngoingTxn(7, 1) {
		t.Errorf("aborted: last stable %d, ongoing %v", r.LastStable(), r.OngoingTxn(7, 1))
	}
	want := []partitionlog.Aborted{{Producer: 7, First: 0, Last: 2, LastStable: 3}}
	if got := r.Aborted(0, 3); !slices.Equal(got, want) {
		t.Errorf("aborted %+v, want %+v", got, want)
	}
	n = n.crash()
	r = n.start(orders)
	if got := r.Aborted(0, 3); !slices.Equal(got, want) {
		t.Errorf("after a crash: aborted %+v, want %+v", got, want)
	}
}

func TestEpochsAreThoseOfTheLeaders(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	mustProduce(t, r, batch("a", "b"))
	n.reopen()
	n.start(orders) // appends nothing
	n.reopen()
	r = n.start(orders)
	mustProduce(t, r, batch("c"))
	if err := r.CheckEpoch(1); !errors.Is(err, partition.ErrFencedLeaderEpoch) {
		t.Errorf("an old epoch: %v", err)
	}
	if err := r.CheckEpoch(3); !errors.Is(err, partition.ErrUnknownLeaderEpoch) {
		t.Errorf("a new epoch: %v", err)
	}
	for asked, want := range map[int32]struct {
		epoch int32
		end   record.Offset
	}{0: {0, 2}, 2: {2, 3}} {
		if epoch, end, err := r.EpochEnd(2, asked); epoch != want.epoch || end != want.end || err != nil {
			t.Errorf("epoch %d ends as %d at %d, %v; want %d at %d", asked, epoch, end, err, want.epoch, want.end)
		}
	}
	done := make(chan partition.Appended, 1)
	r.Append(partition.Append{Batch: batch("x"), LeaderEpoch: 1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) { done <- a }})
	if got := <-done; !errors.Is(got.Err, partition.ErrFencedLeaderEpoch) {
		t.Errorf("an append with an old epoch: %v", got.Err)
	}
	if epoch := r.EpochAt(0); epoch != 0 {
		t.Errorf("the first batch has epoch %d", epoch)
	}
}

func TestRecordsAreFoundByTheirTime(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	for i := range 10 {
		mustProduce(t, r, at(batch("a", "b"), int64(1000+100*i)))
	}
	check := func() {
		t.Helper()
		for ts, want := range map[int64]record.Offset{0: 0, 1000: 0, 1001: 2, 1850: 18, 1901: -1} {
			if o, _, _, err := r.OffsetAt(ts); o != want || err != nil {
				t.Errorf("time %d at offset %d, %v; want %d", ts, o, err, want)
			}
		}
		if o, ts, _, err := r.MaxTimestamp(); o != 18 || ts != 1900 || err != nil {
			t.Errorf("the greatest time: %d at %d, %v", ts, o, err)
		}
	}
	check()
	n.reopen()
	r = n.start(orders)
	check()
}

func TestOldRecordsGoByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, t.TempDir(), func(o *persistence.Options) { o.SkipChild = true })
		r := n.start(orders, withConfig(t, map[string]string{"retention.ms": "3600000"}), func(e *partition.Env) { e.TendEvery = time.Minute })
		mustProduce(t, r, batch("a"))
		<-time.After(30 * time.Minute)
		mustProduce(t, r, batch("b"))
		<-time.After(29 * time.Minute)
		if r.LogStart() != 0 {
			t.Errorf("after 59 minutes the log begins at %d", r.LogStart())
		}
		<-time.After(3 * time.Minute)
		if r.LogStart() != 1 || r.HighWatermark() != 2 {
			t.Errorf("after 62 minutes: %d to %d, want 1 to 2", r.LogStart(), r.HighWatermark())
		}
		<-time.After(time.Hour)
		if r.LogStart() != 2 || r.Size() != 0 {
			t.Errorf("after two hours: from %d, %d bytes", r.LogStart(), r.Size())
		}
		n.close()
	})
}

func TestReadEndsWhereItIsToldAndBringsTheFirstBatchWhole(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	large := strings.Repeat("x", 40<<10)
	sizes := []int{}
	for i := range 6 {
		b := batch("s")
		if i%2 == 1 {
			b = batch(large)
		}
		sizes = append(sizes, len(b))
		mustProduce(t, r, b)
	}
	for _, c := range []struct {
		from, to record.Offset
		max      int
		want     []int
	}{
		{0, 6, 1 << 20, []int{0, 1, 2, 3, 4, 5}},
		{1, 6, 1, []int{1}},
		{0, 6, sizes[0] + sizes[1], []int{0, 1}},
		{0, 6, sizes[0] + sizes[1] - 1, []int{0}},
		{2, 4, 1 << 20, []int{2, 3}},
		{6, 6, 1 << 20, nil},
		{5, 100, 1 << 20, []int{5}},
	} {
		out, err := r.Read(c.from, c.to, c.max, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for rest := out; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Split(rest); err != nil {
				t.Fatal(err)
			}
			if err := b.Validate(); err != nil {
				t.Fatal(err)
			}
			got = append(got, int(b.BaseOffset()))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("read [%d, %d) up to %d: %v, want %v", c.from, c.to, c.max, got, c.want)
		}
	}
	if _, err := r.Read(7, 8, 100, nil); !errors.Is(err, partition.ErrOffsetOutOfRange) {
		t.Errorf("read behind the end: %v", err)
	}
}
