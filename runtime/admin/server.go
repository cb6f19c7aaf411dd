package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// SocketName is the API's socket in a node's data directory.
const SocketName = "admin.sock"

// Options are what a Server needs.
type Options struct {
	Node Node
	// Deployments are the definitions that run on Node.
	Deployments *Deployments
	Log         *slog.Logger
	// Insecure allows listeners beyond this machine.
	Insecure bool
	// Hosts are further names under which the node may be asked.
	Hosts []string
}

// Server answers the admin API.
type Server struct {
	o       Options
	handler http.Handler
	servers []*http.Server
	socket  string

	mu    sync.Mutex
	addrs map[string]string // what listens where, for Status
}

// New makes a server that does not listen yet.
func New(o Options) *Server {
	s := &Server{o: o, addrs: map[string]string{}}
	s.handler = s.guard(s.routes())
	return s
}

// Announce makes addr part of the node's status, as the address of what.
func (s *Server) Announce(what, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs[what] = addr
}

// Addresses says what listens where.
func (s *Server) Addresses() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.addrs)
}

// Handler is the API without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("GET /api/v1/status", s.status)
	mux.HandleFunc("GET /api/v1/topologies", s.topologies)
	mux.HandleFunc("POST /api/v1/plan", s.plan)
	mux.HandleFunc("POST /api/v1/deploy", s.deploy)
	mux.HandleFunc("POST /api/v1/undeploy", s.undeploy)
	mux.HandleFunc("POST /api/v1/reload", s.reload)
	mux.HandleFunc("GET /api/v1/actors", s.actors)
	mux.HandleFunc("GET /api/v1/actor", s.actor)
	mux.HandleFunc("POST /api/v1/actor/restart", s.restartActor)
	mux.HandleFunc("POST /api/v1/actor/kill", s.killActor)
	mux.HandleFunc("GET /debug/pprof/", loopbackOnly(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", loopbackOnly(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", loopbackOnly(pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/trace", loopbackOnly(pprof.Trace))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, ErrNotFound))
	})
	return mux
}

// loopbackOnly keeps fn, which tells much about the process, from other machines.
func loopbackOnly(fn http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip := net.ParseIP(host)
		if !isLocal(r) && (err != nil || ip == nil || !ip.IsLoopback()) {
			refuse(w, http.StatusForbidden, errors.New("profiles are for this machine only"))
			return
		}
		fn(w, r)
	}
}

// ListenTCP serves on addr, whose port may be 0, and returns what it took.
func (s *Server) ListenTCP(addr string) (net.Addr, error) {
	if err := CheckBind("--http", addr, s.o.Insecure); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	s.serve(l, nil)
	s.Announce("http", l.Addr().String())
	return l.Addr(), nil
}

// ListenUnix serves on a socket in dir that only its owner may use. The caller
// holds the lock of dir, so a socket that is already there is a left-over.
func (s *Server) ListenUnix(dir string) error {
	// Made where nobody else can reach it and moved once its mode is right, so
	// there is no moment in which others may connect.
	private, err := os.MkdirTemp(dir, ".admin-")
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, SocketName)
	short, done, err := shortPath(made)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.Listen("unix", short)
	done()
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	path := filepath.Join(dir, SocketName)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		l.Close()
		return fmt.Errorf("admin socket: %w", err)
	}
	s.socket = path
	s.Announce("socket", path)
	s.serve(l, withLocal)
	return nil
}

func (s *Server) serve(l net.Listener, mark func(context.Context, net.Conn) context.Context) {
	h := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       mark,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, h)
	go func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Error("admin API ended", "addr", l.Addr().String(), "err", err)
		}
	}()
}

// Close ends all listeners; requests on their way end until ctx does.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	for _, h := range s.servers {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, err, h.Close())
		}
	}
	if s.socket != "" {
		if err := os.Remove(s.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// socketPathMax is below what every Unix takes for a socket's path.
const socketPathMax = 100

// shortPath is another name of path that fits a socket address. done is to be
// called after it was used.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= socketPathMax {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("%s: a socket's path has at most %d bytes here", path, socketPathMax)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	return short, func() { dir.Close() }, nil
}
