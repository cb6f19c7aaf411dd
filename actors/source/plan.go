package source

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
)

// plan is what of a batch goes where.
type plan struct {
	required, optional []share
	dropped            int
	records            int // of the batch, before anything was dropped
}

// dropped is how many records a rule left out.
type dropped struct {
	rule string
	n    int
}

type share struct {
	channel int // in the source's list
	batch   *record.Slab
}

// release gives back what was not handed on.
func (p *plan) release() {
	for _, s := range append(p.required, p.optional...) {
		s.batch.Release()
	}
}

// shape runs the interceptors and the selector over batch, whose reference
// goes into the plan.
func (e *emitter) shape(batch *record.Slab) (p *plan, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer batch.Release()
	defer func() {
		if r := recover(); r != nil {
			e.Tree.System().Root.Send(e.self, poisoned{r, debug.Stack()})
			err = errPoisoned
		}
	}()
	p = &plan{records: batch.Len()}
	var rules []dropped
	defer func() {
		if err == nil { // else it comes again
			for _, d := range rules {
				e.drop(d.rule, d.n)
			}
		}
	}()
	for i, in := range e.chain {
		before := batch.Len()
		if err := in.Intercept(batch); err != nil {
			return nil, fmt.Errorf("interceptor %s: %w", e.names[i], err)
		}
		p.dropped += before - batch.Len()
		if n := before - batch.Len(); n > 0 {
			rules = append(rules, dropped{"interceptor " + e.names[i], n})
		}
	}
	if batch.Len() == 0 {
		return p, nil
	}
	e.selector.choose(batch, &e.routes)
	if e.routes.dropped > 0 {
		p.dropped += e.routes.dropped
		rules = append(rules, dropped{"selector", e.routes.dropped})
	}
	p.required = e.shares(batch, e.routes.required)
	p.optional = e.shares(batch, e.routes.optional)
	return p, nil
}

func (e *emitter) shares(batch *record.Slab, parts []part) []share {
	var list []share
	for i := range parts {
		switch part := &parts[i]; {
		case part.all:
			batch.Retain()
			list = append(list, share{i, batch})
		case len(part.which) > 0:
			list = append(list, share{i, batch.Subset(part.which)})
		}
	}
	return list
}

// pieces cuts shares so that none is larger than its channel. A plan that
// needs no cut, or has no shares, is one piece.
func (e *emitter) pieces(shares []share) [][]share {
	n := 1
	for _, s := range shares {
		capacity := e.Channels[s.channel].Capacity()
		n = max(n, (s.batch.Len()+capacity-1)/capacity)
	}
	if n == 1 {
		return [][]share{shares}
	}
	list := make([][]share, n)
	for _, s := range shares {
		size := (s.batch.Len() + n - 1) / n
		for i := range list {
			if from, to := i*size, min((i+1)*size, s.batch.Len()); from < to {
				list[i] = append(list[i], share{s.channel, s.batch.Subset(indices(from, to))})
			}
		}
		s.batch.Release()
	}
	return list
}

func indices(from, to int) []int {
	list := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

func drain(shares []share) {
	for _, s := range shares {
		s.batch.Release()
	}
}

func copiesOf(shares []share) int {
	n := 0
	for _, s := range shares {
		n += s.batch.Len()
	}
	return n
}

// drop counts records that a rule left out.
func (e *emitter) drop(rule string, n int) {
	v, ok := e.dropped.Load(rule)
	if !ok {
		v, _ = e.dropped.LoadOrStore(rule, new(atomic.Int64))
	}
	v.(*atomic.Int64).Add(int64(n))
}
