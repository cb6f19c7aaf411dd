package check

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The requests that a Proxy plays with.
const (
	keyProduce = 0
	keyEndTxn  = 26
)

// Trick is what a Proxy does to a request.
type Trick uint8

// The tricks. A copy that comes late must change nothing: its transaction is over.
const (
	Pass Trick = iota
	// Repeat lets the request through, and sends it again later.
	Repeat
	// HoldBack cuts the client off instead of letting the request through, and
	// sends it later, when the client has long asked again.
	HoldBack
	// Swallow lets the request through, and cuts the client off before the answer.
	Swallow
)

// Proxy stands between clients and a broker that tells them the proxy's address
// as its own. It repeats, delays and loses Produce and EndTxn.
type Proxy struct {
	listener net.Listener
	broker   func() string // its address now; "" while it is down
	plan     func(key int16) (t Trick, late time.Duration)
	// OnEnd is called when the answer to an EndTxn comes by, before it is passed
	// on: what it decided is on disk, the markers may not be.
	OnEnd func()
	// Patient has clients wait for a broker that is down, as they would for one
	// behind a load balancer, rather than cut off at once.
	Patient bool

	late   sync.WaitGroup
	closed chan struct{}
	conns  sync.Map // net.Conn: nil

	Repeated, HeldBack, Swallowed, Sent atomic.Int64
}

// NewProxy listens on a free port.
func NewProxy(broker func() string, plan func(key int16) (Trick, time.Duration)) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, broker: broker, plan: plan, closed: make(chan struct{})}
	return p, nil
}

// NoTricks is the plan of a proxy that only passes on.
func NoTricks(int16) (Trick, time.Duration) { return Pass, 0 }

// RandomPlan plays a trick on one of n requests of each kind; what is late comes
// within latest.
func RandomPlan(seed uint64, n int, latest time.Duration) func(int16) (Trick, time.Duration) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 77))
	return func(int16) (Trick, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if rnd.IntN(n) != 0 {
			return Pass, 0
		}
		return []Trick{Repeat, Repeat, HoldBack, Swallow}[rnd.IntN(4)], time.Duration(rnd.Int64N(int64(latest)))
	}
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Start lets clients in.
func (p *Proxy) Start() {
	go func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
}

// Late waits until everything that was kept for later has been sent.
func (p *Proxy) Late() { p.late.Wait() }

// Close cuts everybody off.
func (p *Proxy) Close() {
	close(p.closed)
	p.listener.Close()
	p.conns.Range(func(c, _ any) bool {
		c.(net.Conn).Close()
		return true
	})
	p.late.Wait()
}

// patience is how long a client waits for a broker that is down.
const patience = 8 * time.Second

func (p *Proxy) dial() (net.Conn, error) {
	for deadline := time.Now().Add(patience); ; {
		var c net.Conn
		err := errors.New("the broker is down")
		if addr := p.broker(); addr != "" {
			c, err = net.DialTimeout("tcp", addr, time.Second)
		}
		if err == nil || !p.Patient || time.Now().After(deadline) {
			return c, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// pair is a client's connection and ours to the broker.
type pair struct {
	client, broker net.Conn
	mu             sync.Mutex
	ends           []int32 // correlation ids of EndTxn requests on their way
	cutAt          int32   // the answer that the client is not to have
	cuts           bool
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	broker, err := p.dial()
	if err != nil {
		return
	}
	defer broker.Close()
	p.conns.Store(client, nil)
	p.conns.Store(broker, nil)
	defer p.conns.Delete(client)
	defer p.conns.Delete(broker)
	c := &pair{client: client, broker: broker}
	go func() {
		p.answers(c)
		client.Close()
		broker.Close()
	}()
	p.requests(c)
}

// requests passes frames on to the broker, or plays its tricks.
func (p *Proxy) requests(c *pair) {
	for {
		frame, err := readFrame(c.client)
		if err != nil || len(frame) < 12 {
			return
		}
		key := int16(binary.BigEndian.Uint16(frame[4:]))
		correlation := int32(binary.BigEndian.Uint32(frame[8:]))
		trick, after := Pass, time.Duration(0)
		if key == keyProduce || key == keyEndTxn {
			trick, after = p.plan(key)
		}
		c.mu.Lock()
		if key == keyEndTxn {
			c.ends = append(c.ends, correlation)
		}
		if trick == Swallow {
			c.cutAt, c.cuts = correlation, true
			p.Swallowed.Add(1)
		}
		c.mu.Unlock()
		switch trick {
		case HoldBack:
			p.HeldBack.Add(1)
			p.later(frame, after)
			return
		case Repeat:
			p.Repeated.Add(1)
			p.later(frame, after)
		}
		if _, err := c.broker.Write(frame); err != nil {
			return
		}
	}
}

// answers passes frames on to the client.
func (p *Proxy) answers(c *pair) {
	for {
		frame, err := readFrame(c.broker)
		if err != nil || len(frame) < 8 {
			return
		}
		correlation := int32(binary.BigEndian.Uint32(frame[4:]))
		c.mu.Lock()
		at := slices.Index(c.ends, correlation)
		if at >= 0 {
			c.ends = slices.Delete(c.ends, at, at+1)
		}
		cut := c.cuts && c.cutAt == correlation
		c.mu.Unlock()
		if at >= 0 && p.OnEnd != nil {
			p.OnEnd()
		}
		if cut {
			return
		}
		if _, err := c.client.Write(frame); err != nil {
			return
		}
	}
}

// later sends frame on a connection of its own, when some time has passed. It
// waits for the answer, which nobody wants.
func (p *Proxy) later(frame []byte, after time.Duration) {
	p.late.Go(func() {
		select {
		case <-time.After(after):
		case <-p.closed:
			return
		}
		broker, err := p.dial()
		if err != nil {
			return
		}
		defer broker.Close()
		broker.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := broker.Write(frame); err != nil {
			return
		}
		if _, err := readFrame(broker); err == nil {
			p.Sent.Add(1)
		}
	})
}

const frameMax = 100 << 20

// readFrame reads a length and that many bytes; it returns both.
func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > frameMax {
		return nil, errors.New("a frame that is too large")
	}
	frame := make([]byte, 4+n)
	copy(frame, length[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
