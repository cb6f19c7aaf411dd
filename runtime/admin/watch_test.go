package admin_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

// deployed tells of every Deploy.
type deployed struct {
	*node
	agents chan int
}

func (d *deployed) Deploy(ctx context.Context, t *topologies.Topology) (topologies.Plan, error) {
	p, err := d.node.Deploy(ctx, t)
	d.agents <- len(t.Agents)
	return p, err
}

func TestAChangedFileIsDeployedAndABadOneIsNot(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		put   func(t *testing.T, path, text string)
	}{
		{"written in place", time.Hour, overwrite},
		{"replaced by a rename", time.Hour, replace},
		{"found by looking", 20 * time.Millisecond, overwrite},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &deployed{healthy(), make(chan int, 10)}
			d := admin.NewDeployments(n, load, "", quiet)
			path := filepath.Join(t.TempDir(), "shop.conf")
			overwrite(t, path, "agent a1")
			def, err := admin.ReadDefinition(admin.Definition{}, path)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := d.Deploy(t.Context(), def, admin.FromFiles); err != nil {
				t.Fatal(err)
			}
			<-n.agents
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { d.Watch(ctx, c.every); close(ended) }()
			for want := 2; want < 4; want++ {
				c.put(t, path, strings.Repeat("agent x\n", want))
				select {
				case got := <-n.agents:
					if got != want {
						t.Fatalf("deployed with %d agents, want %d", got, want)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("no deployment")
				}
			}
			stop()
			<-ended
		})
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	overwrite(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
