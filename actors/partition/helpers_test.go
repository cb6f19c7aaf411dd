package partition_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	if settings := os.Getenv(writerVariable); settings != "" {
		runWriter(settings)
	}
	os.Exit(m.Run())
}

// node is a store and an actor system over a folder.
type node struct {
	t      testing.TB
	dir    string
	store  *persistence.Store
	system *actor.ActorSystem
	tree   *supervise.Tree
	change []func(*persistence.Options)
	refs   []partition.Ref
}

func newNode(t testing.TB, dir string, change ...func(*persistence.Options)) *node {
	t.Helper()
	n := &node{t: t, dir: dir, change: change}
	n.open()
	t.Cleanup(n.close)
	return n
}

func (n *node) open() {
	n.t.Helper()
	o := persistence.Options{Log: slog.New(slog.DiscardHandler), MinFree: 1 << 20, Fatal: func(err error) { n.t.Errorf("the store stopped: %v", err) }}
	for _, c := range n.change {
		c(&o)
	}
	store, err := persistence.Open(n.dir, o)
	if err != nil {
		n.t.Fatalf("open: %v", err)
	}
	n.store = store
	n.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	n.tree = supervise.NewTree(n.system, slog.New(slog.DiscardHandler))
}

// spawner spawns below a guardian of ours.
type spawner struct {
	root   *actor.RootContext
	system *actor.ActorSystem
}

func (s spawner) SpawnNamed(p *actor.Props, name string) (*actor.PID, error) {
	return s.root.SpawnNamed(p, name)
}
func (s spawner) ActorSystem() *actor.ActorSystem { return s.system }

func (n *node) spawner() partition.Spawner {
	return spawner{n.system.Root.WithGuardian(n.tree.Guardian()), n.system}
}

// start starts a partition and waits until it runs.
func (n *node) start(id partition.ID, change ...func(*partition.Env)) partition.Ref {
	n.t.Helper()
	r := n.begin(id, change...)
	if err := r.AwaitStart(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) begin(id partition.ID, change ...func(*partition.Env)) partition.Ref {
	n.t.Helper()
	env := partition.Env{Store: n.store, Tree: n.tree, Log: slog.New(slog.DiscardHandler), Node: 1, ID: id, Config: partition.Defaults(), TendEvery: time.Hour}
	copy(env.TopicID[:], id.Topic)
	for _, c := range change {
		c(&env)
	}
	r, err := partition.Start(n.spawner(), env)
	if err != nil {
		n.t.Fatal(err)
	}
	n.refs = append(n.refs, r)
	return r
}

func (n *node) stop(r partition.Ref) {
	n.t.Helper()
	n.system.Root.Stop(r.PID())
	if err := n.tree.AwaitGone(n.t.Context(), r.PID().Id); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) close() {
	if n.store == nil {
		return
	}
	for _, r := range n.refs {
		n.system.Root.Stop(r.PID())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, r := range n.refs {
		if err := n.tree.AwaitGone(ctx, r.PID().Id); err != nil {
			n.t.Error(err)
		}
	}
	n.refs = nil
	n.store.Close()
	n.store = nil
	n.system.Shutdown()
}

// reopen stops everything and starts it anew.
func (n *node) reopen() {
	n.t.Helper()
	n.close()
	n.open()
}

// crash goes on with a copy of what is on disk now, as if the process had been
// killed.
func (n *node) crash() *node {
	n.t.Helper()
	dir := n.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		n.t.Fatal(err)
	}
	return newNode(n.t, dir, n.change...)
}

// batch is a batch of records with these values.
func batch(values ...string) record.Batch {
	var b record.Builder
	b.At = time.Now().UnixMilli()
	for _, v := range values {
		b.Add(nil, []byte(v))
	}
	return b.Batch()
}

// by makes b that of a producer.
func by(b record.Batch, producer int64, epoch int16, sequence int32) record.Batch {
	binary.BigEndian.PutUint64(b[43:], uint64(producer))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	return sealed(b)
}

// sealed makes the CRC of b right.
func sealed(b record.Batch) record.Batch {
	binary.BigEndian.PutUint32(b[17:], crcOf(b))
	return b
}

// produce appends and waits.
func produce(t testing.TB, r partition.Ref, b record.Batch) partition.Appended {
	t.Helper()
	return <-produceLater(r, b)
}

func produceLater(r partition.Ref, b record.Batch) <-chan partition.Appended {
	done := make(chan partition.Appended, 1)
	r.Append(partition.Append{Batch: b, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) { done <- a }})
	return done
}

// mustProduce appends and answers with the offset.
func mustProduce(t testing.TB, r partition.Ref, b record.Batch) record.Offset {
	t.Helper()
	a := produce(t, r, b)
	if a.Err != nil {
		t.Fatalf("append: %v", a.Err)
	}
	return a.Base
}

// values reads the whole partition: "offset value" of every record.
func values(t testing.TB, r partition.Ref) (all []string) {
	t.Helper()
	for from := r.LogStart(); from < r.HighWatermark(); {
		out, err := r.Read(from, r.HighWatermark(), 1<<20, nil)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(out) == 0 {
			break
		}
		for rest := out; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Split(rest); err != nil {
				t.Fatal(err)
			}
			if err := b.Validate(); err != nil {
				t.Fatal(err)
			}
			payload, _, err := b.Payload(record.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			it := record.Iterate(payload, b.Count())
			for it.Next() {
				all = append(all, fmt.Sprintf("%d %s", b.BaseOffset()+record.Offset(it.OffsetDelta()), it.Value()))
			}
			from = b.LastOffset() + 1
		}
	}
	return all
}

// answers collects what Done is told.
type answers struct {
	mu  sync.Mutex
	got []partition.Appended
	wg  sync.WaitGroup
}

func (a *answers) append(r partition.Ref, b record.Batch) {
	a.wg.Add(1)
	r.Append(partition.Append{Batch: b, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(x partition.Appended) {
		a.mu.Lock()
		a.got = append(a.got, x)
		a.mu.Unlock()
		a.wg.Done()
	}})
}
