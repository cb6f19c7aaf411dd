package txn_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/actors/txn"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// node is a store with the partitions of one topic, and a coordinator.
type node struct {
	t      *testing.T
	dir    string
	store  *persistence.Store
	system *actor.ActorSystem
	tree   *supervise.Tree
	own    partition.Ref
	txns   txn.Ref

	mu     sync.Mutex
	parts  map[partition.ID]partition.Ref
	absent map[partition.ID]bool // for now
	asked  sync.Cond             // a partition was asked for
	asks   int
	nextID int64
}

func start(t *testing.T, dir string, firstID int64) *node {
	t.Helper()
	n := &node{t: t, dir: dir, parts: map[partition.ID]partition.Ref{}, absent: map[partition.ID]bool{}, nextID: firstID}
	n.asked.L = &n.mu
	store, err := persistence.Open(dir, persistence.Options{
		Log: slog.New(slog.DiscardHandler), MinFree: 1 << 20,
		Fatal: func(err error) { t.Errorf("the store stopped: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	n.store = store
	system := actor.NewActorSystem()
	n.tree = supervise.NewTree(system, slog.New(slog.DiscardHandler))
	n.system = n.tree.System()
	t.Cleanup(n.stop)
	n.own = n.part(partition.ID{Topic: txn.Topic})
	for i := range int32(3) {
		id := partition.ID{Topic: "orders", Index: i}
		n.parts[id] = n.part(id)
	}
	n.txns, err = txn.Start(n.spawner(), txn.Env{
		Tree: n.tree, Logger: slog.New(slog.DiscardHandler), Log: n.own,
		Partition: n.find,
		Exists: func(id partition.ID) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			_, ok := n.parts[id]
			return ok
		},
		ProducerIDs: n.reserve,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// spawner spawns below the guardian of the tree.
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

func (n *node) part(id partition.ID) partition.Ref {
	n.t.Helper()
	env := partition.Env{
		Store: n.store, Tree: n.tree, Log: slog.New(slog.DiscardHandler), Node: 1, ID: id,
		Config: partition.Defaults(), TendEvery: time.Hour,
	}
	copy(env.TopicID[:], id.Topic)
	r, err := partition.Start(n.spawner(), env)
	if err == nil {
		err = r.AwaitStart(n.t.Context())
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) find(id partition.ID) (partition.Ref, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asks++
	n.asked.Broadcast()
	r, ok := n.parts[id]
	if !ok || n.absent[id] {
		return r, fmt.Errorf("%s is not here", id)
	}
	return r, nil
}

// setAbsent hides a partition, or shows it again.
func (n *node) setAbsent(id partition.ID, absent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.absent[id] = absent
}

// awaitAsk waits until a marker is to be written.
func (n *node) awaitAsk() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for before := n.asks; n.asks == before; {
		n.asked.Wait()
	}
}

func (n *node) stop() {
	if n.store == nil {
		return
	}
	pids := []*actor.PID{n.own.PID()}
	if n.txns != (txn.Ref{}) {
		pids = append(pids, n.txns.PID())
	}
	for _, r := range n.parts {
		pids = append(pids, r.PID())
	}
	for _, pid := range pids {
		n.system.Root.Stop(pid)
		n.tree.AwaitGone(n.t.Context(), pid.Id)
	}
	n.store.Close()
	n.store = nil
	n.system.Shutdown()
}

// ask sends a request and waits; while the coordinator is not there it asks
// again, as clients do.
func ask[R kmsg.Response](n *node, body kmsg.Request) R {
	n.t.Helper()
	for {
		done := make(chan kmsg.Response, 1)
		n.txns.Handle(txn.Request{Body: body, Done: func(r kmsg.Response) { done <- r }})
		r := <-done
		switch code := codeOf(r); code {
		case kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.ConcurrentTransactions.Code:
			runtimeYield()
		default:
			return r.(R)
		}
	}
}

// runtimeYield lets others work before the next try.
func runtimeYield() { <-time.After(time.Millisecond) }

func codeOf(r kmsg.Response) int16 {
	switch r := r.(type) {
	case *kmsg.InitProducerIDResponse:
		return r.ErrorCode
	case *kmsg.EndTxnResponse:
		return r.ErrorCode
	case *kmsg.DescribeTransactionsResponse:
		return r.TransactionStates[0].ErrorCode
	}
	return 0
}

func (n *node) init(id string) (int64, int16) {
	n.t.Helper()
	m := kmsg.NewPtrInitProducerIDRequest()
	m.Version, m.TransactionalID, m.TransactionTimeoutMillis = 5, &id, 60_000
	r := ask[*kmsg.InitProducerIDResponse](n, m)
	if r.ErrorCode != 0 {
		n.t.Fatalf("init %s: %v", id, kerr.ErrorForCode(r.ErrorCode))
	}
	return r.ProducerID, r.ProducerEpoch
}

func (n *node) end(id string, producer int64, epoch int16, commit bool) *kmsg.EndTxnResponse {
	n.t.Helper()
	m := kmsg.NewPtrEndTxnRequest()
	m.Version, m.TransactionalID, m.ProducerID, m.ProducerEpoch, m.Commit = 5, id, producer, epoch, commit
	return ask[*kmsg.EndTxnResponse](n, m)
}

func (n *node) add(id string, producer int64, epoch int16, indexes ...int32) {
	n.t.Helper()
	a := txn.Add{TransactionalID: id, ProducerID: producer, Epoch: epoch, Version: 2, Wait: true}
	for _, i := range indexes {
		a.Partitions = append(a.Partitions, partition.ID{Topic: "orders", Index: i})
	}
	for {
		done := make(chan []int16, 1)
		a.Done = func(codes []int16) { done <- codes }
		n.txns.Add(a)
		switch code := (<-done)[0]; code {
		case 0:
			return
		case kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.ConcurrentTransactions.Code:
			runtimeYield()
		default:
			n.t.Fatalf("add to %s: %v", id, kerr.ErrorForCode(code))
		}
	}
}

func (n *node) state(id string) string {
	n.t.Helper()
	m := kmsg.NewPtrDescribeTransactionsRequest()
	m.TransactionalIDs = []string{id}
	s := ask[*kmsg.DescribeTransactionsResponse](n, m).TransactionStates[0]
	if s.ErrorCode != 0 {
		n.t.Fatalf("describe %s: %v", id, kerr.ErrorForCode(s.ErrorCode))
	}
	return s.State
}

func (n *node) await(id, state string) {
	n.t.Helper()
	for n.state(id) != state {
		runtimeYield()
	}
}

// markers reads what ended transactions in a partition.
func (n *node) markers(index int32) (list []string) {
	n.t.Helper()
	r := n.parts[partition.ID{Topic: "orders", Index: index}]
	data, err := r.Read(0, r.HighWatermark(), 1<<20, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for len(data) > 0 {
		var b record.Batch
		if b, data, err = record.Split(data); err != nil {
			n.t.Fatal(err)
		}
		if b.Control() {
			m, err := partitionlog.ParseMarker(b)
			if err != nil {
				n.t.Fatal(err)
			}
			list = append(list, fmt.Sprintf("%d/%d commit %v", b.ProducerID(), b.ProducerEpoch(), m.Commit))
		}
	}
	return list
}

func (n *node) wantMarkers(index int32, want ...string) {
	n.t.Helper()
	if got := n.markers(index); fmt.Sprint(got) != fmt.Sprint(want) {
		n.t.Errorf("markers in orders-%d: %q, want %q", index, got, want)
	}
}

func TestATransactionEndsWithAMarkerInEachOfItsPartitions(t *testing.T) {
	n := start(t, t.TempDir(), 1000)
	id, epoch := n.init("a")
	n.add("a", id, epoch, 0, 2)
	r := n.end("a", id, epoch, true)
	if r.ErrorCode != 0 || r.ProducerEpoch != epoch+1 {
		t.Fatalf("end: %+v", r)
	}
	n.await("a", "CompleteCommit")
	n.add("a", id, r.ProducerEpoch, 0)
	n.end("a", id, r.ProducerEpoch, false)
	n.await("a", "CompleteAbort")
	n.wantMarkers(0, "1000/1 commit true", "1000/2 commit false")
	n.wantMarkers(1)
	n.wantMarkers(2, "1000/1 commit true")
}

// The decision is on disk, one marker is written, then the process is gone.
func TestWhatWasDecidedIsFinishedAfterTheNodeStartsAgain(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, 1000)
	id, epoch := n.init("a")
	n.add("a", id, epoch, 0, 1)
	n.setAbsent(partition.ID{Topic: "orders", Index: 1}, true)
	if r := n.end("a", id, epoch, true); r.ErrorCode != 0 {
		t.Fatalf("end: %+v", r)
	}
	if got := n.state("a"); got != "PrepareCommit" {
		t.Errorf("with a marker missing: %s", got)
	}
	other, otherEpoch := n.init("b")
	n.add("b", other, otherEpoch, 2)
	n.stop()

	n = start(t, dir, 2000)
	n.await("a", "CompleteCommit")
	n.wantMarkers(0, "1000/1 commit true") // once: the second was refused
	n.wantMarkers(1, "1000/1 commit true")
	if r := n.end("a", id, epoch, true); r.ErrorCode != 0 || r.ProducerEpoch != epoch+1 {
		t.Errorf("the end again: %+v", r)
	}
	if got := n.state("b"); got != "Ongoing" {
		t.Errorf("an open transaction after a restart: %s", got)
	}
	n.end("b", other, otherEpoch, true)
	n.await("b", "CompleteCommit")
	n.wantMarkers(2, fmt.Sprintf("%d/%d commit true", other, otherEpoch+1))
}

func TestAKilledCoordinatorFinishesWhatItHadDecided(t *testing.T) {
	n := start(t, t.TempDir(), 1000)
	id, epoch := n.init("a")
	missing := partition.ID{Topic: "orders", Index: 1}
	for range 3 {
		n.add("a", id, epoch, 0, 1)
		n.setAbsent(missing, true)
		r := n.end("a", id, epoch, true)
		if r.ErrorCode != 0 {
			t.Fatalf("end: %+v", r)
		}
		n.awaitAsk()
		if err := n.tree.Kill(n.txns.PID().Id, "to see"); err != nil {
			t.Fatal(err)
		}
		n.awaitAsk() // of the next life
		n.setAbsent(missing, false)
		n.await("a", "CompleteCommit")
		epoch = r.ProducerEpoch
	}
	want := []string{"1000/1 commit true", "1000/2 commit true", "1000/3 commit true"}
	n.wantMarkers(0, want...)
	n.wantMarkers(1, want...)
}

func TestAPartitionThatIsDeletedIsNotWaitedFor(t *testing.T) {
	n := start(t, t.TempDir(), 1000)
	id, epoch := n.init("a")
	n.add("a", id, epoch, 0, 1)
	gone := partition.ID{Topic: "orders", Index: 1}
	n.mu.Lock()
	r := n.parts[gone]
	delete(n.parts, gone)
	n.mu.Unlock()
	n.system.Root.Stop(r.PID())
	n.tree.AwaitGone(t.Context(), r.PID().Id)
	n.end("a", id, epoch, true)
	n.await("a", "CompleteCommit")
	n.wantMarkers(0, "1000/1 commit true")
}

// Whoever asks gets one answer, whatever happens to the actor meanwhile.
func TestEveryRequestIsAnsweredOnceThoughTheActorDies(t *testing.T) {
	n := start(t, t.TempDir(), 1000)
	n.init("a")
	const rounds, each = 3, 200
	answers := make(chan int, rounds*each)
	for round := range rounds {
		for i := range each {
			at := round*each + i
			if i == each/2 {
				if err := n.tree.Kill(n.txns.PID().Id, "to see"); err != nil {
					t.Fatal(err)
				}
			}
			if i%2 == 0 {
				m, name := kmsg.NewPtrInitProducerIDRequest(), fmt.Sprintf("id-%d", at)
				m.Version, m.TransactionalID, m.TransactionTimeoutMillis = 5, &name, 60_000
				n.txns.Handle(txn.Request{Body: m, Done: func(kmsg.Response) { answers <- at }})
			} else {
				n.txns.Add(txn.Add{
					TransactionalID: "a", ProducerID: 1000, Version: 2, Wait: true,
					Partitions: []partition.ID{{Topic: "orders", Index: int32(i % 3)}}, Done: func([]int16) { answers <- at },
				})
			}
		}
		n.state("a") // it is back
	}
	n.stop()
	seen := map[int]bool{}
	for len(answers) > 0 {
		at := <-answers
		if seen[at] {
			t.Fatalf("request %d was answered twice", at)
		}
		seen[at] = true
	}
	if len(seen) != rounds*each {
		t.Errorf("%d of %d requests were answered", len(seen), rounds*each)
	}
}

// reserve hands out producer ids in blocks of 100.
func (n *node) reserve(context.Context) (int64, int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nextID += 100
	return n.nextID - 100, 100, nil
}

// One AddPartitionsToTxn between brokers may carry several transactions, and
// questions with them.
func TestAnAddOfSeveralTransactionsAnswersForEachPartition(t *testing.T) {
	n := start(t, t.TempDir(), 1000)
	a, _ := n.init("a")
	b, _ := n.init("b")
	n.add("b", b, 0, 2)
	m := kmsg.NewPtrAddPartitionsToTxnRequest()
	m.Version = 5
	for _, x := range []struct {
		id       string
		producer int64
		verify   bool
	}{{"a", a, false}, {"b", b, true}, {"c", 7, false}} {
		m.Transactions = append(m.Transactions, kmsg.AddPartitionsToTxnRequestTransaction{
			TransactionalID: x.id, ProducerID: x.producer, VerifyOnly: x.verify,
			Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: "orders", Partitions: []int32{1, 2}}},
		})
	}
	r := ask[*kmsg.AddPartitionsToTxnResponse](n, m)
	var got []string
	for _, t := range r.Transactions {
		for _, p := range t.Topics[0].Partitions {
			got = append(got, fmt.Sprint(t.TransactionalID, p.Partition, " ", kerr.ErrorForCode(p.ErrorCode)))
		}
	}
	want := []string{"a1 <nil>", "a2 <nil>", "b1 " + kerr.TransactionAbortable.Error(), "b2 <nil>",
		"c1 " + kerr.InvalidProducerIDMapping.Error(), "c2 " + kerr.InvalidProducerIDMapping.Error()}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	old := kmsg.NewPtrAddPartitionsToTxnRequest()
	old.Version, old.TransactionalID, old.ProducerID = 3, "a", a
	old.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "orders", Partitions: []int32{0, 1}}}
	if r := ask[*kmsg.AddPartitionsToTxnResponse](n, old); len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("version 3: %+v", r)
	}
}
