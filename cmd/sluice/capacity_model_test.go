package main

import (
	"math"
	"testing"
)

func about(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1) }

func TestTheSlowestPoolDecides(t *testing.T) {
	for _, c := range []struct {
		name  string
		pools []pool
		want  pool
		ok    bool
	}{
		{"nothing was measured", nil, pool{}, false},
		{"only pools without a rate", []pool{{"source", 0}}, pool{}, false},
		{"a sink", []pool{{"source", 300}, {"channel", 900}, {"sink", 200}}, pool{"sink", 200}, true},
		{"a source", []pool{{"source", 100}, {"channel", 900}, {"sink", 200}}, pool{"source", 100}, true},
		{"an absent stage is passed over", []pool{{"source", 0}, {"channel", 900}, {"sink", 1000}}, pool{"channel", 900}, true},
		{"of equals the first", []pool{{"source", 7}, {"sink", 7}}, pool{"source", 7}, true},
	} {
		if got, ok := bottleneck(c.pools); got != c.want || ok != c.ok {
			t.Errorf("%s: got %v %v, want %v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestStagesAddUpAndThoseThatTakeTurnsDoNot(t *testing.T) {
	for _, c := range []struct {
		name          string
		rates         []float64
		added, turned float64
	}{
		{"none", nil, 0, 0},
		{"one", []float64{300}, 300, 300},
		{"two alike", []float64{300, 300}, 600, 300},
		{"a slow one holds up a turn", []float64{100, 300}, 400, 150},
		{"one is not known", []float64{100, 0}, 0, 0},
	} {
		if got := addUp(c.rates...); !about(got, c.added) {
			t.Errorf("%s: added %v, want %v", c.name, got, c.added)
		}
		if got := inTurn(c.rates...); !about(got, c.turned) {
			t.Errorf("%s: in turn %v, want %v", c.name, got, c.turned)
		}
	}
}

func TestARecordWaitsLongerTheBusierAStageIs(t *testing.T) {
	for _, c := range []struct{ rho, want float64 }{
		{-1, 1}, {0, 1}, {0.5, 2}, {0.7, 10.0 / 3}, {0.9, 10}, {0.99, 100}, {1, math.Inf(1)}, {2, math.Inf(1)},
	} {
		if got := waiting(c.rho); got != c.want && math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("at %v: got %v, want %v", c.rho, got, c.want)
		}
	}
	h := headrooms(1000)
	if len(h) != 2 || !about(h[0].PerSecond, 700) || !about(h[0].Waiting, 10.0/3) || !about(h[1].PerSecond, 900) || !about(h[1].Waiting, 10) {
		t.Errorf("of 1000/s: got %+v", h)
	}
}

func TestTheNumberNeededIsRoundedUp(t *testing.T) {
	for _, c := range []struct {
		rate, one, rho float64
		want           int
	}{
		{0, 100, 0.7, 1}, // something has to be there
		{1, 100, 0.7, 1},
		{70, 100, 0.7, 1}, // exactly full
		{70.1, 100, 0.7, 2},
		{140, 100, 0.7, 2},
		{900, 100, 0.9, 10},
		{901, 100, 0.9, 11},
		{2100, 1000, 0.7, 3},
		{100, 0, 0.7, 0}, // not measured: no answer
		{100, 100, 0, 0},
		{-1, 100, 0.7, 0},
		{1e30, 1, 0.7, math.MaxInt32},
	} {
		if got := needed(c.rate, c.one, c.rho); got != c.want {
			t.Errorf("%v/s with %v/s each at %v: got %d, want %d", c.rate, c.one, c.rho, got, c.want)
		}
	}
}

// The article's result is no rate: it doubles when the source gets half as fast.
func TestTheArticlesFormulasGrowAsTheirSourceGetsSlower(t *testing.T) {
	for _, c := range []struct {
		channel, sink, source, want float64
		ok                          bool
	}{
		{900, 200, 300, 600, true}, {900, 200, 150, 1200, true}, {900, 200, 0, 0, false}, {0, 200, 300, 0, false}, {900, 0, 300, 0, false},
	} {
		if got, ok := articleFlume(c.channel, c.sink, c.source); !about(got, c.want) || ok != c.ok {
			t.Errorf("flume %v x %v / %v: got %v %v, want %v %v", c.channel, c.sink, c.source, got, ok, c.want, c.ok)
		}
	}
	for _, c := range []struct {
		partitions             int
		broker, producer, want float64
		ok                     bool
	}{
		{6, 100, 200, 3, true}, {6, 100, 100, 6, true}, {0, 100, 200, 0, false}, {6, 0, 200, 0, false}, {6, 100, 0, 0, false},
	} {
		if got, ok := articleKafka(c.partitions, c.broker, c.producer); !about(got, c.want) || ok != c.ok {
			t.Errorf("kafka %d x %v / %v: got %v %v, want %v %v", c.partitions, c.broker, c.producer, got, ok, c.want, c.ok)
		}
	}
}

func TestNeighboursCountOnceInTheCostOfAChain(t *testing.T) {
	for _, c := range []struct {
		neighbours float64
		stages     []float64
		want       float64
	}{
		{2, nil, 2}, {2, []float64{5, 3}, 6}, {2, []float64{1, 3}, 3}, {0, []float64{5, 3}, 8},
	} {
		if got := chainCost(c.neighbours, c.stages...); !about(got, c.want) {
			t.Errorf("%v of %v: got %v, want %v", c.stages, c.neighbours, got, c.want)
		}
	}
	if got := machine(2, 0.5); got != 4 {
		t.Errorf("two cores at half a second: got %v, want 4", got)
	}
	if got := machine(2, 0); got != 0 {
		t.Errorf("a cost that is not known: got %v, want 0", got)
	}
}

func TestTopicsNeedAPartitionForEachConsumerAndANodeForEachCopy(t *testing.T) {
	got := topicNeeds("topics", 1000, 3, 500, 10_000, 0, 100)
	want := []need{
		{"topics", "partitions", 500, 15, 12}, // 3 would do for the writing
		{"topics", "producers", 0, 0, 0},      // not measured
		{"topics", "consumers", 100, 15, 12},
		{"topics", "nodes", 10_000, 3, 3}, // 1 would do for the writing
	}
	if len(got) != len(want) {
		t.Fatalf("got %d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	if n := topicNeeds("topics", 10_000, 3, 500, 10_000, 100, 100)[3]; n.Calm != 5 || n.Busy != 4 {
		t.Errorf("30,000 writes a second at 10,000 a node: got %d and %d nodes, want 5 and 4", n.Calm, n.Busy)
	}
}
