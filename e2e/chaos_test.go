package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// part is an actor as sluice actor tree shows it.
type part struct {
	Path     string
	State    string
	Reason   string
	Restarts int
	Mailbox  int
	Children []part
}

// parts are the actors of the node whose data is in dir, by path.
func parts(t *testing.T, dir string) map[string]part {
	t.Helper()
	out, errs, code := call(t, "actor", "tree", "--server", dir, "-o", "json")
	var root part
	if err := json.Unmarshal([]byte(out), &root); code != 0 || err != nil {
		t.Fatalf("actor tree: exit code %d, %v\n%s%s", code, err, out, errs)
	}
	all := map[string]part{}
	var add func(p part)
	add = func(p part) {
		all[p.Path] = p
		for _, c := range p.Children {
			add(c)
		}
	}
	add(root)
	return all
}

func TestOnlyTheKilledPartComesBackAndTheLedgerBalances(t *testing.T) {
	for i, channel := range []string{"file", "memory"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, choices(t, 500+i), lifeSettings{channel: channel, sinks: 2, rotates: true})
			n := start(t, filepath.Join(l.dir, "stderr"), command(nil, "serve", "--data", l.data(),
				"--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--ready-json", "--allow-chaos", l.conf))
			n.mustBeReady()
			l.feed.begin()
			victims := []string{"agent/a1/source/r1", "agent/a1/channel/c1", "agent/a1/sink/k1", "agent/a1/sink/k2"}
			want := map[string]int{}
			seenWaiting := false
			for k := range times(5, 12, 100) {
				victim := victims[l.rnd.IntN(len(victims))]
				if k < 4 {
					victim = victims[k]
				}
				if _, errs, code := call(t, "actor", "kill", victim, "--server", l.data()); code != 0 {
					t.Fatalf("actor kill %s: exit code %d: %s", victim, code, errs)
				}
				want[victim]++
				until(t, victim+" is back", func() bool {
					p := parts(t, l.data())[victim]
					seenWaiting = seenWaiting || p.State == "BACKOFF" && strings.Contains(p.Reason, "killed on purpose")
					return p.State == "RUNNING" && p.Restarts == want[victim]
				})
			}
			if !seenWaiting {
				t.Error("no part was ever seen waiting for its restart")
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
			// What a killed part had not committed is cut from its files when it is back.
			until(t, "everything is out", func() bool { return bytesIn(l.outs()...) == l.feed.bytes })
			for path, p := range parts(t, l.data()) {
				if p.Restarts != want[path] {
					t.Errorf("%s was restarted %d times, want %d", path, p.Restarts, want[path])
				}
			}
			l.mustBalance(n)
			t.Logf("balanced after %v", time.Since(l.began).Round(time.Millisecond))
			l.mustBeWhole(l.finish(n))
		})
	}
}

// mustBalance fails the test unless the ledger says that every line was
// received and delivered, and nothing else.
func (l *life) mustBalance(n *node) {
	l.t.Helper()
	var metrics string
	sum := func(prefix string) (values []string) {
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, prefix) {
				values = append(values, strings.TrimSpace(line[strings.LastIndex(line, " "):]))
			}
		}
		return values
	}
	balanced := func() bool {
		metrics = n.get("/metrics")
		received, held := sum(`sluice_ledger_events{account="received"`), sum(`sluice_ledger_events{account="held"`)
		delivered, open := sum(`sluice_ledger_events{account="delivered"`), sum("sluice_ledger_unaccounted_events")
		if len(received) != 1 || len(held) != 1 || len(delivered) != 1 || len(open) < 4 {
			return false
		}
		for _, v := range open {
			if v != "0" {
				return false
			}
		}
		return held[0] == "0" && received[0] == delivered[0]
	}
	for deadline := time.Now().Add(stillMax); !balanced(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			var ledger []string
			for line := range strings.Lines(metrics) {
				if strings.HasPrefix(line, "sluice_ledger") {
					ledger = append(ledger, line)
				}
			}
			l.t.Errorf("the ledger does not balance:\n%s", strings.Join(ledger, ""))
			return
		}
	}
}
