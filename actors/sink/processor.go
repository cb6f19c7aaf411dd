package sink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/topologies"
)

// processor says which sink of a group is tried next. It has no clock: whoever
// asks brings the time, and answers for the sinks that it tries.
type processor interface {
	// next is the sink to try, as an index of the group's list. When there is
	// none to try now, ok is false and retryAt says when to ask again. Asked
	// again before that, or before the answer for a sink, it says the same.
	next(now time.Time) (sink int, ok bool, retryAt time.Time)
	failed(sink int, now time.Time)
	succeeded(sink int, now time.Time)
	// pause is how long a sink is left alone from now on; 0: until it is its turn.
	pause(sink int, now time.Time) time.Duration
	// unused are the sinks that are never tried.
	unused() []int
}

// runnerPause is how long Flume leaves a sink or group alone that failed.
const runnerPause = 5 * time.Second

// newProcessor makes the processor of a group of sinks. kind is its type as in
// topologies/kinds, settings are what stands below "processor.".
func newProcessor(kind string, settings topologies.Settings, sinks []string, compat bool) (processor, error) {
	if len(sinks) == 0 {
		return nil, fmt.Errorf("%s: the group has no sinks", settings.Name())
	}
	switch strings.ToLower(kind) {
	case "default":
		if len(sinks) != 1 {
			return nil, fmt.Errorf("%s: processor default runs one sink and the group has %d: use failover or load_balance", settings.Name(), len(sinks))
		}
		return &onlyOne{compat: compat}, nil
	case "failover":
		return newFailover(settings, sinks, compat)
	case "load_balance":
		return newLoadBalance(settings, sinks, compat)
	}
	return nil, fmt.Errorf("%s: processor %q is none of default, failover, load_balance", settings.Name(), kind)
}

// onlyOne is the default processor: one sink, tried again later and later. With
// Flume's defects it is tried every runnerPause.
type onlyOne struct {
	compat   bool
	failures int
	retryAt  time.Time
}

// firstPause is how long a sink is left alone after its first failure.
const firstPause = 250 * time.Millisecond

func (o *onlyOne) next(now time.Time) (int, bool, time.Time) {
	return 0, !now.Before(o.retryAt), o.retryAt
}

func (o *onlyOne) failed(_ int, now time.Time) {
	pause := runnerPause
	if !o.compat {
		pause = doubled(firstPause, o.failures, runnerPause)
	}
	o.failures++
	o.retryAt = now.Add(pause)
}

func (o *onlyOne) succeeded(int, time.Time) { o.failures, o.retryAt = 0, time.Time{} }

func (o *onlyOne) pause(_ int, now time.Time) time.Duration { return max(0, o.retryAt.Sub(now)) }

func (o *onlyOne) unused() []int { return nil }

// doubled is d, doubled times times, at most limit.
func doubled(d time.Duration, times int, limit time.Duration) time.Duration {
	for ; times > 0 && d < limit; times-- {
		d *= 2
	}
	return min(d, limit)
}

// failover runs the sink of the highest priority. One that fails is left alone
// for its penalty, which doubles with every failure in a row, and is tried
// before all others when that is over.
type failover struct {
	compat     bool
	penaltyMax time.Duration
	order      []int // sinks, the highest priority first
	idle       []int // sinks whose priority another one has
	dead       map[int]*deadSink
}

type deadSink struct {
	failures int
	refresh  time.Time
}

func newFailover(s topologies.Settings, sinks []string, compat bool) (processor, error) {
	f := &failover{compat: compat, penaltyMax: s.Duration("maxpenalty"), dead: map[int]*deadSink{}}
	priorities := make([]int, len(sinks))
	missing := 0
	seen := map[int]bool{}
	for i, name := range sinks {
		p, err := strconv.Atoi(strings.TrimSpace(s.String("priority." + name)))
		if err != nil {
			missing--
			p = missing
		}
		priorities[i] = p
		if seen[p] {
			f.idle = append(f.idle, i)
			continue
		}
		seen[p] = true
		f.order = append(f.order, i)
	}
	slices.SortFunc(f.order, func(a, b int) int { return priorities[b] - priorities[a] })
	return f, s.Err()
}

func (f *failover) next(now time.Time) (int, bool, time.Time) {
	if revived, ok := f.firstDead(); ok && !now.Before(f.dead[revived].refresh) {
		return revived, true, now
	}
	for _, sink := range f.order {
		if f.dead[sink] == nil {
			return sink, true, now
		}
	}
	if f.compat {
		return 0, false, now.Add(runnerPause)
	}
	soonest, _ := f.firstDead()
	return 0, false, f.dead[soonest].refresh
}

// firstDead is the dead sink whose penalty ends first.
func (f *failover) firstDead() (int, bool) {
	first, found := 0, false
	for _, sink := range f.order {
		if d := f.dead[sink]; d != nil && (!found || d.refresh.Before(f.dead[first].refresh)) {
			first, found = sink, true
		}
	}
	return first, found
}

