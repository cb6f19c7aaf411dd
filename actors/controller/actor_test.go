package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence/record"
)

// memory is a log that outlives the controllers of a test.
type memory struct {
	mu         sync.Mutex
	batches    [][]byte
	start, end record.Offset
	appends    int
	fail       error         // of the next append
	arrives    bool          // what fails is there nevertheless
	hold       chan struct{} // appends are not answered before it is closed
	read       error         // of every read
}

func (m *memory) Append(batch []byte, done func(record.Offset, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appends++
	fail := m.fail
	m.fail = nil
	if fail != nil && !m.arrives {
		go done(0, fail)
		return
	}
	base := m.end
	record.SetBaseOffset(batch, base)
	m.end = record.Batch(batch).LastOffset() + 1
	m.batches = append(m.batches, bytes.Clone(batch))
	if fail != nil {
		go done(0, fail)
		return
	}
	if hold := m.hold; hold != nil {
		go func() { <-hold; done(base, nil) }()
		return
	}
	done(base, nil)
}

func (m *memory) Bounds() (start, end record.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.start, m.end
}

func (m *memory) Read(from record.Offset, buf []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read != nil {
		return nil, m.read
	}
	for _, b := range m.batches {
		if record.Batch(b).LastOffset() >= from {
			return append(buf, b...), nil
		}
	}
	return buf, nil
}

func (m *memory) DeleteBefore(to record.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.start = to
	for len(m.batches) > 0 && record.Batch(m.batches[0]).LastOffset() < to {
		m.batches = m.batches[1:]
	}
}

// node is a controller under a guardian of its own.
type node struct {
	controller.Ref
	tree *supervise.Tree
}

func start(t *testing.T, log *memory) node {
	t.Helper()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	tree := supervise.NewTree(system, slog.New(slog.DiscardHandler))
	ref, err := controller.Spawn(spawner{system, tree}, controller.Env{
		Tree: tree, Log: slog.New(slog.DiscardHandler), Metadata: log, Node: 1,
		Settings: controller.Settings{NumPartitions: 4, Factor: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(system.Shutdown)
	return node{ref, tree}
}

type spawner struct {
	system *actor.ActorSystem
	tree   *supervise.Tree
}

func (s spawner) ActorSystem() *actor.ActorSystem { return s.system }

func (s spawner) SpawnNamed(props *actor.Props, name string) (*actor.PID, error) {
	return s.system.Root.WithGuardian(s.tree.Guardian()).SpawnNamed(props, name)
}

func register(t *testing.T, n node) {
	t.Helper()
	if err := n.RegisterBroker(t.Context(), controller.Broker{Node: 1, Host: "localhost", Port: 9092}); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, n node, names ...string) {
	t.Helper()
	var topics []controller.NewTopic
	for _, name := range names {
		topics = append(topics, controller.NewTopic{Name: name, Partitions: 1, Factor: 1})
	}
	results, err := n.CreateTopics(t.Context(), topics, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// names are the topics of an image.
func names(i *controller.Image) string {
	var list []string
	for _, t := range i.Topics() {
		list = append(list, t.Name)
	}
	return strings.Join(list, " ")
}

func TestWhatWasAnsweredIsThereAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		one := start(t, log)
		register(t, one)
		create(t, one, "orders", "payments")
		first, n, err := one.AllocateProducerIDs(t.Context())
		if first != 0 || n != 1000 || err != nil {
			t.Fatalf("ids %d, %d, %v", first, n, err)
		}
		was, _ := one.Image().Topic("orders")

		two := start(t, log)
		register(t, two) // is answered when the log is read
		if got := names(two.Image()); got != "orders payments" {
			t.Errorf("after a restart there are %q", got)
		}
		is, _ := two.Image().Topic("orders")
		if was.ID != is.ID || one.Image().ClusterID != two.Image().ClusterID {
			t.Errorf("a restart changed ids: topic %s and %s, cluster %s and %s", was.ID, is.ID, one.Image().ClusterID, two.Image().ClusterID)
		}
		if one.Image().Epoch != two.Image().Epoch {
			t.Errorf("epoch %d became %d though nothing has changed", one.Image().Epoch, two.Image().Epoch)
		}
		if first, _, _ := two.AllocateProducerIDs(t.Context()); first != 1000 {
			t.Errorf("ids from %d are given twice", first)
		}
	})
}

func TestWhatTheLogRefusesWasNeverSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		n := start(t, log)
		register(t, n)
		full := errors.New("disk full")
		log.mu.Lock()
		log.fail = full
		log.mu.Unlock()
		_, err := n.CreateTopics(t.Context(), []controller.NewTopic{{Name: "orders", Partitions: 1, Factor: 1}}, false)
		if err == nil || !errors.Is(err, full) {
			t.Fatalf("create on a full disk: %v", err)
		}
		if _, there := n.Image().Topic("orders"); there {
			t.Error("the topic is there")
		}
		create(t, n, "orders") // and not: it exists
	})
}

