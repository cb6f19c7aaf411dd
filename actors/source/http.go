package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

const (
	httpHeaderTime = 5 * time.Second
	// httpBodyTime is how long a client may take for each httpBodyStep.
	httpBodyTime  = time.Minute
	httpBodyStep  = 1 << 20
	httpHeaderMax = 64 << 10
	// httpMemoryMax bounds the buffers of all requests that are being read.
	httpMemoryMax = 256 << 20
	// httpFirstBuffer bounds what is allocated because a client says so.
	httpFirstBuffer = 1 << 20
)

// httpSource makes records of HTTP requests. The records of one request are
// stored together, and the answer is 200 only once they are.
type httpSource struct {
	endpoint
	address string
	tls     *tls.Config
	handler httpHandler
	idle    time.Duration
	env     Env

	out     Out
	running context.Context // Run's
	gate    sync.RWMutex    // held by requests; locked for good when Run ends
	memory  atomic.Int64    // bytes in the buffers of requests
	gzips   sync.Pool       // of *gzip.Reader
}

func newHTTP(s topologies.Settings, env Env) (Source, error) {
	config, err := serverTLS(s)
	if err != nil {
		return nil, err
	}
	kind, ok := kinds.Lookup(kinds.Handler, s.String("handler"))
	if !ok {
		s.Fail("handler", fmt.Sprintf("%q is neither json nor blob; handlers of your own cannot be loaded", s.String("handler")))
		return nil, s.Err()
	}
	h := &httpSource{
		endpoint: newEndpoint(), env: env, tls: config, idle: s.Duration("ServerConnector.idleTimeout"),
		address: net.JoinHostPort(s.String("bind"), strconv.Itoa(s.Int("port"))),
	}
	if kind.Name == "blob" {
		h.handler = newBlobHandler(s.Sub("handler.", kind))
	} else {
		h.handler = newJSONHandler(s.Int64("maxRequestBytes"), env)
	}
	return h, s.Err()
}

func (h *httpSource) Run(ctx context.Context, out Out) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", h.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.out, h.running = out, ctx
	server := &http.Server{
		Handler: h, TLSConfig: h.tls, ReadHeaderTimeout: httpHeaderTime, IdleTimeout: h.idle, MaxHeaderBytes: httpHeaderMax,
		ErrorLog: slog.NewLogLogger(h.env.Log.Handler(), slog.LevelDebug),
	}
	h.bind(ln.Addr())
	h.env.Log.Info("listening", "address", ln.Addr().String(), "tls", h.tls != nil)
	defer context.AfterFunc(ctx, func() { server.Close() })()
	counted := &countedListener{Listener: ln, open: &h.env.Counters.OpenConnections}
	if h.tls != nil {
		err = server.ServeTLS(counted, "", "")
	} else {
		err = server.Serve(counted)
	}
	server.Close()
	h.gate.Lock()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

func (h *httpSource) Settled(Checkpoint) {}

func (h *httpSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.gate.TryRLock() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer h.gate.RUnlock()
	defer contain(h.running) // the server would only log it
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodHead:
	case http.MethodTrace, http.MethodOptions:
		http.Error(w, "this method is forbidden", http.StatusForbidden)
		return
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "events come by POST", http.StatusMethodNotAllowed)
		return
	}
	err := h.take(w, r)
	if err == nil {
		return // 200, without a body
	}
	status := http.StatusServiceUnavailable
	var told *httpError
	if errors.As(err, &told) {
		status = told.status
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
}

// take reads, cuts and stores one request. An error without a status is that of
// the channel.
func (h *httpSource) take(w http.ResponseWriter, r *http.Request) error {
	batch := record.NewSlab(int(min(max(r.ContentLength, 0), httpFirstBuffer)) + 1024)
	charged := int64(0)
	defer func() { h.memory.Add(-charged) }()
	err := h.read(w, r, batch, &charged)
	if err == nil {
		err = h.handler.events(r, batch)
	}
	if err != nil {
		batch.Release()
		h.count(err)
		return err
	}
	if batch.Len() == 0 {
		batch.Release()
		return nil
	}
	batch.SetTime(time.Now().UnixMilli())
	err = h.out.Store(h.running, batch)
	if errors.Is(err, channel.ErrTooLarge) { // it would never be taken
		return &httpError{http.StatusRequestEntityTooLarge, err}
	}
	return err
}

func (h *httpSource) count(err error) {
	var told *httpError
	if errors.As(err, &told) && told.status == http.StatusInternalServerError {
		h.env.Counters.GenericProcessingFail.Add(1)
		return
	}
	h.env.Counters.EventReadFail.Add(1)
	if told != nil && told.status == http.StatusBadRequest {
		h.env.Counters.Malformed.Add(1)
	}
}

// read claims the request's body for batch.
func (h *httpSource) read(w http.ResponseWriter, r *http.Request, batch *record.Slab, charged *int64) error {
	limit := h.handler.limit()
	if r.ContentLength > limit {
		return refused(http.StatusRequestEntityTooLarge, "a request may have %d bytes", limit)
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpack, err := h.gunzip(body)
		if err != nil {
			return readError(err, limit)
		}
		defer h.gzips.Put(unpack)
		body = unpack
	default:
		return refused(http.StatusUnsupportedMediaType, "content encoding %q: only gzip is read", encoding)
	}
	deadlines := http.NewResponseController(w)
	for extended := -httpBodyStep; ; {
		if have := len(batch.Buffer()); have >= extended+httpBodyStep {
			_ = deadlines.SetReadDeadline(time.Now().Add(httpBodyTime)) // a closed connection fails the read
			extended = have
		}
		tail := batch.Tail(512)
		if size := int64(batch.Size()); size != *charged {
			if h.memory.Add(size-*charged) > httpMemoryMax {
				*charged = size
				return refused(http.StatusServiceUnavailable, "too many large requests at once")
			}
			*charged = size
		}
		n, err := body.Read(tail)
		batch.Advance(n)
		switch {
		case int64(len(batch.Buffer())) > limit:
			return refused(http.StatusRequestEntityTooLarge, "a request may have %d bytes", limit)
		case err == io.EOF:
			return nil
		case err != nil:
			return readError(err, limit)
		}
	}
}

func (h *httpSource) gunzip(body io.Reader) (*gzip.Reader, error) {
	if z, ok := h.gzips.Get().(*gzip.Reader); ok {
		return z, z.Reset(body)
	}
	return gzip.NewReader(body)
}

// readError gives a failed read its status.
func readError(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return refused(http.StatusRequestEntityTooLarge, "a request may have %d bytes", limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return refused(http.StatusRequestTimeout, "the request took too long")
	}
	return refused(http.StatusBadRequest, "read the request: %w", err)
}

// countedListener counts its open connections and refuses those beyond
// connectionsMax.
type countedListener struct {
	net.Listener
	open *atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Load() >= connectionsMax {
			conn.Close()
			continue
		}
		l.open.Add(1)
		return &countedConn{Conn: conn, open: l.open}, nil
	}
}

// countedConn is counted until it is closed.
type countedConn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}
