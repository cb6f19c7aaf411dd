package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

const (
	datagramMax = 65536
	// A batch of datagrams ends when it has udpBatchBytes or syslogBatchMax
	// records, or udpBatchTime after its first.
	udpBatchBytes = 192 << 10
	udpBatchTime  = 5 * time.Millisecond
	// udpWaiting is how many batches wait while the channels are full. What
	// comes beyond that is lost, and counted.
	udpWaiting = 8
	// udpKernelBuffer is what is asked of the kernel for datagrams not yet read.
	udpKernelBuffer = 8 << 20
)

// syslogUDP makes a record of each datagram, up to its first end of line.
type syslogUDP struct {
	endpoint
	syslogOptions
	env     Env
	address string
	senders map[netip.Addr]sender
}

func newSyslogUDP(s topologies.Settings, env Env) (Source, error) {
	u := &syslogUDP{
		endpoint: newEndpoint(), syslogOptions: newSyslogOptions(s, env, false), env: env, senders: map[netip.Addr]sender{},
		address: net.JoinHostPort(s.String("host"), strconv.Itoa(s.Int("port"))),
	}
	u.eventSize = datagramMax
	return u, s.Err()
}

func (u *syslogUDP) Run(ctx context.Context, out Out) error {
	listening, err := new(net.ListenConfig).ListenPacket(ctx, "udp", u.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	conn := listening.(*net.UDPConn)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetReadBuffer(udpKernelBuffer) // as much as the kernel allows
	u.bind(conn.LocalAddr())
	u.env.Log.Info("listening", "address", conn.LocalAddr().String(), "protocol", "udp")

	waiting := make(chan *record.Slab, udpWaiting)
	var storing sync.WaitGroup
	storing.Go(func() {
		defer contain(ctx)
		for slab := range waiting {
			handOver(ctx, out, slab, u.compat, u.env.Counters)
		}
	})
	defer storing.Wait()
	defer close(waiting)
	return u.read(ctx, conn, waiting)
}

func (u *syslogUDP) Settled(Checkpoint) {}

// read fills batches until ctx ends. It never waits for a channel: a datagram
// that nobody reads is lost without a trace.
func (u *syslogUDP) read(ctx context.Context, conn *net.UDPConn, waiting chan<- *record.Slab) error {
	p := u.newParser(u.env.Counters)
	for ctx.Err() == nil {
		batch, err := u.fill(ctx, p, conn)
		n := batch.slab.Len()
		if n == 0 {
			batch.slab.Release()
		} else {
			select {
			case waiting <- batch.slab:
			default:
				u.env.Counters.Lost.Add(int64(n))
				batch.slab.Release()
			}
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}

// fill reads one batch, for which it waits at first without end.
func (u *syslogUDP) fill(ctx context.Context, p *syslogParser, conn *net.UDPConn) (syslogBatch, error) {
	b := p.newBatch(udpBatchBytes + datagramMax)
	_ = conn.SetReadDeadline(time.Time{}) // a closed socket fails the read
	for b.slab.Len() < syslogBatchMax && len(b.slab.Buffer()) < udpBatchBytes {
		n, from, err := conn.ReadFromUDPAddrPort(b.slab.Tail(datagramMax)[:datagramMax])
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			return b, err
		}
		if b.slab.Len() == 0 {
			p.begin(&b)
			_ = conn.SetReadDeadline(time.Now().Add(udpBatchTime))
		}
		u.addDatagram(ctx, p, &b, n, from.Addr())
	}
	return b, nil
}

func (u *syslogUDP) addDatagram(ctx context.Context, p *syslogParser, b *syslogBatch, n int, from netip.Addr) {
	start := len(b.slab.Buffer())
	b.slab.Advance(n)
	data := b.slab.Buffer()[start:]
	for len(data) > 0 && data[0] == '\n' {
		data, start = data[1:], start+1
	}
	end := len(b.slab.Buffer())
	if newline := bytes.IndexByte(data, '\n'); newline >= 0 {
		end = start + newline
		if newline+1 < len(data) {
			u.env.Counters.Truncated.Add(1)
		}
	}
	i := b.slab.Len()
	p.addLine(b, start, end)
	if b.slab.Len() > i && u.ipHeader+u.nameHeader != "" {
		u.sender(ctx, from.Unmap()).markOne(b.slab, i)
	}
}

// sender remembers the senders it has looked up.
func (u *syslogUDP) sender(ctx context.Context, ip netip.Addr) sender {
	s, known := u.senders[ip]
	if !known {
		if s = u.senderAt(ctx, ip); len(u.senders) < sendersMax {
			u.senders[ip] = s
		}
	}
	return s
}
