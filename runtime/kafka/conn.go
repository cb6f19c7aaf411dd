package kafka

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

// conn is one client's connection. Its reader goroutine owns what stands before
// the lock; the rest is shared with whoever answers.
type conn struct {
	server *Server
	socket net.Conn
	in     *bufio.Reader
	client client // of the requests to come
	step   int    // the largest frame so far: that much is believed at once

	gone chan struct{} // closed when the connection is given up

	mu      sync.Mutex
	room    sync.Cond  // a request was answered, or the connection is given up
	queue   []*request // not yet answered on the socket, in order
	unread  int64      // bytes of encoded answers in queue
	memory  int64      // bytes charged for requests in queue
	writing bool       // a goroutine runs write
	closed  bool
	drain   bool // no further request is read
}

func newConn(s *Server, socket net.Conn, host string) *conn {
	c := &conn{
		server: s, socket: socket, in: bufio.NewReaderSize(socket, inputSize), gone: make(chan struct{}),
		client: client{host: host, principal: "User:ANONYMOUS"},
	}
	c.room.L = &c.mu
	return c
}

// read handles requests until the connection ends.
func (c *conn) read() {
	err := c.requests()
	if errors.Is(err, errDrained) {
		c.finish()
		return
	}
	c.fail(err)
}

var errDrained = errors.New("the server stops")

func (c *conn) requests() error {
	for {
		if err := c.awaitRoom(); err != nil {
			return err
		}
		r, err := c.next()
		switch {
		case err != nil && c.draining():
			return errDrained
		case err != nil:
			return err
		case r.api.waits:
			go c.handle(r)
		default:
			c.handle(r)
		}
	}
}

// guard calls fn, a part of the handler of r. One that panics costs its
// connection, not the node.
func (c *conn) guard(r *request, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			c.server.panics.Add(1)
			r.log().Error("a request made its handler panic", "panic", p, "stack", string(debug.Stack()))
			c.fail(fmt.Errorf("%s v%d: panic: %v", r.api.name, r.version, p))
			c.abandon(r)
		}
	}()
	fn()
}

func (c *conn) handle(r *request) { c.guard(r, func() { r.api.handle(c.server, r) }) }

// parked are the requests that want to know that nobody waits any more. The
// lock is held.
func (c *conn) parked() (gone []func()) {
	for _, r := range c.queue {
		if r.gone != nil && !r.answered {
			gone = append(gone, r.gone)
			r.gone = nil
		}
	}
	return gone
}

// awaitRoom waits while the client has too much on its way: what it does not
// read, or what is not answered yet.
func (c *conn) awaitRoom() error {
	l := &c.server.limits
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && !c.drain && (len(c.queue) >= l.InFlight || c.unread >= l.Unread) {
		c.room.Wait()
	}
	switch {
	case c.closed:
		return net.ErrClosed
	case c.drain:
		return errDrained
	}
	return nil
}

// next reads one request and puts it into the queue.
func (c *conn) next() (*request, error) {
	s := c.server
	if c.in.Buffered() == 0 {
		c.deadline(s.limits.Idle)
		if _, err := c.in.Peek(1); err != nil {
			return nil, err
		}
	}
	if c.in.Buffered() < lengthSize+prefixSize {
		c.deadline(s.limits.Frame)
	}
	h, left, err := readPrefix(c.in)
	if err != nil {
		return nil, err
	}
	a, version, err := s.apis.find(h)
	if err != nil {
		return nil, err
	}
	if left > a.maxBytes {
		return nil, badFrame("%s of %d bytes, at most %d are taken", a.name, left, a.maxBytes)
	}
	if left > c.in.Buffered() {
		c.deadline(s.limits.allowance(left))
	}
	r := &request{conn: c, api: a, key: h.key, version: version, correlation: h.correlation}
	body, err := readBody(c.in, left, c.step, a.pooled || a.copies, func(n int64) error { return c.charge(r, n) })
	if err == nil {
		c.step = max(c.step, min(left, stepBelieved))
		err = c.decode(r, h.version, body)
	}
	if err != nil {
		c.discharge(r)
		return nil, fmt.Errorf("%s v%d: %w", a.name, h.version, err)
	}
	c.mu.Lock()
	c.queue = append(c.queue, r)
	c.memory += r.charged
	c.mu.Unlock()
	return r, nil
}

