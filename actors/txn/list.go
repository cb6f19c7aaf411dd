package txn

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describe tells all about the ids asked for.
func (c *Coordinator) describe(q *Request, m *kmsg.DescribeTransactionsRequest) {
	resp := m.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range m.TransactionalIDs {
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID = id
		t := c.txns[id]
		switch {
		case id == "":
			s.ErrorCode = kerr.InvalidRequest.Code
		case t == nil || t.producer == noProducer || t.forgotten():
			s.ErrorCode = kerr.TransactionalIDNotFound.Code
		default:
			s.State, s.TimeoutMillis, s.StartTimestamp = t.state.String(), t.timeout, t.started
			s.ProducerID, s.ProducerEpoch = t.producer, t.epoch
			for i, p := range t.partitions {
				if i == 0 || t.partitions[i-1].Topic != p.Topic {
					s.Topics = append(s.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: p.Topic})
				}
				last := &s.Topics[len(s.Topics)-1]
				last.Partitions = append(last.Partitions, p.Index)
			}
		}
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	c.put(Answer{q, resp})
}

// forgotten says that t is on its way out.
func (t *transaction) forgotten() bool { return t.pending != nil && t.pending.next.state == Dead }

// filter is what a ListTransactions asks for.
type filter struct {
	states   map[State]bool // empty: all
	ids      []int64        // producer ids; empty: all
	duration int64          // ms; below 0: all
	pattern  *regexp.Regexp // nil: all
}

// parseFilter reads the filters of m.
func parseFilter(m *kmsg.ListTransactionsRequest) (f filter, err error) {
	f.states, f.ids, f.duration = map[State]bool{}, m.ProducerIDFilters, -1
	for _, name := range m.StateFilters {
		if i := slices.Index(stateNames, name); i >= 0 {
			f.states[State(i)] = true
		}
	}
	if m.Version >= 1 {
		f.duration = m.DurationFilterMillis
	}
	if p := m.TransactionalIDPattern; p != nil && *p != "" {
		if f.pattern, err = regexp.Compile(`^(?:` + *p + `)$`); err != nil {
			return f, fmt.Errorf("pattern %q: %w", *p, err)
		}
	}
	return f, nil
}

func (f *filter) passes(now int64, t *transaction) bool {
	switch {
	case len(f.states) > 0 && !f.states[t.state],
		len(f.ids) > 0 && !slices.Contains(f.ids, t.producer),
		f.duration >= 0 && (t.started < 0 || now-t.started <= f.duration),
		f.pattern != nil && !f.pattern.MatchString(t.id):
		return false
	}
	return true
}

// list tells which ids pass the filters. Where states are asked for of which none
// is known, nothing does.
func (c *Coordinator) list(now int64, q *Request, m *kmsg.ListTransactionsRequest) {
	resp := m.ResponseKind().(*kmsg.ListTransactionsResponse)
	f, err := parseFilter(m)
	resp.UnknownStateFilters = UnknownStates(m.StateFilters)
	switch {
	case err != nil:
		resp.ErrorCode = kerr.InvalidRegularExpression.Code
	case len(m.StateFilters) > 0 && len(f.states) == 0:
	default:
		for _, id := range slices.Sorted(maps.Keys(c.txns)) {
			if t := c.txns[id]; t.producer != noProducer && !t.forgotten() && f.passes(now, t) {
				s := kmsg.NewListTransactionsResponseTransactionState()
				s.TransactionalID, s.ProducerID, s.TransactionState = id, t.producer, t.state.String()
				resp.TransactionStates = append(resp.TransactionStates, s)
			}
		}
	}
	c.put(Answer{q, resp})
}

// UnknownStates are those of names that no transaction is ever in.
func UnknownStates(names []string) (unknown []string) {
	for _, name := range names {
		if !slices.Contains(stateNames, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}
