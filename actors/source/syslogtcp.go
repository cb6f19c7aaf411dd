package source

import (
	"bytes"
	"context"
	"net"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

const (
	// A connection is read in pieces that grow while it sends much, so that
	// thousands of quiet ones take little memory.
	syslogReadMin = 4 << 10
	syslogReadMax = 128 << 10
	// syslogBatchMax bounds the records of a batch.
	syslogBatchMax = 1000
	// octetFrameMax bounds the length that RFC 6587 octet counting may announce.
	octetFrameMax = 64 << 10
)

// syslogTCP makes a record of each line, or frame of RFC 6587, that comes in
// over TCP. While its channels are full it does not read. With Flume's defects
// it drops instead, knows no frames, and drops what is not ended by a newline.
type syslogTCP struct {
	*tcpServer
	syslogOptions
}

func newSyslogTCP(s topologies.Settings, env Env) (Source, error) {
	config, err := serverTLS(s)
	if err != nil {
		return nil, err
	}
	t := &syslogTCP{tcpServer: newTCPServer(s.String("host"), s.Int("port"), config, env), syslogOptions: newSyslogOptions(s, env, false)}
	return t, s.Err()
}

func (t *syslogTCP) Run(ctx context.Context, out Out) error {
	return t.serve(ctx, func(ctx context.Context, conn net.Conn) {
		c := newSyslogConn(&t.syslogOptions, t.counters, out)
		c.sender = t.senderOf(ctx, conn.RemoteAddr())
		c.run(ctx, conn)
	})
}

func (t *syslogTCP) Settled(Checkpoint) {}

// syslogConn reads one connection.
type syslogConn struct {
	*syslogParser
	out     Out
	sender  sender
	octets  bool // RFC 6587 frames are understood
	partial []byte
	batch   syslogBatch
	// What of batch has been read from the connection and is not in a record
	// yet lies in [from, end) of its buffer.
	from, end int
}

func newSyslogConn(o *syslogOptions, counters *Counters, out Out) *syslogConn {
	return &syslogConn{syslogParser: o.newParser(counters), out: out, octets: !o.compat && !o.multiport}
}

func (c *syslogConn) run(ctx context.Context, conn net.Conn) {
	defer func() {
		if c.batch.slab != nil {
			c.batch.slab.Release()
		}
	}()
	size := syslogReadMin
	for last := false; ; {
		if c.batch.slab == nil {
			c.batch = c.newBatch(len(c.partial) + size + size/4)
			c.from = c.batch.write(c.partial).start
		}
		c.take(last)
		if c.batch.slab.Len() > 0 {
			if !c.send(ctx) {
				return
			}
			continue // partial may hold whole messages
		}
		if last {
			return
		}
		n, err := conn.Read(c.batch.slab.Tail(size)[:size])
		c.batch.slab.Advance(n)
		c.begin(&c.batch)
		last = err != nil
		switch {
		case n == size:
			size = min(2*size, syslogReadMax)
		case n < size/4:
			size = max(size/2, syslogReadMin)
		}
	}
}

// take makes records of the whole messages that have come; of all of them and
// what is left when it is the last time. The buffer may move whenever a record
// is made.
func (c *syslogConn) take(last bool) {
	c.end = len(c.batch.slab.Buffer())
	for c.from < c.end && c.batch.slab.Len() < syslogBatchMax {
		b := c.batch.slab.Buffer()[c.from:c.end]
		if b[0] == '\n' {
			c.from++
			continue
		}
		if c.octets && isDigit(b[0]) {
			if header, length, ok := octetFrame(b, c.eventSize); ok {
				if !c.takeFrame(header, length, last) {
					return
				}
				continue
			}
		}
		newline := bytes.IndexByte(b, '\n')
		switch {
		case newline >= 0:
			c.addLine(&c.batch, c.from, c.from+newline)
			c.from += newline + 1
		case len(b) >= c.eventSize:
			c.add(&c.batch, c.from, c.from+c.eventSize, true)
			c.from += c.eventSize
		case last && !c.compat:
			c.addLine(&c.batch, c.from, c.end)
			c.from = c.end
		default:
			return
		}
	}
}

// octetFrame reads the "length " before a message, which must begin with <.
func octetFrame(b []byte, eventSize int) (header, length int, ok bool) {
	for header < len(b) && header < 7 && isDigit(b[header]) {
		length = length*10 + int(b[header]-'0')
		header++
	}
	if b[0] == '0' || header+1 >= len(b) || b[header] != ' ' || b[header+1] != '<' {
		return 0, 0, false
	}
	return header + 1, length, length <= max(octetFrameMax, eventSize)
}

// takeFrame makes a record of the frame at from; false when its end has not
// come.
func (c *syslogConn) takeFrame(header, length int, last bool) bool {
	start := c.from + header
	end := start + length
	if end > c.end {
		if last {
			c.add(&c.batch, start, c.end, true)
			c.from = c.end
		}
		return last
	}
	c.from = end
	if c.batch.slab.Buffer()[end-1] == '\n' {
		end--
	}
	c.addLine(&c.batch, start, end)
	return true
}

// send hands the batch over and keeps what is not in a record. It is false when
// the source has to stop.
func (c *syslogConn) send(ctx context.Context) bool {
	slab := c.batch.slab
	c.partial = append(c.partial[:0], slab.Buffer()[c.from:c.end]...)
	c.sender.mark(slab)
	c.batch.slab = nil
	return handOver(ctx, c.out, slab, c.compat, c.counters)
}

// handOver hands slab over for as long as it takes; with Flume's defects it
// drops it when the channels stay full. It is false when the source has to
// stop.
func handOver(ctx context.Context, out Out, slab *record.Slab, drop bool, counters *Counters) bool {
	n := slab.Len()
	if !drop {
		err := out.Emit(ctx, slab, Checkpoint{})
		if err != nil {
			counters.Lost.Add(int64(n))
		}
		return err == nil
	}
	if err := out.Store(ctx, slab); err != nil {
		counters.Lost.Add(int64(n))
	}
	return ctx.Err() == nil
}
