package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// connectionsMax bounds the connections of one source; more are closed.
	connectionsMax = 10_000
	// handshakeMax bounds a TLS handshake.
	handshakeMax = 10 * time.Second
	// acceptPauseMax bounds the pause after a failed accept (no descriptors).
	acceptPauseMax = time.Second
)

// endpoint is where a source listens, known once it does.
type endpoint struct {
	bound chan struct{}
	addr  net.Addr
}

func newEndpoint() endpoint { return endpoint{bound: make(chan struct{})} }

func (e *endpoint) bind(addr net.Addr) {
	e.addr = addr
	close(e.bound)
}

// Addr waits until the source listens and says where.
func (e *endpoint) Addr(ctx context.Context) (net.Addr, error) {
	select {
	case <-e.bound:
		return e.addr, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tcpServer accepts connections.
type tcpServer struct {
	endpoint
	address  string
	tls      *tls.Config // nil: plain
	log      *slog.Logger
	counters *Counters
	open     atomic.Int64
}

func newTCPServer(host string, port int, config *tls.Config, env Env) *tcpServer {
	return &tcpServer{endpoint: newEndpoint(), address: net.JoinHostPort(host, strconv.Itoa(port)),
		tls: config, log: env.Log, counters: env.Counters}
}

// serve runs handle for each connection until ctx ends, then closes them all
// and waits for their handlers.
func (s *tcpServer) serve(ctx context.Context, handle func(context.Context, net.Conn)) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.bind(ln.Addr())
	s.log.Info("listening", "address", ln.Addr().String(), "tls", s.tls != nil)
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	defer ln.Close()
	var handlers sync.WaitGroup
	defer handlers.Wait()
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil:
			pause = min(max(2*pause, 5*time.Millisecond), acceptPauseMax)
			s.log.Warn("accept failed", "err", err, "pause", pause)
			sleep(ctx, pause)
			continue
		case s.open.Load() >= connectionsMax:
			s.log.Warn("too many connections", "limit", connectionsMax, "refused", conn.RemoteAddr().String())
			conn.Close()
			continue
		}
		pause = 0
		s.open.Add(1)
		s.counters.OpenConnections.Add(1)
		handlers.Go(func() { defer contain(ctx); s.run(ctx, conn, handle) })
	}
}

func (s *tcpServer) run(ctx context.Context, conn net.Conn, handle func(context.Context, net.Conn)) {
	defer s.counters.OpenConnections.Add(-1)
	defer s.open.Add(-1)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if s.tls != nil {
		secure := tls.Server(conn, s.tls)
		shaking, cancel := context.WithTimeout(ctx, handshakeMax)
		err := secure.HandshakeContext(shaking)
		cancel()
		if err != nil {
			s.log.Debug("TLS handshake failed", "peer", conn.RemoteAddr().String(), "err", err)
			return
		}
		conn = secure
	}
	handle(ctx, conn)
}
