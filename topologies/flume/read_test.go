package flume_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

var update = flag.Bool("update", false, "write what came into testdata")

// Each file of testdata/faults stands beside all that is said about it, in the
// form that people see.
func TestAllFaultsOfAFileAreSaidAtOnceEachWithItsPlace(t *testing.T) {
	for _, conf := range goldenFiles(t, "testdata/faults/*.conf") {
		t.Run(filepath.Base(conf), func(t *testing.T) {
			p := read(t, readFile(t, conf), flume.Options{})
			var b strings.Builder
			if err := topologies.RenderFaults(&b, p.Faults, p.Source); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(conf, ".conf") + ".faults.txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, golden); b.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
			}
		})
	}
}

func read(t *testing.T, conf string, o flume.Options) *flume.Parsed {
	t.Helper()
	p, err := flume.Read([]flume.File{{Name: "flume.conf", Data: []byte(conf)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// faultOf is the one fault with this code.
func faultOf(t *testing.T, p *flume.Parsed, code string) topologies.Fault {
	t.Helper()
	var found []topologies.Fault
	for _, f := range p.Faults {
		if f.Code == code {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %d faults %s, want 1; all: %v", len(found), code, p.Faults)
	}
	return found[0]
}

func TestExamplesHaveNoFaults(t *testing.T) {
	for _, conf := range goldenFiles(t, "../examples/*.conf") {
		p := read(t, readFile(t, conf), flume.Options{
			Sys: map[string]string{"demo.dir": t.TempDir()}, Env: map[string]string{"USER": "flume"},
		})
		for _, f := range p.Faults {
			if f.Code != "SL0138" { // the article's own way
				t.Errorf("%s: %v", conf, f)
			}
		}
		if len(p.Topology.Agents) == 0 {
			t.Errorf("%s has no agent", conf)
		}
	}
}

func TestTheReadmeSpeaksOfCodesThatThereAre(t *testing.T) {
	codes := regexp.MustCompile(`SL\d{4}`).FindAllString(readFile(t, "README.md"), -1)
	for _, code := range codes {
		if _, ok := topologies.Explain(code); !ok {
			t.Errorf("README.md speaks of %s, which is no code", code)
		}
	}
	if len(codes) < 20 {
		t.Errorf("README.md speaks of %d codes only", len(codes))
	}
}
