package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

func TestTheWorkloadsAreConfigurationsWithoutFault(t *testing.T) {
	for name, w := range workloads {
		d := admin.Definition{Name: name, Agent: "a1", Files: []admin.File{{Name: "flume.conf", Text: w.conf()}},
			Properties: map[string]string{"dir": "/tmp/x", "port": "4000"}}
		top, faults := loader(false)(d)
		if top == nil || len(top.Agents) != 1 || topologies.Failed(faults, "") {
			t.Errorf("workload %s: %v", name, faults)
			continue
		}
		for _, f := range faults {
			// c and d push into memory, which a crash empties: that is their point.
			if f.Severity == topologies.Warning && f.Code != "SL0331" {
				t.Errorf("workload %s: %v", name, f)
			}
		}
	}
}

func TestTheLoadSendsEveryLineOnce(t *testing.T) {
	want := lines(1234)
	path := filepath.Join(t.TempDir(), "input")
	writeFile(t, path, strings.Join(want, ""))
	slices.Sort(want)

	t.Run("syslog", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		texts := make(chan string, loadConnections)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					text, _ := io.ReadAll(c)
					texts <- string(text)
				}()
			}
		}()
		if err := loadSyslog(t.Context(), l.Addr().(*net.TCPAddr).Port, path, len(want)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range loadConnections {
			got = append(got, strings.SplitAfter(strings.TrimSuffix(<-texts, "\n"), "\n")...)
		}
		for i, line := range got {
			got[i] = strings.TrimSuffix(line, "\n") + "\n"
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %d lines, want the %d of the file", len(got), len(want))
		}
	})

	t.Run("http", func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		refusals := 3
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if refusals > 0 { // a full channel: the same comes again
				refusals--
				http.Error(w, "full", http.StatusServiceUnavailable)
				return
			}
			var events []struct{ Body string }
			if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
				t.Error(err)
			}
			if len(events) > httpBatch {
				t.Errorf("%d events in a request, want at most %d", len(events), httpBatch)
			}
			for _, e := range events {
				got = append(got, e.Body+"\n")
			}
		}))
		defer s.Close()
		if err := loadHTTP(t.Context(), s.Listener.Addr().(*net.TCPAddr).Port, path, len(want)); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %d lines, want the %d of the file", len(got), len(want))
		}
	})
}

func TestTheMedianOfRunsIsTheMiddleOne(t *testing.T) {
	got := medians([]measured{{Seconds: 9}, {Seconds: 1, Twice: 4}, {Seconds: 2}})
	if got.Seconds != 2 || got.Runs != 3 || got.Twice != 4 {
		t.Errorf("got %+v, want 2 s of 3 runs, and the most duplicates", got)
	}
	if even := medians([]measured{{Seconds: 1}, {Seconds: 2}}); even.Seconds != 1.5 {
		t.Errorf("got %v, want 1.5", even.Seconds)
	}
}
