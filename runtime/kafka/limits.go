package kafka

import (
	"sync"
	"time"
)

// Limits bound what clients can make the node do. Zero fields take the
// defaults.
type Limits struct {
	Connections      int // max.connections
	ConnectionsPerIP int // max.connections.per.ip; loopback has only Connections
	// CreationRate is how many connections a second one address other than
	// loopback may open, CreationBurst how many at once. Negative: as many as it
	// likes.
	CreationRate, CreationBurst int

	Idle  time.Duration // connections.max.idle.ms: without a request
	Frame time.Duration // for a whole frame, once it has begun, and for writing an answer

	InFlight int   // requests of one connection that are not answered yet
	Unread   int64 // bytes of answers that a client has not read yet
	// ConnectionMemory bounds the frames of one connection, Memory those of
	// all. One frame is let through per connection however large its API allows.
	ConnectionMemory, Memory int64

	// FetchMax bounds the records of one fetch answer, whatever the client
	// wants; the first batch is whole even so.
	FetchMax int
	// Sessions bounds the fetch sessions that are kept
	// (max.incremental.fetch.session.cache.slots).
	Sessions int
}

const (
	bytesPerSecondMin = 64 << 10 // slower than that is a client that holds memory on purpose
	stepMin           = 64 << 10 // of a frame is read before more memory is taken
)

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Connections, 10_000)
	def(&l.ConnectionsPerIP, 2_000)
	def(&l.CreationRate, 20)
	def(&l.CreationBurst, 100)
	def(&l.InFlight, 100)
	def64(&l.Unread, 5<<20)
	def64(&l.ConnectionMemory, 32<<20)
	def64(&l.Memory, 512<<20)
	def(&l.FetchMax, 16<<20)
	def(&l.Sessions, 1_000)
	if l.Idle == 0 {
		l.Idle = 10 * time.Minute
	}
	if l.Frame == 0 {
		l.Frame = 30 * time.Second
	}
	return l
}

// allowance is how long n bytes may take.
func (l Limits) allowance(n int) time.Duration {
	return l.Frame + time.Duration(n)*time.Second/bytesPerSecondMin
}

// budget is memory that is taken before it is used. Those who wait are served
// in their order.
type budget struct {
	mu      sync.Mutex
	free    int64
	waiting []*claim
}

type claim struct {
	bytes   int64
	granted chan struct{}
}

func newBudget(bytes int64) *budget { return &budget{free: bytes} }

// take waits until n bytes are free, or until quit is closed or the time is
// over; then it answers false.
func (b *budget) take(n int64, quit <-chan struct{}, patience time.Duration) bool {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return true
	}
	c := &claim{n, make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.granted:
		return true
	case <-quit:
	case <-timer.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.give(n)
	default:
		for i, w := range b.waiting {
			if w == c {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
				break
			}
		}
		b.give(0) // those behind may want less
	}
	return false
}

// tryTake takes n bytes if they are free and nobody waits for them.
func (b *budget) tryTake(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

// force takes n bytes, also such as are not there: for what must go on.
func (b *budget) force(n int64) {
	b.mu.Lock()
	b.free -= n
	b.mu.Unlock()
}

// left is what nobody has taken.
func (b *budget) left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// put gives n bytes back.
func (b *budget) put(n int64) {
	b.mu.Lock()
	b.give(n)
	b.mu.Unlock()
}

func (b *budget) give(n int64) {
	b.free += n
	for len(b.waiting) > 0 && b.free >= b.waiting[0].bytes {
		c := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.free -= c.bytes
		close(c.granted)
	}
}

// rates says who opens connections too fast: a bucket of CreationBurst an
// address, filled CreationRate a second.
type rates struct {
	perSecond, burst float64
	buckets          map[string]*bucket
}

type bucket struct {
	level float64
	at    time.Time
}

const bucketsMax = 10_000 // addresses that are remembered

// allow is called by the accept loop alone.
func (r *rates) allow(ip string, now time.Time) bool {
	if r.perSecond < 0 {
		return true
	}
	b := r.buckets[ip]
	if b == nil {
		if len(r.buckets) >= bucketsMax {
			r.forget(now)
		}
		b = &bucket{level: r.burst, at: now}
		r.buckets[ip] = b
	}
	b.level = min(r.burst, b.level+r.perSecond*now.Sub(b.at).Seconds())
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// forget drops the addresses whose bucket is full again, or all: a flood from
// more addresses than are remembered is the business of Connections.
func (r *rates) forget(now time.Time) {
	for ip, b := range r.buckets {
		if b.level+r.perSecond*now.Sub(b.at).Seconds() >= r.burst {
			delete(r.buckets, ip)
		}
	}
	if len(r.buckets) >= bucketsMax {
		clear(r.buckets)
	}
}