// A topic that many ask for at once is made once, and they all wait for the one
// write.
func TestRequestsThatWaitShareOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		n := start(t, log)
		register(t, n)
		hold := make(chan struct{})
		log.mu.Lock()
		log.hold, log.appends = hold, 0
		log.mu.Unlock()
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				r, err := n.CreateTopics(context.Background(), []controller.NewTopic{{Name: "orders", Partitions: 1, Factor: 1}}, false)
				if err != nil || r[0].Err != nil && !errors.Is(r[0].Err, kerr.TopicAlreadyExists) {
					t.Error(r, err)
				}
			})
		}
		synctest.Wait()
		if _, there := n.Image().Topic("orders"); there {
			t.Error("seen before it was safe")
		}
		close(hold)
		wait.Wait()
		if log.appends > 2 {
			t.Errorf("100 requests took %d writes", log.appends)
		}
	})
}

func TestWatchersSeeEveryImageInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, &memory{})
		register(t, n)
		var seen []string
		stop := n.Watch(func(i *controller.Image) { seen = append(seen, names(i)) })
		create(t, n, "a")
		create(t, n, "b")
		if _, err := n.DeleteTopics(t.Context(), []controller.TopicRef{{Name: "a"}}); err != nil {
			t.Fatal(err)
		}
		stop()
		create(t, n, "c")
		if got := strings.Join(seen, "|"); got != "|a|a b|b" {
			t.Errorf("saw %q", got)
		}
	})
}

// The log is cut behind a snapshot, and a start reads the same from what is left.
func TestALongLogIsCutAndReadsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		n := start(t, log)
		register(t, n)
		for round := range 30 {
			var topics []string
			for i := range 100 {
				topics = append(topics, fmt.Sprintf("%s-%d-%d", strings.Repeat("x", 200), round, i))
			}
			create(t, n, topics...)
			var refs []controller.TopicRef
			for _, name := range topics[2:] {
				refs = append(refs, controller.TopicRef{Name: name})
			}
			if _, err := n.DeleteTopics(t.Context(), refs); err != nil {
				t.Fatal(err)
			}
		}
		value := "1000"
		alter := func(kind controller.ResourceKind, name, config string) {
			r, err := n.AlterConfigs(t.Context(), []controller.Alteration{{
				Resource: controller.Resource{Kind: kind, Name: name},
				Ops:      []controller.ConfigOp{{Name: config, Value: &value}},
			}}, false)
			if err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
		}
		for i := range 2000 { // until the log has been cut with this in it
			value = fmt.Sprint(1000 + i)
			alter(controller.BrokerResource, "", "log.retention.ms")
			alter(controller.TopicResource, strings.Repeat("x", 200)+"-0-0", "retention.ms")
		}
		start0, end := log.Bounds()
		if start0 == 0 {
			t.Fatalf("a log of %d records was never cut", end)
		}
		again := start(t, log)
		register(t, again)
		if a, b := names(n.Image()), names(again.Image()); a != b {
			t.Errorf("%d topics became %d", len(strings.Fields(a)), len(strings.Fields(b)))
		}
		if v, _ := again.Image().BrokerConfig(1, "log.retention.ms"); v != value {
			t.Errorf("log.retention.ms is %q after a restart, want %q", v, value)
		}
		if v := again.Image().Configs(controller.Resource{Kind: controller.TopicResource, Name: strings.Repeat("x", 200) + "-0-0"})["retention.ms"]; v != value {
			t.Errorf("retention.ms is %q after a restart, want %q", v, value)
		}
	})
}

// A crash may cut off the writing of a snapshot at any batch.
func TestASnapshotThatACrashCutOffCountsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		n := start(t, log)
		register(t, n)
		var all []string
		for i := range 3000 {
			all = append(all, fmt.Sprintf("topic-%04d", i))
		}
		create(t, n, all...)
		want := names(n.Image())
		parts, err := n.Image().Snapshot()
		if err != nil || len(parts) < 3 {
			t.Fatalf("%d parts: %v", len(parts), err)
		}
		for _, p := range parts[:len(parts)-1] {
			log.Append(p, func(record.Offset, error) {})
		}
		again := start(t, log)
		register(t, again)
		create(t, again, "one-more")
		if got := names(again.Image()); got != "one-more "+want {
			t.Errorf("%d topics became %d", len(strings.Fields(want)), len(strings.Fields(got)))
		}
		third := start(t, log)
		register(t, third)
		if got := names(third.Image()); got != "one-more "+want {
			t.Errorf("%d topics became %d at the next start", len(strings.Fields(want)), len(strings.Fields(got)))
		}
	})
}

