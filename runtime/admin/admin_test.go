package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// node is a Node without actors: it remembers what was asked of it.
type node struct {
	mu      sync.Mutex
	st      admin.Status
	refuse  error // what Deploy answers
	deploys []*topologies.Topology
	killed  []string
	chaos   bool
}

func (n *node) Status() admin.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.st
}

func (n *node) Deploy(_ context.Context, t *topologies.Topology) (topologies.Plan, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		return topologies.Plan{}, n.refuse
	}
	n.deploys = append(n.deploys, t)
	return planOf(t), nil
}

func (n *node) Plan(t *topologies.Topology) (topologies.Plan, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var old *topologies.Topology
	for _, d := range n.deploys {
		if d.Name == t.Name {
			old = d
		}
	}
	return topologies.Diff(old, t), nil
}

func (n *node) Undeploy(context.Context, string) error { return nil }

func (n *node) ActorTree() admin.ActorNode {
	sink := admin.ActorNode{Name: "k1", Path: "agent/a1/sink/k1", Kind: "sink", State: agent.Backoff, Restarts: 3, Mailbox: 2, Failure: "connection refused"}
	return admin.ActorNode{Name: "n1", Kind: "node", State: agent.Running,
		Children: []admin.ActorNode{{Name: "a1", Path: "agent/a1", Kind: "agent", State: agent.Running, Children: []admin.ActorNode{sink}}}}
}

func (n *node) InspectActor(path string) (admin.ActorNode, error) {
	found, ok := n.ActorTree().Find(path)
	if !ok {
		return found, fmt.Errorf("actor %q: %w", path, admin.ErrNotFound)
	}
	return found, nil
}

func (n *node) RestartActor(path string) error { return n.KillActor(path) }

func (n *node) KillActor(path string) error {
	if !n.chaos {
		return admin.ErrNoChaos
	}
	if _, err := n.InspectActor(path); err != nil {
		return err
	}
	n.killed = append(n.killed, path)
	return nil
}

func planOf(t *topologies.Topology) topologies.Plan {
	var p topologies.Plan
	for _, a := range t.Agents {
		p.Changes = append(p.Changes, topologies.Change{Agent: a.Name, Category: kinds.Source, Name: "r1", Action: topologies.Start})
	}
	return p
}

// load takes a line "agent NAME" for an agent and faults a line "bad".
func load(d admin.Definition) (*topologies.Topology, []topologies.Fault) {
	t := &topologies.Topology{Name: d.Name}
	var faults []topologies.Fault
	for _, f := range d.Files {
		for i, line := range strings.Split(f.Text, "\n") {
			if name, ok := strings.CutPrefix(line, "agent "); ok {
				t.Agents = append(t.Agents, topologies.Agent{Name: name})
			}
			if line == "bad" {
				faults = append(faults, topologies.Fault{Code: "SL0100", Message: "bad line", Pos: topologies.Pos{File: f.Name, Line: i + 1}})
			}
		}
	}
	return t, faults
}

var quiet = slog.New(slog.DiscardHandler)

func setup(t *testing.T, n *node) (*admin.Server, *admin.Deployments) {
	t.Helper()
	d := admin.NewDeployments(n, load,
		filepath.Join(t.TempDir(), "deployed"), quiet)
	return admin.New(admin.Options{Node: n, Deployments: d, Log: quiet}), d
}

