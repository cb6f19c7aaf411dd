package source

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

const (
	// netcatRead is how much is read from a connection at once.
	netcatRead = 64 << 10
	// netcatBatch bounds the lines that are stored together. It is the default
	// capacity of a memory channel.
	netcatBatch = 100
	// answerMax bounds how long a client may take to read its answers.
	answerMax = 30 * time.Second
)

// netcat makes a record of each line that comes in over TCP, and answers each
// with OK once it is stored.
type netcat struct {
	*tcpServer
	lineMax int // characters, the newline included
	ack     bool
	charset *interceptor.Charset
}

func newNetcat(s topologies.Settings, env Env) (Source, error) {
	n := &netcat{
		tcpServer: newTCPServer(s.String("bind"), s.Int("port"), nil, env),
		lineMax:   s.Int("max-line-length"),
		ack:       s.Bool("ack-every-event"),
	}
	var err error
	if n.charset, err = interceptor.CharsetNamed(s.String("encoding")); err != nil {
		s.Fail("encoding", err.Error())
	}
	return n, s.Err()
}

func (n *netcat) Run(ctx context.Context, out Out) error {
	return n.serve(ctx, func(ctx context.Context, conn net.Conn) {
		c := netcatConn{netcat: n, conn: conn, out: out}
		c.run(ctx)
	})
}

func (n *netcat) Settled(Checkpoint) {}

// netcatConn is one client.
type netcatConn struct {
	*netcat
	conn    net.Conn
	out     Out
	raw     []byte // bytes that are not decoded yet; unused for UTF-8
	text    []byte // UTF-8 without a newline yet
	charset *interceptor.Charset
	lines   [][]byte // whole lines in text, of the batch being stored
	answer  []byte
}

func (c *netcatConn) run(ctx context.Context) {
	in := record.GetBuffer(netcatRead)[:netcatRead]
	defer record.PutBuffer(in)
	for {
		got, err := c.conn.Read(in)
		if got > 0 {
			c.decode(in[:got])
			if !c.takeLines(ctx) {
				return
			}
		}
		if err != nil {
			return // what follows the last newline was never answered
		}
	}
}

// decode appends in to text, as UTF-8.
func (c *netcatConn) decode(in []byte) {
	if c.netcat.charset.UTF8() {
		c.text = append(c.text, in...)
		return
	}
	c.raw = append(c.raw, in...)
	if c.charset == nil {
		known, mark := c.netcat.charset.Sniff(c.raw)
		if known == nil {
			return
		}
		c.charset, c.raw = known, c.raw[mark:]
	}
	whole := c.charset.Whole(c.raw)
	c.text = c.charset.Decode(c.text, c.raw[:whole])
	c.raw = append(c.raw[:0], c.raw[whole:]...)
}

// takeLines stores the whole lines of text and answers them. It is false when
// the connection has to be closed.
func (c *netcatConn) takeLines(ctx context.Context) bool {
	rest := c.text
	ok := true
	for ok {
		c.lines = c.lines[:0]
		tooLong := false
		for len(c.lines) < netcatBatch && !tooLong {
			end := bytes.IndexByte(rest, '\n')
			if tooLong = c.tooLong(rest, end); tooLong || end < 0 {
				break
			}
			c.lines = append(c.lines, rest[:end])
			rest = rest[end+1:]
		}
		if len(c.lines) == 0 && !tooLong {
			break
		}
		c.store(ctx)
		if tooLong {
			c.counters.Malformed.Add(1)
			c.answer = fmt.Appendf(c.answer, "FAILED: line exceeds the maximum length (%d chars, including newline)\n", c.lineMax)
		}
		ok = c.flush() && !tooLong && ctx.Err() == nil
	}
	c.text = append(c.text[:0], rest...)
	return ok
}

// tooLong says whether the line that begins text, up to end or not ended yet
// (-1), leaves no room for its newline within lineMax characters.
func (c *netcatConn) tooLong(text []byte, end int) bool {
	if end < 0 {
		end = len(text)
	}
	if end < c.lineMax {
		return false
	}
	return utf8.RuneCount(text[:end]) >= c.lineMax
}

// store hands the lines over together. Where that fails it tries them one by
// one, so that a batch which is larger than the channel does not fail for ever;
// after the first that is refused the rest is refused, too.
func (c *netcatConn) store(ctx context.Context) {
	if len(c.lines) == 0 {
		return
	}
	err := c.storeLines(ctx, c.lines)
	if err == nil || len(c.lines) == 1 {
		c.answerLines(len(c.lines), err)
		return
	}
	for i, line := range c.lines {
		if err = c.storeLines(ctx, [][]byte{line}); err != nil {
			c.answerLines(len(c.lines)-i, err)
			return
		}
		c.answerLines(1, nil)
	}
}

func (c *netcatConn) storeLines(ctx context.Context, lines [][]byte) error {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	batch := record.NewSlab(size)
	batch.SetTime(time.Now().UnixMilli())
	for _, line := range lines {
		batch.Append(line)
	}
	return c.out.Store(ctx, batch)
}

func (c *netcatConn) answerLines(n int, err error) {
	for range n {
		if err != nil {
			c.answer = fmt.Appendf(c.answer, "FAILED: %s\n", oneLine(err))
		} else if c.ack {
			c.answer = append(c.answer, "OK\n"...)
		}
	}
}

// oneLine is err without line breaks.
func oneLine(err error) string {
	text := []byte(err.Error())
	for i, b := range text {
		if b == '\n' || b == '\r' {
			text[i] = ' '
		}
	}
	return string(text)
}

// flush writes the answers. It is false when the client does not take them.
func (c *netcatConn) flush() bool {
	if len(c.answer) == 0 {
		return true
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(answerMax)) // a closed connection fails the write
	_, err := c.conn.Write(c.answer)
	c.answer = c.answer[:0]
	return err == nil
}
