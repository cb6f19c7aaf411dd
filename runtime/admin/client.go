package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultServer is where `sluice serve` listens unless told otherwise.
const DefaultServer = "http://127.0.0.1:8484"

// ErrUnreachable is what a client says when no node answers.
var ErrUnreachable = errors.New("no node answers")

// Client asks a node.
type Client struct {
	server string // as the user wrote it
	base   string
	http   *http.Client
}

// NewClient asks the node at server: an http URL, the path of a node's socket
// or data directory, or either with unix: before it.
func NewClient(server string) (*Client, error) {
	c := &Client{server: server, base: strings.TrimSuffix(server, "/"), http: &http.Client{Timeout: time.Minute}}
	if strings.HasPrefix(server, "http://") || strings.HasPrefix(server, "https://") {
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return nil, fmt.Errorf("--server %s: want http://HOST:PORT, or the path of a node's socket or data directory", server)
		}
		return c, nil
	}
	path := strings.TrimPrefix(strings.TrimPrefix(server, "unix:"), "//")
	if path == "" || strings.Contains(path, "://") {
		return nil, fmt.Errorf("--server %s: want http://HOST:PORT, or the path of a node's socket or data directory", server)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, SocketName)
	}
	c.base = "http://localhost"
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		short, done, err := shortPath(path)
		if err != nil {
			return nil, err
		}
		defer done()
		return new(net.Dialer).DialContext(ctx, "unix", short)
	}}
	return c, nil
}

// Status is the node at this moment.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/api/v1/status")
}

// Topologies are the definitions that run.
func (c *Client) Topologies(ctx context.Context) ([]Deployed, error) {
	return get[[]Deployed](ctx, c, "/api/v1/topologies")
}

// Ready is the node's readiness with its reasons.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	return get[Readiness](ctx, c, "/readyz?verbose")
}

// Plan says what Deploy would do.
func (c *Client) Plan(ctx context.Context, d Definition) (Outcome, error) {
	return post[Outcome](ctx, c, "/api/v1/plan", d)
}

// Deploy runs d on the node: all of it or nothing.
func (c *Client) Deploy(ctx context.Context, d Definition) (Outcome, error) {
	return post[Outcome](ctx, c, "/api/v1/deploy", d)
}

// Undeploy stops and forgets the definition called name.
func (c *Client) Undeploy(ctx context.Context, name string) error {
	_, err := post[struct{}](ctx, c, "/api/v1/undeploy", named{name})
	return err
}

// Reload makes the node read the files of the definition called name again.
func (c *Client) Reload(ctx context.Context, name string) (Outcome, error) {
	return post[Outcome](ctx, c, "/api/v1/reload", named{name})
}

// ActorTree is the node's supervision tree.
func (c *Client) ActorTree(ctx context.Context) (ActorNode, error) {
	return get[ActorNode](ctx, c, "/api/v1/actors")
}

// InspectActor is the part of the tree at path.
func (c *Client) InspectActor(ctx context.Context, path string) (ActorNode, error) {
	return get[ActorNode](ctx, c, "/api/v1/actor?path="+url.QueryEscape(path))
}

// RestartActor makes the actor at path start anew.
func (c *Client) RestartActor(ctx context.Context, path string) error {
	_, err := post[struct{}](ctx, c, "/api/v1/actor/restart", named{path})
	return err
}

// KillActor makes the actor at path fail.
func (c *Client) KillActor(ctx context.Context, path string) error {
	_, err := post[struct{}](ctx, c, "/api/v1/actor/kill", named{path})
	return err
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return ask[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	return ask[T](ctx, c, http.MethodPost, path, body)
}

func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	text, err := json.Marshal(body)
	if err != nil {
		return out, err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return out, fmt.Errorf("--server %s: %w", c.server, err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, fmt.Errorf("%w at %s (%w); is `sluice serve` running there? --server names another", ErrUnreachable, c.server, cause(err))
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return out, fmt.Errorf("%s: %w", c.server, err)
	}
	// Readiness is an answer with either code.
	if res.StatusCode == http.StatusOK || path == "/readyz?verbose" && res.StatusCode == http.StatusServiceUnavailable {
		if err := json.Unmarshal(answer, &out); err != nil {
			return out, fmt.Errorf("%s answers what is no sluice: %w", c.server, err)
		}
		return out, nil
	}
	var p Problem
	if err := json.Unmarshal(answer, &p); err != nil || p.Error == "" && p.Faults == nil {
		return out, fmt.Errorf("%s answers %s, as no sluice does", c.server, res.Status)
	}
	return out, p.err()
}

// err is the error that the node answered with, as far as it has a name.
func (p Problem) err() error {
	for _, known := range problems {
		if p.Kind != known.kind {
			continue
		}
		if known.err == ErrBadConfig && p.Faults != nil {
			return &ConfigError{Faults: p.Faults, Why: p.Error}
		}
		return &remoteError{p.Error, known.err}
	}
	return errors.New(p.Error)
}

// remoteError has the node's words and is one of the errors above.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// cause is err without the URL that http puts before it.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