// An actor that fails is started anew and goes on where its log is, also when a
// batch of its former life was still on its way.
func TestAControllerThatFailsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		n := start(t, log)
		register(t, n)
		hold := make(chan struct{})
		log.mu.Lock()
		log.hold = hold
		log.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		asked := make(chan error, 1)
		go func() {
			_, err := n.CreateTopics(ctx, []controller.NewTopic{{Name: "orders", Partitions: 1, Factor: 1}}, false)
			asked <- err
		}()
		synctest.Wait()
		if err := n.tree.Kill("controller", "for the test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / 2) // the supervisor waits before it starts it anew
		log.mu.Lock()
		log.hold = nil
		log.mu.Unlock()
		close(hold)
		if err := <-asked; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request of a life before was answered with %v", err)
		}
		create(t, n, "payments")
		if got := names(n.Image()); got != "orders payments" {
			t.Errorf("there are %q", got)
		}
	})
}

// Where a write fails and may yet arrive, what is true is in the log alone.
func TestAChangeOfUnknownOutcomeIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, arrives := range []bool{true, false} {
			log := &memory{}
			n := start(t, log)
			register(t, n)
			log.mu.Lock()
			log.fail, log.arrives = controller.ErrOutcomeUnknown, arrives
			log.mu.Unlock()
			_, err := n.CreateTopics(t.Context(), []controller.NewTopic{{Name: "orders", Partitions: 1, Factor: 1}}, false)
			if !errors.Is(err, controller.ErrOutcomeUnknown) {
				t.Fatalf("create: %v", err)
			}
			create(t, n, "payments")
			want := "payments"
			if arrives {
				want = "orders payments"
			}
			if got := names(n.Image()); got != want {
				t.Errorf("arrives %v: there are %q, want %q", arrives, got, want)
			}
		}
	})
}

func TestALogThatCannotBeReadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memory{}
		register(t, start(t, log))
		log.read = errors.New("damaged")
		n := start(t, log)
		synctest.Wait()
		if p, err := n.tree.Get("controller"); err != nil || p.State != supervise.Backoff || !strings.Contains(p.Reason, "damaged") {
			t.Errorf("a controller that cannot read its log is %v (%s), %v", p.State, p.Reason, err)
		}
		log.mu.Lock()
		log.read = nil
		log.mu.Unlock()
		create(t, n, "orders")
		if p, err := n.tree.Get("controller"); err != nil || p.State != supervise.Running {
			t.Errorf("afterwards it is %v, %v", p.State, err)
		}
	})
}

func TestTheQuotaThatSaysMostOfAClientCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, &memory{})
		register(t, n)
		user := func(name string) controller.QuotaEntity {
			return controller.QuotaEntity{Type: "user", Name: name, Default: name == ""}
		}
		client := func(name string) controller.QuotaEntity {
			return controller.QuotaEntity{Type: "client-id", Name: name, Default: name == ""}
		}
		rate := 0.0
		set := func(entity ...controller.QuotaEntity) {
			rate++
			v := rate
			r, err := n.AlterQuotas(t.Context(), []controller.QuotaAlteration{{Entity: entity, Values: map[string]*float64{"producer_byte_rate": &v}}}, false)
			if err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
		}
		want := func(who, what string, wanted float64) {
			t.Helper()
			got, ok := n.Image().Quota("producer_byte_rate", who, what)
			if !ok || got != wanted {
				t.Errorf("user %q client %q may have %v (%v), want %v", who, what, got, ok, wanted)
			}
		}
		if _, ok := n.Image().Quota("producer_byte_rate", "u", "c"); ok {
			t.Error("a quota where none is set")
		}
		set(client(""))
		want("u", "c", 1)
		set(client("c"))
		want("u", "c", 2)
		set(user(""))
		want("u", "c", 3)
		set(user("u"))
		want("u", "c", 4)
		set(user("u"), client(""))
		want("u", "c", 5)
		set(user("u"), client("c"))
		want("u", "c", 6)
		want("other", "c", 3)
		if _, ok := n.Image().Quota("consumer_byte_rate", "u", "c"); ok {
			t.Error("a quota of another kind")
		}
	})
}
