package sink

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// group is a processor with the names of its sinks and a clock.
type group struct {
	t     *testing.T
	p     processor
	names []string
	now   time.Time
}

func newGroup(t *testing.T, kind string, texts map[string]string, compat bool, names ...string) *group {
	t.Helper()
	p, err := newProcessor(kind, topologies.SettingsOf(kinds.Processor, kind, texts), names, compat)
	if err != nil {
		t.Fatal(err)
	}
	return &group{t: t, p: p, names: names, now: time.Unix(1000, 0)}
}

// deliver tries one batch, as the group's actor does, with the sinks named in
// down failing, and says which were tried: "a! b" is a failure of a and then b.
// When none is left it ends with the wait until the next try.
func (g *group) deliver(down string) string {
	var tried []string
	for {
		sink, ok, retryAt := g.p.next(g.now)
		if !ok {
			return strings.Join(append(tried, "wait "+retryAt.Sub(g.now).String()), " ")
		}
		if !strings.Contains(down, g.names[sink]) {
			g.p.succeeded(sink, g.now)
			return strings.Join(append(tried, g.names[sink]), " ")
		}
		g.p.failed(sink, g.now)
		tried = append(tried, g.names[sink]+"!")
	}
}

func (g *group) expect(down, want string) {
	g.t.Helper()
	if got := g.deliver(down); got != want {
		g.t.Fatalf("at %s with %q down: got %q, want %q", g.now.Sub(time.Unix(1000, 0)), down, got, want)
	}
}

func (g *group) after(d time.Duration) *group { g.now = g.now.Add(d); return g }

func TestFailoverTakesTheHighestPriorityThatWorks(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.a": "5", "priority.b": "10", "priority.c": "1"}, false, "a", "b", "c")
	g.expect("", "b")
	g.expect("b", "b! a")
	g.expect("ba", "a! c")
	g.expect("", "c") // both others serve their penalty
}

func TestFailoverTriesADeadSinkFirstWhenItsPenaltyIsOver(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.a": "10", "priority.b": "5"}, false, "a", "b")
	g.expect("a", "a! b")
	g.after(1999*time.Millisecond).expect("", "b")
	g.after(time.Millisecond).expect("", "a")
	g.expect("", "a")
}

func TestFailoverPenaltiesDoubleUpToTheirLimitAndStartAnewAfterASuccess(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.a": "10", "priority.b": "5"}, false, "a", "b")
	g.expect("a", "a! b")
	for _, penalty := range []time.Duration{2, 4, 8, 16, 30, 30, 30} {
		g.after(penalty*time.Second-time.Nanosecond).expect("a", "b")
		g.after(time.Nanosecond).expect("a", "a! b")
	}
	g.after(30*time.Second).expect("", "a")
	g.expect("a", "a! b")
	g.after(2*time.Second).expect("", "a")
}

// Java's shift overflows after 30 failures and makes the penalty negative.
func TestFailoverPenaltyHoldsAfterManyFailures(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"maxpenalty": "10000"}, false, "a", "b")
	for range 100 {
		g.expect("a", "a! b")
		g.after(10 * time.Second)
	}
	g.expect("a", "a! b")
	g.after(9*time.Second).expect("", "b")
}

func TestFailoverWithAllSinksDeadWaitsForTheFirstToRevive(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.a": "10", "priority.b": "5"}, false, "a", "b")
	g.expect("a", "a! b")
	g.after(time.Second).expect("ab", "b! wait 1s")
	g.after(time.Second).expect("ab", "a! wait 1s")
	g.after(time.Second).expect("a", "b")

	compat := newGroup(t, "failover", nil, true, "a", "b")
	compat.expect("ab", "a! b! wait 5s")
}

func TestFailoverSinksWithoutPriorityComeLastInTheirOrder(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.c": "0", "priority.b": "many"}, false, "a", "b", "c")
	g.expect("ca", "c! a! b")
}

func TestFailoverLeavesOutTheSecondSinkOfOnePriorityAndSaysSo(t *testing.T) {
	g := newGroup(t, "failover", map[string]string{"priority.a": "5", "priority.b": "5", "priority.c": "1"}, false, "a", "b", "c")
	g.expect("a", "a! c")
	if got := g.p.unused(); len(got) != 1 || got[0] != 1 {
		t.Fatalf("unused: got %v, want sink 1", got)
	}
}

func TestLoadBalanceTakesSinksInTurn(t *testing.T) {
	g := newGroup(t, "load_balance", nil, false, "a", "b", "c")
	for range 3 {
		g.expect("", "a")
		g.expect("", "b")
		g.expect("", "c")
	}
}

