package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// bombs are places in the code at which a part panics for as long as a file
// exists. No kind panics by itself, so the binary is built with them.
var bombs = []struct{ name, path, file, behind string }{
	{"interceptor", "agent/a1/source/r1", "actors/source/interceptor/static.go", "func (c *static) Intercept(batch *record.Slab) error {\n"},
	{"reader", "agent/a1/source/r1", "actors/source/taildir.go", "	for e := range t.emits {\n"},
	{"sink", "agent/a1/sink/k1", "actors/sink/file_roll.go", "func (f *fileRoll) Deliver(ctx context.Context, batch *Batch) error {\n"},
}

// bombVariable names the files, each with the name of its bomb behind it.
const bombVariable = "SLUICE_E2E_BOMB"

// armed builds the binary with the bombs.
var armed = sync.OnceValues(func() (string, error) {
	dir := filepath.Dir(binary)
	overlay := map[string]map[string]string{"Replace": {}}
	for _, b := range bombs {
		file, err := filepath.Abs(filepath.Join("..", b.file))
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		clause, rest, _ := strings.Cut(string(text), "\n")
		before, after, found := strings.Cut(rest, b.behind)
		if !strings.HasPrefix(clause, "package ") || !found {
			return "", fmt.Errorf("%s has changed: no place for a bomb", file)
		}
		bomb := fmt.Sprintf("if _, err := bomb.Stat(bomb.Getenv(%q) + %q); err == nil { panic(%q) }\n", bombVariable, b.name, "on purpose: "+b.name)
		replaced := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replaced, []byte(clause+"\nimport bomb \"os\"\n"+before+b.behind+bomb+after), 0o600); err != nil {
			return "", err
		}
		overlay["Replace"][file] = replaced
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "sluice-armed")
	if err := buildTo(bin, "-overlay", filepath.Join(dir, "overlay.json")); err != nil {
		return "", err
	}
	return bin, nil
})

func TestOnlyThePartThatPanicsRestartsAndTheLedgerBalances(t *testing.T) {
	bin, err := armed()
	if err != nil {
		t.Fatal(err)
	}
	for i, bomb := range bombs {
		for j, channel := range []string{"file", "memory"} {
			t.Run(bomb.name+"/"+channel, func(t *testing.T) {
				t.Parallel()
				l := newLife(t, choices(t, 450+10*j+i), lifeSettings{channel: channel, sinks: 1, rotates: true})
				l.configure("a1.sources.r1.interceptors = i1", "a1.sources.r1.interceptors.i1.type = static",
					"a1.sources.r1.interceptors.i1.key = k", "a1.sources.r1.interceptors.i1.value = v")
				fuse := filepath.Join(l.dir, "bomb-")
				l.env, l.binary = []string{bombVariable + "=" + fuse}, bin
				n := l.start()
				n.mustBeReady()
				l.feed.begin()
				until(t, "lines come out", func() bool { return bytesIn(l.outs()...) > 10_000 })
				if err := os.WriteFile(fuse+bomb.name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				waits := false
				until(t, bomb.path+" has panicked again and again", func() bool {
					p := parts(t, l.data())[bomb.path]
					waits = waits || p.State == "BACKOFF" && strings.Contains(p.Reason, "on purpose: "+bomb.name)
					return waits && p.Restarts >= 2
				})
				if err := os.Remove(fuse + bomb.name); err != nil {
					t.Fatal(err)
				}
				l.feed.end(t)
				until(t, "every part runs and no message waits", func() bool {
					for _, p := range parts(t, l.data()) {
						if p.State != "RUNNING" || p.Mailbox != 0 {
							return false
						}
					}
					return true
				})
				l.await(n)
				for path, p := range parts(t, l.data()) {
					if path != bomb.path && p.Restarts != 0 {
						t.Errorf("%s was restarted %d times, and had not panicked", path, p.Restarts)
					}
				}
				if n.said("on purpose: "+bomb.name) == 0 {
					t.Error("the messages do not tell of the panic")
				}
				l.mustBalance(n)
				l.mustBeWhole(l.finish(n))
			})
		}
	}
}
