package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/producer"
)

// Options are what a Server needs.
type Options struct {
	Broker *broker.Broker
	Log    *slog.Logger
	Limits Limits
	// AutoCreateTopics makes topics come into being when they are first asked
	// for; SetAutoCreate changes it while the server runs.
	AutoCreateTopics bool
	NumPartitions    int32 // of a topic whose creator does not say; 0: 4
}

// Server serves Kafka's protocol to clients.
type Server struct {
	o      Options
	log    *slog.Logger
	limits Limits
	apis   apis
	memory *budget

	broker   *broker.Broker
	producer producer.Env
	sessions *sessions
	// producerIDs are for idempotent producers without transactions.
	producerIDs idBlock

	autoCreate atomic.Bool
	stopping   chan struct{} // closed when the server stops: who waits answers

	// opening is the accept loop's own.
	opening rates

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*conn]struct{}
	perHost   map[string]int
	stopped   bool
	idle      sync.Cond // a connection has ended

	accepted, refused, bad, dropped, panics atomic.Int64
}

const defaultPartitions = 4

// New makes a server that does not listen yet.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.NumPartitions == 0 {
		o.NumPartitions = defaultPartitions
	}
	l := o.Limits.withDefaults()
	s := &Server{
		o: o, log: o.Log, limits: l, apis: newAPIs(served()), memory: newBudget(l.Memory),
		broker: o.Broker, producer: producer.Env{Partition: o.Broker.Partition, Txn: o.Broker.Txn}, sessions: newSessions(l.Sessions),
		stopping: make(chan struct{}), conns: map[*conn]struct{}{}, perHost: map[string]int{},
		opening: rates{perSecond: float64(l.CreationRate), burst: float64(l.CreationBurst), buckets: map[string]*bucket{}},
	}
	s.idle.L = &s.mu
	s.autoCreate.Store(o.AutoCreateTopics)
	return s
}

// SetAutoCreate says whether topics come into being when they are asked for.
func (s *Server) SetAutoCreate(on bool) { s.autoCreate.Store(on) }

// Listen serves on addr, whose port may be 0, and returns what it took.
func (s *Server) Listen(addr string) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		l.Close()
		return nil, net.ErrClosed
	}
	if len(s.listeners) > 0 {
		l.Close()
		return nil, errors.New("kafka: the server listens already")
	}
	s.listeners = append(s.listeners, l)
	go s.accept(l)
	return l.Addr(), nil
}

// Waits between attempts to accept when the system has no descriptor left.
const (
	acceptWaitMin = 5 * time.Millisecond
	acceptWaitMax = time.Second
)

func (s *Server) accept(l net.Listener) {
	wait := time.Duration(0)
	for {
		socket, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(socket)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			wait = min(max(acceptWaitMin, 2*wait), acceptWaitMax)
			s.log.Warn("no connection can be accepted", "err", err, "again", wait)
			select {
			case <-time.After(wait):
			case <-s.stopping:
				return
			}
		default: // of one connection that ended before it began
			s.log.Debug("a connection was not accepted", "err", err)
		}
	}
}

// admit starts a connection, or refuses it by closing the socket.
func (s *Server) admit(socket net.Conn) {
	host, _, err := net.SplitHostPort(socket.RemoteAddr().String())
	if err != nil {
		host = socket.RemoteAddr().String()
	}
	c := newConn(s, socket, host)
	if why := s.register(c); why != "" {
		s.refused.Add(1)
		s.log.Debug("a connection was refused", "host", host, "why", why)
		socket.Close()
		return
	}
	s.accepted.Add(1)
	go c.read()
}

func (s *Server) register(c *conn) (why string) {
	host := c.client.host
	ip, err := netip.ParseAddr(host)
	local := err == nil && ip.Unmap().IsLoopback()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return "the server stops"
	case len(s.conns) >= s.limits.Connections:
		return "max.connections"
	case !local && s.perHost[host] >= s.limits.ConnectionsPerIP:
		return "max.connections.per.ip"
	case !local && !s.opening.allow(host, time.Now()):
		return "connections too fast"
	}
	s.conns[c] = struct{}{}
	s.perHost[host]++
	return ""
}

// count notes that c ends for reason.
func (s *Server) count(c *conn, reason error) {
	switch host := c.client.host; {
	case plain(reason):
	case errors.Is(reason, errFrame):
		s.bad.Add(1)
		s.log.Info("a client sent what is no request and was cut off", "host", host, "why", reason)
	default:
		s.dropped.Add(1)
		s.log.Info("a connection was cut off", "host", host, "why", reason)
	}
}

// forget takes c off the books.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	host := c.client.host
	if s.perHost[host]--; s.perHost[host] <= 0 {
		delete(s.perHost, host)
	}
	s.idle.Broadcast()
	s.mu.Unlock()
}

// Figures are what a server counts.
type Figures struct {
	Connections int   `json:"connections"` // now
	Accepted    int64 `json:"accepted"`
	Refused     int64 `json:"refused"`     // by a limit, or because the server stops
	BadFrames   int64 `json:"bad_frames"`  // connections cut off for what they sent
	Dropped     int64 `json:"dropped"`     // connections cut off for another reason
	Panics      int64 `json:"panics"`      // of handlers; each has cost a connection
	MemoryFree  int64 `json:"memory_free"` // bytes of Limits.Memory that no request holds
}

// Figures says how the server is now.
func (s *Server) Figures() Figures {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	return Figures{n, s.accepted.Load(), s.refused.Load(), s.bad.Load(), s.dropped.Load(), s.panics.Load(), s.memory.left()}
}

// Close ends the listeners and lets every connection answer what it has begun,
// until ctx ends; what is left then is cut off.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	for _, l := range s.listeners {
		l.Close()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.stopReading()
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.fail(context.Cause(ctx))
		}
	})
	defer stop()
	s.mu.Lock()
	for len(s.conns) > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	return ctx.Err()
}