// stepBelieved is up to where a connection that has sent a large frame is
// believed to send another one.
const stepBelieved = 4 << 20

func (c *conn) deadline(d time.Duration) {
	c.mu.Lock()
	if !c.drain {
		_ = c.socket.SetReadDeadline(time.Now().Add(d))
	}
	c.mu.Unlock()
}

// decode takes the rest of the header off frame and makes the body of r.
func (c *conn) decode(r *request, asked int16, frame []byte) error {
	body, err := c.header(r, asked, frame)
	switch {
	case err != nil:
	case r.version != asked: // ApiVersions of a version to come: its body is not known
	case r.api.pooled:
		r.frame, r.buffer = body, frame
		return nil
	default:
		if err = lookAt(body, r.api.schema, r.key, r.version, r.version >= r.api.flexibleFrom); err == nil {
			r.body = kmsg.RequestForKey(r.key)
			r.body.SetVersion(r.version)
			err = r.body.ReadFrom(body)
		}
	}
	if r.api.copies || r.api.pooled {
		record.PutBuffer(frame)
	}
	return err
}

// header takes what is left of the header off frame.
func (c *conn) header(r *request, asked int16, frame []byte) (body []byte, err error) {
	id, body, err := clientID(frame)
	if err != nil {
		return nil, err
	}
	if string(id) != c.client.id {
		c.client.id = string(id)
	}
	r.client = c.client
	if r.version != asked || r.version < r.api.flexibleFrom {
		return body, nil
	}
	r.flexible = r.key != apiVersionsKey // whose answer never has the new header
	return skipTags(body)
}

// charge takes n bytes of memory for r before they are used.
func (c *conn) charge(r *request, n int64) error {
	s := c.server
	c.mu.Lock()
	for !c.closed && !c.drain && len(c.queue) > 0 && c.memory+r.charged+n > s.limits.ConnectionMemory {
		c.room.Wait()
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	if !s.memory.tryTake(n) {
		if !s.memory.take(n, c.gone, s.limits.Frame) {
			return fmt.Errorf("no memory for %d more bytes of requests", n)
		}
		c.deadline(s.limits.allowance(int(n))) // the wait was not the client's fault
	}
	r.charged += n
	return nil
}

// discharge gives back what r was charged.
func (c *conn) discharge(r *request) {
	if r.charged > 0 {
		c.server.memory.put(r.charged)
		r.charged = 0
	}
}

func (c *conn) draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drain
}

// stopReading lets what has begun be answered, but nothing more begin.
func (c *conn) stopReading() {
	c.mu.Lock()
	c.drain = true
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	c.room.Broadcast()
	gone := c.parked()
	c.mu.Unlock()
	for _, fn := range gone {
		fn()
	}
}

// finish waits until everything is answered, then ends the connection.
func (c *conn) finish() {
	c.mu.Lock()
	for !c.closed && len(c.queue) > 0 {
		c.room.Wait()
	}
	c.mu.Unlock()
	c.fail(io.EOF)
}

// fail gives the connection up. Whoever still answers finds nobody.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	gone := c.parked()
	var left []*request
	if !c.writing { // else the writer drops them
		left = c.drop()
	}
	c.room.Broadcast()
	c.mu.Unlock()
	c.server.count(c, err)
	close(c.gone)
	c.socket.Close()
	for _, fn := range gone {
		fn()
	}
	for _, r := range left {
		c.release(r)
	}
	c.server.forget(c)
}

// plain says whether err is one of the ways in which connections end.
func plain(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errDrained) ||
		errors.Is(err, os.ErrDeadlineExceeded) || isReset(err)
}