func dial(t *testing.T, n *node) *admin.Client {
	t.Helper()
	s, _ := setup(t, n)
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	c, err := admin.NewClient(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func definition(name, text string) admin.Definition {
	return admin.Definition{Name: name, Files: []admin.File{{Name: name + ".conf", Text: text}}}
}

// healthy is a node with one agent of each kind of part.
func healthy() *node {
	start := time.UnixMilli(1764000000000)
	part := func(name, kind string) agent.Part {
		return agent.Part{Name: name, Kind: kind, State: agent.Running, Started: start, Since: start}
	}
	return &node{st: admin.Status{Node: "n1", Version: "1", Store: admin.StoreStatus{Writable: true}, Agents: []agent.Status{{
		Name: "a1", State: agent.Running,
		Sources: []agent.SourceStatus{{Part: part("r1", "taildir"), Counts: agent.SourceCounts{EventReceived: 10, EventAccepted: 9, OpenConnections: 2},
			Dropped: map[string]int64{"i1": 1}}},
		Channels: []agent.ChannelStatus{
			{Part: part("c1", "file"), Size: 1, Capacity: 3, PutAttempt: 9, PutSuccess: 9, TakeSuccess: 8, OldestMs: 1500},
			{Part: part("c2", "memory"), Size: 0, Capacity: 0}},
		Sinks:  []agent.SinkStatus{{Part: part("k1", "file_roll"), Counts: agent.SinkCounts{EventDrainAttempt: 8, EventDrainSuccess: 8}}},
		Ledger: agent.Ledger{Received: 10, Delivered: 8, Held: 1, Dropped: 1},
	}}}}
}

func TestADefinitionIsDeployedListedAndUndeployed(t *testing.T) {
	c, ctx := dial(t, healthy()), t.Context()
	o, err := c.Deploy(ctx, definition("shop", "agent a1\nagent a2"))
	if err != nil || len(o.Plan.Changes) != 2 {
		t.Fatalf("deploy: got %+v, %v; want a plan of two agents", o, err)
	}
	all, err := c.Topologies(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "shop" || len(all[0].Agents) != 2 {
		t.Fatalf("topologies: got %+v, %v; want shop with two agents", all, err)
	}
	if err := c.Undeploy(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := c.Undeploy(ctx, "shop"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("undeploy again: got %v, want %v", err, admin.ErrNotFound)
	}
}

func TestABadDefinitionChangesNothingAndSaysWhy(t *testing.T) {
	n := healthy()
	c, ctx := dial(t, n), t.Context()
	if _, err := c.Deploy(ctx, definition("shop", "agent a1")); err != nil {
		t.Fatal(err)
	}
	_, err := c.Deploy(ctx, definition("shop", "agent a1\nbad"))
	var bad *admin.ConfigError
	if !errors.As(err, &bad) || !errors.Is(err, admin.ErrBadConfig) || len(bad.Faults) != 1 || bad.Faults[0].Pos.Line != 2 {
		t.Fatalf("got %v, want a ConfigError with one fault in line 2", err)
	}
	if len(n.deploys) != 1 {
		t.Errorf("the node was asked to deploy %d times, want once", len(n.deploys))
	}
	all, _ := c.Topologies(ctx)
	if len(all) != 1 || !strings.Contains(all[0].ReloadError, "bad line") {
		t.Errorf("got %+v, want the reason beside the topology that runs on", all)
	}
	if _, err := c.Deploy(ctx, definition("shop", "agent a1")); err != nil {
		t.Fatal(err)
	}
	if all, _ := c.Topologies(ctx); all[0].ReloadError != "" {
		t.Errorf("after a good form the reason is still %q", all[0].ReloadError)
	}
}

func TestWhatTheNodeRefusesIsVisibleToo(t *testing.T) {
	n := healthy()
	c, ctx := dial(t, n), t.Context()
	if _, err := c.Deploy(ctx, definition("shop", "agent a1")); err != nil {
		t.Fatal(err)
	}
	n.refuse = errors.New("port 44444 is in use")
	if _, err := c.Deploy(ctx, definition("shop", "agent a1")); err == nil || !strings.Contains(err.Error(), "port 44444") {
		t.Fatalf("got %v, want the node's reason", err)
	}
	r, err := c.Ready(ctx)
	if err != nil || !r.Ready || len(r.Reasons) != 1 || !strings.Contains(r.Reasons[0].Reason, "port 44444") {
		t.Errorf("readyz: got %+v, %v; want ready, with the refusal told", r, err)
	}
}

func TestTwoDefinitionsCannotRunOneAgent(t *testing.T) {
	c, ctx := dial(t, healthy()), t.Context()
	if _, err := c.Deploy(ctx, definition("x", "agent a1")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Deploy(ctx, definition("y", "agent a1")); !errors.Is(err, admin.ErrBadConfig) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("got %v, want a refusal that names x", err)
	}
}

func TestWhatWasDeployedOverTheAPIComesBackWithTheNode(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	first := admin.NewDeployments(healthy(), load, dir, quiet)
	for _, name := range []string{"kept/../odd name", "gone"} {
		if _, _, err := first.Deploy(ctx, definition(name, "agent "+name), admin.FromAPI); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := first.Deploy(ctx, definition("named at the start", "agent s"), admin.FromFiles); err != nil {
		t.Fatal(err)
	}
	if err := first.Undeploy(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	second := admin.NewDeployments(healthy(), load, dir, quiet)
	if err := second.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	if all := second.List(); len(all) != 1 || all[0].Name != "kept/../odd name" {
		t.Errorf("got %+v, want only the one that was kept", all)
	}
}

func TestOneDefinitionThatNoLongerRunsDoesNotKeepTheOthersFromIt(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := admin.NewDeployments(healthy(), load, dir, quiet)
	if _, _, err := d.Deploy(ctx, definition("b", "agent b"), admin.FromAPI); err != nil {
		t.Fatal(err)
	}
	again := admin.NewDeployments(healthy(), load, dir, quiet)
	if err := again.Restore(ctx); err == nil || !strings.Contains(err.Error(), "a.json") {
		t.Errorf("got %v, want an error that names a.json", err)
	}
	if len(again.List()) != 1 {
		t.Errorf("got %d topologies, want b", len(again.List()))
	}
}

func TestAFileIsReadAgainOnReload(t *testing.T) {
	n, ctx := healthy(), t.Context()
	_, d := setup(t, n)
	path := filepath.Join(t.TempDir(), "shop.conf")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("agent a1")
	def, err := admin.ReadDefinition(admin.Definition{}, path)
	if err != nil || def.Name != "shop" {
		t.Fatalf("got %+v, %v; want the definition shop", def, err)
	}
	if _, _, err := d.Deploy(ctx, def, admin.FromFiles); err != nil {
		t.Fatal(err)
	}
	put("agent a1\nagent a2")
	if _, err := d.Reload(ctx, "shop"); err != nil || len(d.List()[0].Agents) != 2 {
		t.Errorf("got %+v, %v; want two agents", d.List(), err)
	}
	put("bad")
	if _, err := d.Reload(ctx, "shop"); !errors.Is(err, admin.ErrBadConfig) || len(d.List()[0].Agents) != 2 {
		t.Errorf("got %+v, %v; want a refusal and the two agents still", d.List(), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reload(ctx, "shop"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(d.List()[0].ReloadError, "shop.conf") {
		t.Errorf("got %v and %q, want both to say that the file is gone", err, d.List()[0].ReloadError)
	}
}

func TestActorsAreOnlyDisturbedWhereThatIsAllowed(t *testing.T) {
	n, ctx := healthy(), t.Context()
	c := dial(t, n)
	if err := c.KillActor(ctx, "agent/a1/sink/k1"); !errors.Is(err, admin.ErrNoChaos) {
		t.Errorf("got %v, want %v", err, admin.ErrNoChaos)
	}
	n.chaos = true
	if err := c.RestartActor(ctx, "agent/a1/sink/nobody"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("got %v, want %v", err, admin.ErrNotFound)
	}
	if err := c.KillActor(ctx, "agent/a1/sink/k1"); err != nil || len(n.killed) != 1 {
		t.Errorf("got %v and %v killed, want k1", err, n.killed)
	}
	a, err := c.InspectActor(ctx, "agent/a1/sink/k1")
	if err != nil || a.Restarts != 3 || a.Failure != "connection refused" {
		t.Errorf("got %+v, %v; want the sink with its failure", a, err)
	}
}

func TestReadinessNamesThePartAndItsReason(t *testing.T) {
	n := healthy()
	c := dial(t, n)
	if r, err := c.Ready(t.Context()); err != nil || !r.Ready || len(r.Reasons) != 0 {
		t.Fatalf("got %+v, %v; want ready without a reason", r, err)
	}
	k := &n.st.Agents[0].Sinks[0].Part
	for _, x := range []struct {
		name   string
		change func()
		ready  bool
		part   string
		want   string
	}{
		{"a sink retries", func() { k.Reason = "connection refused" }, true, "agent/a1/sink/k1", "connection refused"},
		{"a sink waits to be restarted", func() { k.State = agent.Backoff }, false, "agent/a1/sink/k1", "connection refused"},
		{"a sink gave up", func() { k.State, k.Reason, k.Failure = agent.Failed, "", "no such class" }, false, "agent/a1/sink/k1", "no such class"},
		{"a full channel", func() { k.State, k.Failure = agent.Running, ""; n.st.Agents[0].Channels[0].Size = 3 }, true, "agent/a1/channel/c1", "full: 3 of 3 events"},
		{"an unbalanced ledger", func() { n.st.Agents[0].Channels[0].Size = 1; n.st.Agents[0].Ledger.Unaccounted = 4 }, true, "agent/a1", "4 events unaccounted for"},
		{"records in doubt", func() { n.st.Agents[0].Ledger.Unaccounted = 0; n.st.Store.InDoubt = []string{"log c1, offsets 5 to 9"} }, true, "store", "log c1, offsets 5 to 9"},
		{"a full disk", func() { n.st.Agents[0].Ledger.Unaccounted = 0; n.st.Store = admin.StoreStatus{Reason: "no space"} }, false, "store", "no space"},
		{"stopping", func() { n.st.Store.Writable = true; n.st.Draining = true }, false, "node", "stopping"},
	} {
		x.change()
		r, err := c.Ready(t.Context())
		if err != nil || r.Ready != x.ready || len(r.Reasons) != 1 || r.Reasons[0].Part != x.part || !strings.Contains(r.Reasons[0].Reason, x.want) {
			t.Errorf("%s: got %+v, %v; want ready %v and %q for %s", x.name, r, err, x.ready, x.want, x.part)
		}
	}
}

func request(t *testing.T, s *admin.Server, method, path, body string, change func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8484"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestAWebPageCannotSteerTheNode(t *testing.T) {
	s, _ := setup(t, healthy())
	body := `{"name":"shop"}`
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"as the client does it", nil, 404},
		{"a name that an attacker's DNS points here", func(r *http.Request) { r.Host = "evil.example:8484" }, 403},
		{"a page's form", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"no type", func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"another page's script", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"a sandboxed page's script", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"the node's own page", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8484") }, 404},
		{"an address of another network", func(r *http.Request) { r.Host = "10.0.0.5:8484" }, 403},
		{"localhost", func(r *http.Request) { r.Host = "localhost" }, 404},
		{"IPv6 loopback", func(r *http.Request) { r.Host = "[::1]:8484" }, 404},
		{"a method for preflights", func(r *http.Request) { r.Method = "OPTIONS" }, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := request(t, s, "POST", "/api/v1/undeploy", body, c.change).StatusCode; got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestAMalformedRequestIsRefusedWithAReason(t *testing.T) {
	s, _ := setup(t, healthy())
	for _, c := range []struct {
		name, path, body string
		want             int
	}{
		{"no JSON", "/api/v1/deploy", "a1.sources = r1", 400},
		{"a misspelt field", "/api/v1/deploy", `{"fils":[]}`, 400},
		{"two values", "/api/v1/undeploy", `{"name":"x"}{"name":"y"}`, 400},
		{"no file", "/api/v1/deploy", `{"name":"x"}`, 422},
		{"too large", "/api/v1/deploy", `{"name":"` + strings.Repeat("x", 9<<20) + `"}`, 413},
		{"an unknown path", "/api/v2/deploy", `{}`, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := request(t, s, "POST", c.path, c.body, nil)
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.want || !strings.Contains(string(text), `"error":"`) {
				t.Errorf("got %d %s, want %d with an error", res.StatusCode, text, c.want)
			}
		})
	}
}

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	s, _ := setup(t, healthy())
	if got := request(t, s, "GET", "/debug/pprof/", "", nil).StatusCode; got != 200 {
		t.Errorf("from here: got %d, want 200", got)
	}
	if got := request(t, s, "GET", "/debug/pprof/", "", func(r *http.Request) { r.RemoteAddr = "10.0.0.9:5" }).StatusCode; got != 403 {
		t.Errorf("from elsewhere: got %d, want 403", got)
	}
}

func TestAPublicAddressIsRefusedUnlessAskedFor(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "127.9.9.9:1": true,
		"0.0.0.0:0": false, ":8484": false, "10.0.0.5:8484": false, "example.org:80": false, "8484": false,
	} {
		if err := admin.CheckBind("--http", addr, false); (err == nil) != ok {
			t.Errorf("%s: got %v, want allowed: %v", addr, err, ok)
		}
	}
	if err := admin.CheckBind("--http", "0.0.0.0:0", true); err != nil {
		t.Errorf("with --insecure-public: got %v, want no error", err)
	}
}

func TestTheSocketIsItsOwnersAndAnswersTheClient(t *testing.T) {
	for _, depth := range []int{0, 12} { // the second is too long for a socket's address
		dir := filepath.Join(t.TempDir(), strings.Repeat("directory/", depth))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, admin.SocketName), nil, 0o644); err != nil {
			t.Fatal(err) // a left-over
		}
		s, _ := setup(t, healthy())
		if err := s.ListenUnix(dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, admin.SocketName))
		if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
			t.Errorf("got %v, %v; want a socket of mode 0600", info, err)
		}
		for _, name := range []string{dir, filepath.Join(dir, admin.SocketName), "unix:" + dir} {
			c, err := admin.NewClient(name)
			if err != nil {
				t.Fatal(err)
			}
			if st, err := c.Status(t.Context()); err != nil || st.Node != "n1" {
				t.Errorf("%s: got %+v, %v; want the status of n1", name, st, err)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Errorf("after Close: got %v, %v; want an empty directory", left, err)
		}
	}
}

func TestAClientSaysThatNoNodeAnswers(t *testing.T) {
	for _, server := range []string{"http://127.0.0.1:1", filepath.Join(t.TempDir(), "admin.sock")} {
		c, err := admin.NewClient(server)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); !errors.Is(err, admin.ErrUnreachable) || !strings.Contains(err.Error(), server) {
			t.Errorf("%s: got %v, want %v with the place", server, err, admin.ErrUnreachable)
		}
	}
	for _, server := range []string{"", "ftp://x", "http://"} {
		if _, err := admin.NewClient(server); err == nil {
			t.Errorf("%q: want an error", server)
		}
	}
}

func TestAClientKnowsWhenTheOtherSideIsNoSluice(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	c, err := admin.NewClient(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no sluice") {
		t.Errorf("got %v, want an error that says so", err)
	}
}

func TestMetricsHaveTheirNamesAndValues(t *testing.T) {
	s, d := setup(t, healthy())
	if _, _, err := d.Deploy(t.Context(), definition("shop", "agent a1"), admin.FromFiles); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(request(t, s, "GET", "/metrics", "", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	on := `agent="a1",component="%s",kind="%s",node="n1"`
	for _, want := range []string{
		`sluice_source_events_received_total{` + fmt.Sprintf(on, "r1", "taildir") + `} 10`,
		`sluice_source_events_accepted_total{` + fmt.Sprintf(on, "r1", "taildir") + `} 9`,
		`sluice_events_dropped_total{` + fmt.Sprintf(on, "r1", "taildir") + `,reason="i1"} 1`,
		`sluice_channel_events{` + fmt.Sprintf(on, "c1", "file") + `} 1`,
		`sluice_channel_capacity_events{` + fmt.Sprintf(on, "c1", "file") + `} 3`,
		`sluice_channel_fill_ratio{` + fmt.Sprintf(on, "c1", "file") + `} 0.333`,
		`sluice_channel_put_total{` + fmt.Sprintf(on, "c1", "file") + `,result="success"} 9`,
		`sluice_channel_take_total{` + fmt.Sprintf(on, "c1", "file") + `,result="success"} 8`,
		`sluice_channel_oldest_event_age_seconds{` + fmt.Sprintf(on, "c1", "file") + `} 1.5`,
		`sluice_sink_events_delivered_total{` + fmt.Sprintf(on, "k1", "file_roll") + `} 8`,
		`sluice_ledger_unaccounted_events{agent="a1",component="",node="n1"} 0`,
		`sluice_actor_restarts_total{kind="sink",node="n1"} 3`,
		`sluice_actor_mailbox_depth{kind="sink",node="n1"} 2`,
		`sluice_config_reload_success{node="n1",topology="shop"} 1`,
		`sluice_sink_events_failed_total{` + fmt.Sprintf(on, "k1", "file_roll") + `,reason="delivery"} `,
		`sluice_dead_letters_total{` + fmt.Sprintf(on, "k1", "file_roll") + `,reason="undeliverable"} `,
		`sluice_events_dropped_total{` + fmt.Sprintf(on, "r1", "taildir") + `,reason="selector"} 0`,
		`sluice_actor_processing_seconds_count{kind="sink",node="n1"} `,
		`sluice_badger_size_bytes{node="n1",part="table"} `,
		`sluice_build_info{`,
		`sluice_ready{node="n1"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), `sluice_channel_fill_ratio{`+fmt.Sprintf(on, "c2", "memory")) {
		t.Error("a channel without a bound has a fill ratio")
	}
}
