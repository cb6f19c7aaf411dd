package admin

import (
	"context"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// bodyMax bounds a request's body: a definition's files are within the limit of
// topologies/load, which is as large.
const bodyMax = 8 << 20

// CheckBind refuses an address that others than this machine can reach, unless
// insecure says that this is wanted: nothing here asks for a password.
func CheckBind(what, addr string, insecure bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s: %q is not HOST:PORT: %w", what, addr, err)
	}
	if insecure || host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s: %s can be reached from other machines and asks for no password; "+
		"bind 127.0.0.1, put a proxy that authenticates before it, or say --insecure-public", what, addr)
}

// local marks requests that came over the Unix socket, whose file mode has
// already said who may.
type local struct{}

func isLocal(r *http.Request) bool { return r.Context().Value(local{}) != nil }

func withLocal(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, local{}, true)
}

// guard stops what a web page in a user's browser could send: requests under a
// foreign name (DNS rebinding), from a foreign page, or with a body that a form
// can make.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) && !s.hostAllowed(r.Host) {
			refuse(w, http.StatusForbidden, fmt.Errorf("host %q is not one this node answers to", r.Host))
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && !sameHost(origin, r.Host) {
			refuse(w, http.StatusForbidden, fmt.Errorf("origin %q is not this node", origin))
			return
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPost, http.MethodDelete:
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
				refuse(w, http.StatusUnsupportedMediaType, fmt.Errorf("Content-Type must be application/json"))
				return
			}
		default:
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("method %s is not used here", r.Method))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// hostAllowed takes loopback names, and addresses where the node may be public:
// an attack by DNS needs a name.
func (s *Server) hostAllowed(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback() || s.o.Insecure
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	for _, h := range s.o.Hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}
