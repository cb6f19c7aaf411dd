package group

import "container/heap"

// timerKind says what happens when a timer is due.
type timerKind uint8

const (
	sessionTimer   timerKind = iota // a member was silent for too long
	pendingTimer                    // a member id was given out and never used
	joinTimer                       // a rebalance waits no longer for members to rejoin
	syncTimer                       // a rebalance waits no longer for members to fetch their assignment
	revokeTimer                     // a member of the new protocol was too slow to give partitions up
	retentionTimer                  // offsets of the group may have expired
)

type timerKey struct {
	kind          timerKind
	group, member string
}

// timers is when what is due. Heartbeats move a member's timer all the time, so
// a timer that moves to later stays where it is in the heap and is put right
// when its old time comes.
type timers struct {
	due    map[timerKey]int64
	queued map[timerKey]int64 // the earliest entry in the heap
	heap   timerHeap
}

type timerEntry struct {
	at  int64
	key timerKey
}

func newTimers() timers {
	return timers{due: map[timerKey]int64{}, queued: map[timerKey]int64{}}
}

func (t *timers) set(key timerKey, at int64) {
	t.due[key] = at
	if queued, ok := t.queued[key]; ok && queued <= at {
		return
	}
	t.queued[key] = at
	heap.Push(&t.heap, timerEntry{at, key})
}

// atMost is set, unless the timer is due earlier already.
func (t *timers) atMost(key timerKey, at int64) {
	if due, ok := t.due[key]; !ok || due > at {
		t.set(key, at)
	}
}

func (t *timers) cancel(key timerKey) { delete(t.due, key) }

// settle drops entries from the front of the heap that nobody waits for.
func (t *timers) settle() {
	for len(t.heap) > 0 {
		e := t.heap[0]
		queued, ok := t.queued[e.key]
		if !ok || queued != e.at { // an earlier entry took its place
			heap.Pop(&t.heap)
			continue
		}
		due, wanted := t.due[e.key]
		if wanted && due == e.at {
			return
		}
		heap.Pop(&t.heap)
		delete(t.queued, e.key)
		if wanted {
			t.queued[e.key] = due
			heap.Push(&t.heap, timerEntry{due, e.key})
		}
	}
}

// next is when the first timer is due.
func (t *timers) next() (at int64, ok bool) {
	t.settle()
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// pop takes the first timer that is due at now.
func (t *timers) pop(now int64) (timerKey, bool) {
	at, ok := t.next()
	if !ok || at > now {
		return timerKey{}, false
	}
	e := heap.Pop(&t.heap).(timerEntry)
	delete(t.queued, e.key)
	delete(t.due, e.key)
	return e.key, true
}

// timerHeap orders by time, and by name where times are equal, so that the same
// input always gives the same trace.
type timerHeap []timerEntry

func (h timerHeap) Len() int      { return len(h) }
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h timerHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.key.group != b.key.group:
		return a.key.group < b.key.group
	case a.key.kind != b.key.kind:
		return a.key.kind < b.key.kind
	}
	return a.key.member < b.key.member
}
func (h *timerHeap) Push(x any) { *h = append(*h, x.(timerEntry)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