func (f *failover) failed(sink int, now time.Time) {
	d := f.dead[sink]
	if d == nil {
		d = &deadSink{}
		f.dead[sink] = d
	}
	d.failures++
	d.refresh = now.Add(doubled(time.Second, d.failures, f.penaltyMax))
}

func (f *failover) succeeded(sink int, _ time.Time) { delete(f.dead, sink) }

func (f *failover) pause(sink int, now time.Time) time.Duration {
	if d := f.dead[sink]; d != nil {
		return max(0, d.refresh.Sub(now))
	}
	return 0
}

func (f *failover) unused() []int { return f.idle }

// loadBalance gives every batch to another sink, in turn or at random, and the
// batches of a sink that fails to the others.
type loadBalance struct {
	compat, backOff bool
	waitMax         time.Duration
	sinks           []restingSink
	shuffle         func([]int) // nil: in turn
	head            int         // where the next turn begins among the active
	turn            []int       // the sinks still to be tried with this batch
	tried           bool        // turn belongs to a batch
	until           time.Time   // of the pause after all have failed
}

type restingSink struct {
	failures int
	last     time.Time // of the last failure
	restored time.Time
}

const (
	// failuresMax bounds the growth of a pause.
	failuresMax = 16
	// sameTrouble is how soon after a pause a failure still counts as the same.
	sameTrouble = time.Hour
	// defaultWaitMax holds where selector.maxTimeOut is 0.
	defaultWaitMax = 30 * time.Second
)

func newLoadBalance(s topologies.Settings, sinks []string, compat bool) (processor, error) {
	if compat && len(sinks) < 2 {
		return nil, fmt.Errorf("%s: processor load_balance needs two sinks", s.Name())
	}
	l := &loadBalance{
		compat: compat, backOff: s.Bool("backoff"), waitMax: s.Duration("selector.maxTimeOut"),
		sinks: make([]restingSink, len(sinks)),
	}
	if l.waitMax == 0 {
		l.waitMax = defaultWaitMax
	}
	switch selector := strings.ToLower(s.String("selector")); selector {
	case "round_robin":
	case "random":
		l.shuffle = func(turn []int) {
			rand.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
		}
	default:
		s.Fail("selector", fmt.Sprintf("%q is neither round_robin nor random", selector))
	}
	return l, s.Err()
}

func (l *loadBalance) next(now time.Time) (int, bool, time.Time) {
	if now.Before(l.until) {
		return 0, false, l.until
	}
	if !l.tried {
		l.begin(now)
	}
	if len(l.turn) > 0 {
		return l.turn[0], true, now
	}
	l.tried, l.until = false, l.again(now)
	return 0, false, l.until
}

// begin lists the sinks to be tried with the next batch.
func (l *loadBalance) begin(now time.Time) {
	l.tried, l.turn = true, l.turn[:0]
	for i := range l.sinks {
		if !l.backOff || !now.Before(l.sinks[i].restored) {
			l.turn = append(l.turn, i)
		}
	}
	if l.shuffle != nil {
		l.shuffle(l.turn)
		return
	}
	if l.head >= len(l.turn) {
		l.head = 0
	}
	rotate(l.turn, l.head)
	if l.head++; l.head == len(l.turn) {
		l.head = 0
	}
}

// rotate makes turn begin with its element at.
func rotate(turn []int, at int) {
	if at == 0 {
		return
	}
	slices.Reverse(turn[:at])
	slices.Reverse(turn[at:])
	slices.Reverse(turn)
}

// again is when to try again after all sinks have failed.
func (l *loadBalance) again(now time.Time) time.Time {
	if l.compat || !l.backOff {
		return now.Add(runnerPause)
	}
	first := l.sinks[0].restored
	for _, s := range l.sinks[1:] {
		if s.restored.Before(first) {
			first = s.restored
		}
	}
	return first
}

func (l *loadBalance) failed(sink int, now time.Time) {
	if at := slices.Index(l.turn, sink); at >= 0 {
		l.turn = slices.Delete(l.turn, at, at+1)
	}
	if !l.backOff {
		return
	}
	s := &l.sinks[sink]
	if now.Sub(s.last) < l.penalty(s.failures)+sameTrouble {
		s.failures = min(s.failures+1, failuresMax)
	} else {
		s.failures = 1
	}
	s.last = now
	s.restored = now.Add(l.penalty(s.failures))
}

func (l *loadBalance) penalty(failures int) time.Duration {
	return doubled(time.Second, failures, l.waitMax)
}

func (l *loadBalance) pause(sink int, now time.Time) time.Duration {
	return max(0, l.sinks[sink].restored.Sub(now))
}

func (l *loadBalance) succeeded(int, time.Time) { l.tried = false }

func (l *loadBalance) unused() []int { return nil }
