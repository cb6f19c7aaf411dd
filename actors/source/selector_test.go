package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

func selectorOf(t testing.TB, channels string, settings ...string) selector {
	t.Helper()
	s, err := newSelector(topologies.SettingsOf("source", "netcat", pairs(settings)), strings.Fields(channels), false)
	if err != nil {
		t.Fatalf("selector %v: %v", settings, err)
	}
	return s
}

func pairs(kv []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

// batchWith is one record per value, with it as header "to"; "" sets none.
func batchWith(values ...string) *record.Slab {
	s := record.NewSlab(0)
	for i, v := range values {
		s.Append([]byte(v))
		if v != "" {
			s.SetHeader(i, "to", []byte(v))
		}
	}
	return s
}

// chosen writes routes as "c0=all c1?=[0 2] dropped=1".
func chosen(s selector, batch *record.Slab) string {
	var to routes
	for range 2 { // the second must not see the first
		s.choose(batch, &to)
	}
	var out []string
	for i := range to.required {
		out = append(out, written(fmt.Sprintf("c%d=", i), &to.required[i])...)
		out = append(out, written(fmt.Sprintf("c%d?=", i), &to.optional[i])...)
	}
	if to.dropped > 0 {
		out = append(out, fmt.Sprintf("dropped=%d", to.dropped))
	}
	return strings.Join(out, " ")
}

func written(mark string, p *part) []string {
	switch {
	case p.all:
		return []string{mark + "all"}
	case p.empty():
		return nil
	}
	return []string{mark + fmt.Sprint(p.which)}
}

func TestReplicatingSendsEverythingEverywhere(t *testing.T) {
	batch := batchWith("a", "b")
	for _, c := range []struct {
		settings []string
		want     string
	}{
		{nil, "c0=all c1=all c2=all"},
		{[]string{"selector.type", "replicating", "selector.optional", "c2 c1"}, "c0=all c1?=all c2?=all"},
	} {
		if got := chosen(selectorOf(t, "c0 c1 c2", c.settings...), batch); got != c.want {
			t.Errorf("%v: got %s, want %s", c.settings, got, c.want)
		}
	}
}

func TestMultiplexingFollowsTheHeader(t *testing.T) {
	s := selectorOf(t, "c0 c1 c2", "selector.type", "multiplexing", "selector.header", "to",
		"selector.mapping.CZ", "c0", "selector.mapping.a.b", "c0  c1", "selector.default", "c2",
		"selector.optional.CZ", "c0 c1", "selector.optional.XX", "c2 c1")
	for _, c := range []struct {
		batch *record.Slab
		want  string
	}{
		{batchWith("CZ", "CZ"), "c0=all c1?=all"},
		{batchWith("cz", " ", ""), "c2=all"},
		{batchWith("a.b", "CZ", "US"), "c0=[0 1] c1=[0] c1?=[1] c2=[2]"},
		{batchWith("XX"), "c1?=all c2=all"},
		{batchWith(), ""},
	} {
		if got := chosen(s, c.batch); got != c.want {
			t.Errorf("%d records: got %s, want %s", c.batch.Len(), got, c.want)
		}
	}
	common := batchWith("x", "y")
	common.SetCommon("to", []byte("CZ"))
	if got := chosen(s, common); got != "c0=all c1?=all" {
		t.Errorf("a common header: got %s", got)
	}
}

func TestMultiplexingWithoutDefaultCountsWhatGoesNowhere(t *testing.T) {
	s := selectorOf(t, "c0", "selector.type", "multiplexing", "selector.header", "to", "selector.mapping.a", "c0")
	if got, want := chosen(s, batchWith("a", "b", "")), "c0=[0] dropped=2"; got != want {
		t.Errorf("mixed: got %s, want %s", got, want)
	}
	common := batchWith("", "")
	common.SetCommon("to", []byte("b"))
	if got, want := chosen(s, common), "dropped=2"; got != want {
		t.Errorf("common: got %s, want %s", got, want)
	}
}

func TestLoadBalancingGivesEachRecordToOneChannel(t *testing.T) {
	s := selectorOf(t, "c0 c1 c2", "selector.type", "load_balancing")
	var to routes
	batch := batchWith("0", "1", "2", "3")
	s.choose(batch, &to)
	if got := fmt.Sprint(to.required[0].which, to.required[1].which, to.required[2].which); got != "[0 3] [1] [2]" {
		t.Errorf("first batch: got %s", got)
	}
	s.choose(batch, &to)
	if got := fmt.Sprint(to.required[0].which, to.required[1].which, to.required[2].which); got != "[2] [0 3] [1]" {
		t.Errorf("second batch: got %s", got)
	}
	s = selectorOf(t, "c0 c1", "selector.type", "load_balancing", "selector.policy", "RANDOM")
	many := batchWith(make([]string, 1000)...)
	s.choose(many, &to)
	a, b := len(to.required[0].which), len(to.required[1].which)
	if a+b != 1000 || a < 300 || b < 300 {
		t.Errorf("1000 records at random: got %d and %d", a, b)
	}
}

func TestASelectorNamesWhatItCannotUse(t *testing.T) {
	for _, c := range []struct {
		settings []string
		want     string
	}{
		{[]string{"selector.type", "nope"}, "nope"},
		{[]string{"selector.optional", "c9"}, `"c9" is no channel`},
		{[]string{"selector.type", "multiplexing", "selector.mapping.a", "c9"}, `"c9" is no channel`},
		{[]string{"selector.type", "multiplexing", "selector.mapping.a", ""}, "mapping.a"},
		{[]string{"selector.type", "multiplexing", "selector.default", "c0,c1"}, `"c0,c1" is no channel`},
		{[]string{"selector.type", "load_balancing", "selector.policy", "x"}, "policy"},
	} {
		_, err := newSelector(topologies.SettingsOf("source", "netcat", pairs(c.settings)), []string{"c0", "c1"}, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error with %s", c.settings, err, c.want)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	batch := batchWith("a", "b", "c", "a")
	for _, s := range []selector{
		selectorOf(t, "c0 c1"),
		selectorOf(t, "c0 c1", "selector.type", "multiplexing", "selector.header", "to", "selector.mapping.a", "c0", "selector.default", "c1"),
		selectorOf(t, "c0 c1", "selector.type", "load_balancing"),
	} {
		var to routes
		s.choose(batch, &to)
		if n := testing.AllocsPerRun(100, func() { s.choose(batch, &to) }); n != 0 {
			t.Errorf("%T: %v allocations per batch", s, n)
		}
	}
}
