package group_test

import (
	"fmt"
	"iter"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// node is a store, an internal partition and a coordinator on it.
type node struct {
	t     *testing.T
	tree  *supervise.Tree
	root  spawner
	log   partition.Ref
	group group.Ref
}

type spawner struct {
	root   *actor.RootContext
	system *actor.ActorSystem
}

func (s spawner) SpawnNamed(p *actor.Props, name string) (*actor.PID, error) {
	return s.root.SpawnNamed(p, name)
}
func (s spawner) ActorSystem() *actor.ActorSystem { return s.system }

func newNode(t *testing.T) *node {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := persistence.Open(t.TempDir(), persistence.Options{Log: quiet, MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	system := actor.NewActorSystem()
	n := &node{t: t, tree: supervise.NewTree(system, quiet)}
	n.root = spawner{system.Root.WithGuardian(n.tree.Guardian()), system}
	n.log, err = partition.Start(n.root, partition.Env{
		Store: store, Tree: n.tree, Log: quiet, Node: 1, ID: partition.ID{Topic: "__consumer_offsets", Index: 3},
		Config: partition.Defaults(), TendEvery: time.Hour, TopicID: [16]byte{9},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(func() {
		n.stop(n.group.PID())
		n.stop(n.log.PID())
		store.Close()
		system.Shutdown()
	})
	return n
}

func (n *node) start() {
	n.t.Helper()
	var err error
	n.group, err = group.Start(n.root, group.Env{
		Tree: n.tree, Logger: slog.New(slog.DiscardHandler), Config: config(), Log: n.log,
		World: func() group.World { return orders{} },
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// orders is a world with one topic.
type orders struct{}

func (orders) Topic(name string) (group.Topic, bool) {
	return group.Topic{Name: "orders", ID: group.TopicID{7}, Partitions: 1}, name == "orders"
}
func (w orders) TopicByID(id group.TopicID) (group.Topic, bool) {
	t, _ := w.Topic("orders")
	return t, id == t.ID
}
func (w orders) Topics() iter.Seq[group.Topic] {
	return func(yield func(group.Topic) bool) {
		t, _ := w.Topic("orders")
		yield(t)
	}
}
func (orders) GroupConfig(string, string) (string, bool) { return "", false }

func config() group.Config {
	c := group.Defaults()
	c.InitialRebalanceDelay = 0
	return c
}

func (n *node) stop(pid *actor.PID) {
	n.root.system.Root.Stop(pid)
	if err := n.tree.AwaitGone(n.t.Context(), pid.Id); err != nil && n.t.Context().Err() == nil {
		n.t.Error(err)
	}
}

// ask sends a request and waits for its answer.
func ask[R kmsg.Response](n *node, body kmsg.Request) R {
	n.t.Helper()
	return <-later[R](n, body)
}

func later[R kmsg.Response](n *node, body kmsg.Request) <-chan R {
	done := make(chan R, 1)
	n.group.Handle(group.Request{Client: group.Client{ID: "c", Host: "/127.0.0.1"}, Body: body,
		Done: func(resp kmsg.Response) { done <- resp.(R) }})
	return done
}

// loaded waits until the coordinator has read its log.
func (n *node) loaded() {
	n.t.Helper()
	for {
		req := kmsg.NewPtrListGroupsRequest()
		if ask[*kmsg.ListGroupsResponse](n, req).ErrorCode != kerr.CoordinatorLoadInProgress.Code {
			return
		}
	}
}

func commitRequest(version int16, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group = version, "g"
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "orders"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

func (n *node) fetch(stable bool) kmsg.OffsetFetchResponseTopicPartition {
	n.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group, req.RequireStable = 7, "g", stable
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = "orders", []int32{0}
	req.Topics = append(req.Topics, topic)
	return ask[*kmsg.OffsetFetchResponse](n, req).Topics[0].Partitions[0]
}

// What was acknowledged is in the log, and a coordinator that starts knows it.
func TestACommittedOffsetOutlivesTheCoordinator(t *testing.T) {
	n := newNode(t)
	n.loaded()
	if code := ask[*kmsg.OffsetCommitResponse](n, commitRequest(8, 42)).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("commit: error %d", code)
	}
	if end := n.log.HighWatermark(); end != 1 {
		t.Errorf("the log ends at %d after one commit", end)
	}
	n.stop(n.group.PID())
	n.start()
	n.loaded()
	if p := n.fetch(false); p.Offset != 42 || p.ErrorCode != 0 {
		t.Errorf("after a restart: offset %d, error %d, want 42", p.Offset, p.ErrorCode)
	}
}

// An actor that panics starts anew from the log; whoever waited is told to come
// again, and nobody is left without an answer.
func TestAFailedCoordinatorForgetsNobody(t *testing.T) {
	n := newNode(t)
	n.loaded()
	ask[*kmsg.OffsetCommitResponse](n, commitRequest(8, 7))
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 3, "h", 10000, 10000
	join.ProtocolType, join.Protocols = "consumer", []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	joined := ask[*kmsg.JoinGroupResponse](n, join)
	if joined.ErrorCode != 0 {
		t.Fatalf("join: error %d", joined.ErrorCode)
	}
	second := later[*kmsg.JoinGroupResponse](n, join) // waits for the first to rejoin
	n.loaded()                                        // so it was dealt with
	n.root.system.Root.Send(n.group.PID(), supervise.Kill{Why: "on purpose"})
	if got := <-second; got.ErrorCode != kerr.CoordinatorNotAvailable.Code {
		t.Errorf("whoever waited: error %d, want %d", got.ErrorCode, kerr.CoordinatorNotAvailable.Code)
	}
	n.loaded()
	if p := n.fetch(false); p.Offset != 7 {
		t.Errorf("after a failure: offset %d, want 7", p.Offset)
	}
}

// Offsets of a transaction count when its marker says so, and not before.
func TestAMarkerInTheLogDecidesTheOffsetsOfATransaction(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("commit %v", commit), func(t *testing.T) {
			n := newNode(t)
			n.loaded()
			ask[*kmsg.OffsetCommitResponse](n, commitRequest(8, 1))
			req := kmsg.NewPtrTxnOffsetCommitRequest()
			req.Version, req.Group, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Generation = 3, "g", "tx", 5, 2, -1
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic = "orders"
			topic.Partitions = []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 9, LeaderEpoch: -1}}
			req.Topics = append(req.Topics, topic)
			if code := ask[*kmsg.TxnOffsetCommitResponse](n, req).Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Fatalf("commit in the transaction: error %d", code)
			}
			if p := n.fetch(false); p.Offset != 1 {
				t.Errorf("before the marker: offset %d, want 1", p.Offset)
			}
			if p := n.fetch(true); p.ErrorCode != kerr.UnstableOffsetCommit.Code {
				t.Errorf("before the marker, stable: error %d, want %d", p.ErrorCode, kerr.UnstableOffsetCommit.Code)
			}
			n.mark(5, 3, commit)
			want := map[bool]int64{true: 9, false: 1}[commit]
			if p := n.fetch(true); p.Offset != want || p.ErrorCode != 0 {
				t.Errorf("after the marker: offset %d, error %d, want %d", p.Offset, p.ErrorCode, want)
			}
			n.stop(n.group.PID())
			n.start()
			n.loaded()
			if p := n.fetch(true); p.Offset != want || p.ErrorCode != 0 {
				t.Errorf("after a restart: offset %d, error %d, want %d", p.Offset, p.ErrorCode, want)
			}
			// A producer that is fenced is told, and its offsets do not count.
			req.ProducerEpoch = 1
			if code := ask[*kmsg.TxnOffsetCommitResponse](n, req).Topics[0].Partitions[0].ErrorCode; code != kerr.InvalidProducerEpoch.Code {
				t.Errorf("a fenced producer: error %d, want %d", code, kerr.InvalidProducerEpoch.Code)
			}
			if p := n.fetch(true); p.Offset != want || p.ErrorCode != 0 {
				t.Errorf("after a fenced producer: offset %d, error %d, want %d", p.Offset, p.ErrorCode, want)
			}
		})
	}
}

func (n *node) mark(producer int64, epoch int16, commit bool) {
	n.t.Helper()
	done := make(chan error, 1)
	n.log.Append(partition.Append{
		Batch:  partitionlog.AppendMarker(nil, producer, epoch, partitionlog.Marker{Commit: commit}, time.Now().UnixMilli()),
		Origin: partition.Coordinator, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1,
		Done: func(a partition.Appended) { done <- a.Err },
	})
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}
