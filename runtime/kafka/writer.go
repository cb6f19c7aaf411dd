package kafka

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// answered takes the answer of r, and writes it if its turn has come.
func (c *conn) answered(r *request, encoded []byte, late reply) {
	c.mu.Lock()
	if r.answered {
		c.mu.Unlock()
		panic("kafka: " + r.api.name + " was answered twice")
	}
	r.answered, r.encoded, r.late = true, encoded, late
	if c.closed && !c.writing {
		c.mu.Unlock()
		c.release(r)
		return
	}
	c.unread += int64(len(encoded))
	start := !c.writing && len(c.queue) > 0 && c.queue[0].answered
	if start {
		c.writing = true
	}
	c.mu.Unlock()
	if start {
		go c.write()
	}
}

const (
	gatherRequests = 32       // answers that go out in one write
	gatherBytes    = 64 << 10 // of encoded answers
)

// write sends the answers whose turn has come, until there is none.
func (c *conn) write() {
	out := outputs.Get().(*output)
	defer outputs.Put(out)
	var turn []*request
	for {
		turn = c.turn(turn)
		if len(turn) == 0 {
			return
		}
		for _, r := range turn {
			switch {
			case r.encoded != nil:
				out.take(r.encoded)
			case r.late != nil:
				r.late.write(out)
			}
		}
		err := c.send(out)
		out.reset()
		for _, r := range turn {
			c.release(r)
		}
		if err != nil {
			c.fail(err)
		}
	}
}

// turn takes the answers that were just written off the queue and returns the
// next ones. When there is none the goroutine that writes has to end.
func (c *conn) turn(written []*request) []*request {
	c.mu.Lock()
	if len(written) > 0 && len(c.queue) > 0 {
		n := copy(c.queue, c.queue[len(written):])
		clear(c.queue[n:])
		c.queue = c.queue[:n]
		c.room.Broadcast()
	}
	if c.closed {
		left := c.drop()
		c.writing = false
		c.mu.Unlock()
		for _, r := range left {
			c.release(r)
		}
		return nil
	}
	next, bytes := written[:0], 0
	for _, r := range c.queue {
		// An answer that is still to be made goes alone: it may be large.
		if !r.answered || len(next) == gatherRequests || bytes > gatherBytes || r.late != nil && len(next) > 0 {
			break
		}
		next, bytes = append(next, r), bytes+len(r.encoded)
		if r.late != nil {
			break
		}
	}
	if len(next) == 0 {
		c.writing = false
	}
	c.mu.Unlock()
	return next
}

// drop empties the queue of a connection that is given up, and returns what is
// to be released: the requests that are answered. The others are released when
// their answer comes. The lock is held.
func (c *conn) drop() []*request {
	left := slices.DeleteFunc(c.queue, func(r *request) bool { return !r.answered })
	c.queue = nil
	return left
}

// abandon ends r where its handler has panicked, unless that had answered.
func (c *conn) abandon(r *request) {
	c.mu.Lock()
	answered := r.answered
	r.answered = true
	c.mu.Unlock()
	if !answered {
		c.release(r)
	}
}

// release frees the answer of r and what r was charged.
func (c *conn) release(r *request) {
	c.mu.Lock()
	c.unread -= int64(len(r.encoded))
	c.memory -= r.charged
	c.mu.Unlock()
	if r.encoded != nil {
		record.PutBuffer(r.encoded)
		r.encoded = nil
	}
	if r.late != nil {
		r.late.free()
		r.late = nil
	}
	c.discharge(r)
}

func (c *conn) send(out *output) error {
	size := out.size()
	if size == 0 {
		return nil
	}
	_ = c.socket.SetWriteDeadline(time.Now().Add(c.server.limits.allowance(size)))
	return out.writeTo(c.socket)
}

// output gathers what goes out in one write: small pieces that are appended,
// and large ones that are not copied.
type output struct {
	small  []byte
	pieces []piece
	bytes  [][]byte
	vector net.Buffers
}

// piece is small[from:to], or large.
type piece struct {
	from, to int
	large    []byte
}

var outputs = sync.Pool{New: func() any { return new(output) }}

const outputKept = 64 << 10 // bytes of small that are kept for re-use

// takeBelow is up to where copying is cheaper than one more piece.
const takeBelow = 1 << 10

// take adds b, which stays as it is until the output is written.
func (o *output) take(b []byte) {
	if len(b) < takeBelow {
		o.small = append(o.small, b...)
		return
	}
	o.cut()
	o.pieces = append(o.pieces, piece{large: b})
}

// cut ends the piece of small that was appended since the last one.
func (o *output) cut() {
	from := 0
	for i := len(o.pieces) - 1; i >= 0; i-- {
		if o.pieces[i].large == nil {
			from = o.pieces[i].to
			break
		}
	}
	if from < len(o.small) {
		o.pieces = append(o.pieces, piece{from: from, to: len(o.small)})
	}
}

func (o *output) size() int {
	n := len(o.small)
	for _, p := range o.pieces {
		n += len(p.large)
	}
	return n
}

// beginFrame makes room for a length; endFrame fills it with the bytes since.
func (o *output) beginFrame() (at, size int) {
	at, size = len(o.small), o.size()
	o.small = append(o.small, 0, 0, 0, 0)
	return at, size
}

func (o *output) endFrame(at, size int) {
	binary.BigEndian.PutUint32(o.small[at:], uint32(o.size()-size-lengthSize))
}

func (o *output) writeTo(socket net.Conn) error {
	if len(o.pieces) == 0 {
		_, err := socket.Write(o.small)
		return err
	}
	o.cut()
	o.bytes = o.bytes[:0]
	for _, p := range o.pieces {
		if p.large == nil {
			p.large = o.small[p.from:p.to]
		}
		o.bytes = append(o.bytes, p.large)
	}
	o.vector = o.bytes
	_, err := o.vector.WriteTo(socket)
	return err
}

func (o *output) reset() {
	clear(o.pieces)
	clear(o.bytes)
	o.small, o.pieces, o.bytes, o.vector = o.small[:0], o.pieces[:0], o.bytes[:0], nil
	if cap(o.small) > outputKept {
		o.small = nil
	}
}