func TestLoadBalanceGivesTheBatchOfAFailedSinkToTheNext(t *testing.T) {
	g := newGroup(t, "load_balance", nil, false, "a", "b", "c")
	g.expect("a", "a! b")
	g.expect("a", "b")
	g.expect("a", "c")
	g.expect("ab", "a! b! c") // without back-off a failed sink is tried every time
	g.expect("abc", "b! c! a! wait 5s")
}

func TestLoadBalanceWithBackOffLeavesAFailedSinkAlone(t *testing.T) {
	g := newGroup(t, "load_balance", map[string]string{"backoff": "true"}, false, "a", "b")
	g.expect("a", "a! b")
	g.after(1999*time.Millisecond).expect("a", "b")
	g.expect("a", "b")
	g.after(time.Millisecond).expect("a", "a! b")
	g.after(2*time.Second).expect("a", "b") // four seconds now
	g.after(2*time.Second).expect("", "a")
	g.expect("", "b")
}

func TestLoadBalanceBackOffGrowsToItsLimitAndIsForgottenAfterAQuietHour(t *testing.T) {
	g := newGroup(t, "load_balance", map[string]string{"backoff": "true", "selector.maxTimeOut": "20000"}, false, "a")
	for _, wait := range []string{"2s", "4s", "8s", "16s", "20s", "20s"} {
		g.expect("a", "a! wait "+wait)
		d, _ := time.ParseDuration(wait)
		g.after(d)
	}
	g.expect("", "a") // a success does not shorten the next pause
	g.expect("a", "a! wait 20s")
	g.after(20*time.Second+time.Hour).expect("a", "a! wait 2s")
}

func TestLoadBalanceAtRandomGivesEverySinkItsShare(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	g := newGroup(t, "load_balance", map[string]string{"selector": "random"}, false, "a", "b", "c")
	g.p.(*loadBalance).shuffle = func(turn []int) {
		random.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
	}
	count := map[string]int{}
	for range 3000 {
		count[g.deliver("")]++
	}
	for _, name := range g.names {
		if count[name] < 850 || count[name] > 1150 {
			t.Errorf("sink %s got %d of 3000 batches, want about 1000", name, count[name])
		}
	}
	if got := g.deliver("abc"); strings.Count(got, "!") != 3 {
		t.Errorf("all down: tried %q, want each once", got)
	}
}

// The actor asks to know how long it will wait, and asks again before it tries.
func TestAskingTwiceChangesNothing(t *testing.T) {
	for _, kind := range []string{"failover", "load_balance"} {
		g := newGroup(t, kind, nil, false, "a", "b")
		for step := range 40 {
			first, ok, at := g.p.next(g.now)
			again, okAgain, atAgain := g.p.next(g.now)
			if ok != okAgain || ok && first != again || !ok && !at.Equal(atAgain) {
				t.Fatalf("%s, step %d: got %d %v %s, then %d %v %s", kind, step, first, ok, at, again, okAgain, atAgain)
			}
			if !ok {
				if _, early, _ := g.p.next(at.Add(-1)); early {
					t.Fatalf("%s, step %d: a sink is tried before the pause is over", kind, step)
				}
				g.now = at
				continue
			}
			g.p.failed(first, g.now)
		}
	}
}

func TestTheDefaultProcessorTriesItsSinkLaterAndLater(t *testing.T) {
	g := newGroup(t, "default", nil, false, "a")
	g.expect("", "a")
	for _, wait := range []string{"250ms", "500ms", "1s", "2s", "4s", "5s", "5s"} {
		g.expect("a", "a! wait "+wait)
		d, _ := time.ParseDuration(wait)
		g.after(d)
	}
	g.expect("", "a")
	g.expect("a", "a! wait 250ms")

	compat := newGroup(t, "default", nil, true, "a")
	compat.expect("a", "a! wait 5s")
}

func TestGroupsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		kind   string
		texts  map[string]string
		sinks  int
		compat bool
	}{
		{"default", nil, 2, false},
		{"default", nil, 0, false},
		{"failover", map[string]string{"maxpenalty": "soon"}, 2, false},
		{"load_balance", map[string]string{"selector": "org.example.Mine"}, 2, false},
		{"load_balance", nil, 1, true},
		{"org.example.Mine", nil, 1, false},
	} {
		var sinks []string
		for i := range c.sinks {
			sinks = append(sinks, fmt.Sprint("k", i))
		}
		if _, err := newProcessor(c.kind, topologies.SettingsOf(kinds.Processor, c.kind, c.texts), sinks, c.compat); err == nil {
			t.Errorf("%s of %d sinks with %v: accepted, want an error", c.kind, c.sinks, c.texts)
		}
	}
}
