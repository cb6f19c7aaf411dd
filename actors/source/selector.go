package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// selector says which records of a batch go to which channels of a source. It
// is called by one goroutine at a time.
type selector interface {
	// choose fills to, whose former content is overwritten.
	choose(batch *record.Slab, to *routes)
}

// routes is what a selector chose, by the position of the channel in the
// source's list. It belongs to its user and is filled again for each batch.
type routes struct {
	required []part // all of them take their part, or none keeps anything
	optional []part // a failure is counted and forgotten
	// dropped is how many records a rule sends to no channel at all.
	dropped int
}

// part is what of a batch goes to one channel: all of it, or the records in
// which, rising; nothing when both are zero.
type part struct {
	all   bool
	which []int
}

func (p *part) empty() bool { return !p.all && len(p.which) == 0 }

// reset makes room for n channels that get nothing.
func (r *routes) reset(n int) {
	r.required, r.optional, r.dropped = resetParts(r.required, n), resetParts(r.optional, n), 0
}

func resetParts(parts []part, n int) []part {
	for len(parts) < n {
		parts = append(parts, part{})
	}
	parts = parts[:n]
	for i := range parts {
		parts[i].all, parts[i].which = false, parts[i].which[:0]
	}
	return parts
}

// newSelector builds the selector that the settings of a source ask for
// (selector.type, selector.*); channels are the names of its channels.
func newSelector(settings topologies.Settings, channels []string, compat bool) (selector, error) {
	typ := strings.TrimSpace(settings.String("selector.type"))
	if typ == "" {
		typ = "replicating"
	}
	name := strings.ToLower(typ)
	kind, ok := kinds.Lookup(kinds.Selector, typ)
	if ok {
		name = strings.ToLower(kind.Name)
	}
	own := selectorSettings{settings.Sub("selector.", kind), channels}
	switch name {
	case "replicating":
		return newReplicating(own)
	case "multiplexing":
		return newMultiplexing(own)
	case "load_balancing":
		return newLoadBalancing(own)
	}
	return nil, fmt.Errorf("%s: selector.type: %q is none of replicating, multiplexing, load_balancing", settings.Name(), typ)
}

// selectorSettings are the settings of a selector and the channels they name.
type selectorSettings struct {
	topologies.Settings
	channels []string
}

// channelList reads a property that lists channels into their positions.
func (s selectorSettings) channelList(property string) ([]int, error) {
	var list []int
	for _, name := range s.List(property) {
		at := slices.Index(s.channels, name)
		if at < 0 {
			place := ""
			if v, ok := s.Value(property); ok && v.Pos.Line != 0 {
				place = v.Pos.String() + ": "
			}
			return nil, fmt.Errorf("%s%s: %s: %q is no channel of this source (it has %s)",
				place, s.Name(), property, name, strings.Join(s.channels, " "))
		}
		if !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list, nil
}

// replicating sends every record to every channel.
type replicating struct{ optional []bool }

func newReplicating(s selectorSettings) (selector, error) {
	list, err := s.channelList("optional")
	if err != nil {
		return nil, err
	}
	r := &replicating{optional: make([]bool, len(s.channels))}
	for _, i := range list {
		r.optional[i] = true
	}
	return r, s.Err()
}

func (r *replicating) choose(batch *record.Slab, to *routes) {
	to.reset(len(r.optional))
	for i, optional := range r.optional {
		if optional {
			to.optional[i].all = true
		} else {
			to.required[i].all = true
		}
	}
}

// multiplexing sends a record where the value of one of its headers says.
type multiplexing struct {
	header   string
	channels int
	mapping  map[string]target
	other    target // of a missing, blank or unmapped value
}

// target is the channels of one header value.
type target struct{ required, optional []int }

func newMultiplexing(s selectorSettings) (selector, error) {
	m := &multiplexing{header: s.String("header"), channels: len(s.channels), mapping: map[string]target{}}
	if m.header == "" {
		m.header = "flume.selector.header"
	}
	var err error
	if m.other.required, err = s.channelList("default"); err != nil {
		return nil, err
	}
	for _, value := range s.Keys("mapping.") {
		required, err := s.channelList("mapping." + value)
		if err != nil {
			return nil, err
		}
		if len(required) == 0 {
			return nil, fmt.Errorf("%s: mapping.%s: names no channel", s.Name(), value)
		}
		m.mapping[value] = target{required: required}
	}
	for _, value := range s.Keys("optional.") {
		optional, err := s.channelList("optional." + value)
		if err != nil {
			return nil, err
		}
		t, mapped := m.mapping[value]
		if !mapped {
			t.required = m.other.required
		}
		for _, i := range optional {
			if !slices.Contains(t.required, i) {
				t.optional = append(t.optional, i)
			}
		}
		m.mapping[value] = t
	}
	return m, s.Err()
}

func (m *multiplexing) choose(batch *record.Slab, to *routes) {
	to.reset(m.channels)
	n := batch.Len()
	if value, same := batch.Common(m.header); same {
		to.add(m.target(value), n)
		return
	}
	for i := range n {
		value, _ := batch.Header(i, m.header)
		t := m.target(value)
		if len(t.required)+len(t.optional) == 0 {
			to.dropped++
		}
		for _, c := range t.required {
			to.required[c].which = append(to.required[c].which, i)
		}
		for _, c := range t.optional {
			to.optional[c].which = append(to.optional[c].which, i)
		}
	}
	to.wholeWhere(n)
}

func (m *multiplexing) target(value []byte) target {
	if blank(value) {
		return m.other
	}
	if t, ok := m.mapping[string(value)]; ok {
		return t
	}
	return m.other
}

// blank says that Java's trim would leave nothing.
func blank(value []byte) bool {
	for _, c := range value {
		if c > ' ' {
			return false
		}
	}
	return true
}

// add sends all n records of a batch to t.
func (r *routes) add(t target, n int) {
	for _, c := range t.required {
		r.required[c].all = true
	}
	for _, c := range t.optional {
		r.optional[c].all = true
	}
	if len(t.required)+len(t.optional) == 0 {
		r.dropped = n
	}
}

// wholeWhere notes the parts that are the whole batch of n records.
func (r *routes) wholeWhere(n int) {
	for _, parts := range [][]part{r.required, r.optional} {
		for i := range parts {
			if p := &parts[i]; n > 0 && len(p.which) == n {
				p.all, p.which = true, p.which[:0]
			}
		}
	}
}

// loadBalancing sends each record to one channel.
type loadBalancing struct {
	channels int
	random   bool
	next     int
}

func newLoadBalancing(s selectorSettings) (selector, error) {
	policy := strings.TrimSpace(s.String("policy"))
	l := &loadBalancing{channels: len(s.channels), random: strings.EqualFold(policy, "random")}
	if policy != "" && !l.random && !strings.EqualFold(policy, "round_robin") {
		return nil, fmt.Errorf("%s: policy: %q is neither round_robin nor random", s.Name(), policy)
	}
	return l, s.Err()
}

func (l *loadBalancing) choose(batch *record.Slab, to *routes) {
	to.reset(l.channels)
	for i := range batch.Len() {
		c := l.next
		if l.random {
			c = rand.IntN(l.channels)
		} else {
			l.next = (l.next + 1) % l.channels
		}
		to.required[c].which = append(to.required[c].which, i)
	}
	to.wholeWhere(batch.Len())
}
