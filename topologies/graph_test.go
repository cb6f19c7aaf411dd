package topologies_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
)

func draw(t *testing.T, top *topologies.Topology, form string) string {
	t.Helper()
	var b strings.Builder
	if err := topologies.Draw(&b, top, form); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wide is an agent whose sources share channels.
func wide() *topologies.Topology {
	return shop(map[string]string{
		"source r1 channels": "c1 c2", "source r1 selector.optional": "c2",
		"source r2 channels": "c2", "source r1 interceptors": "i1 i2", "source r1 interceptors.i2.type": "host",
		"group g1 processor.priority.k1": "10", "sink k3 type": "null", "sink k3 channel": "c2",
	})
}

// The pictures of testdata/graph are looked at by people before they are taken.
func TestPicturesAreAsTheyWereLookedAt(t *testing.T) {
	for _, form := range topologies.Forms() {
		got := draw(t, wide(), form)
		golden := filepath.Join("testdata", "graph", "wide."+form)
		if os.Getenv("SLUICE_UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s differs from %s (SLUICE_UPDATE_GOLDEN=1 takes it): %v\n%s", form, golden, err, got)
		}
	}
}

func TestNamesCannotBreakAPicture(t *testing.T) {
	top := shop(nil)
	top.Agents[0].Name = "a\"]<script>\x1b[2J&`\n"
	top.Agents[0].Sources[0].Name = "r\"]</text><b>\n"
	for _, form := range topologies.Forms() {
		text := draw(t, top, form)
		if strings.Contains(text, "<script>") && form != "ascii" && form != "dot" || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %s", form, text)
		}
		if form == "svg" {
			for d := xml.NewDecoder(strings.NewReader(text)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("svg: %v", err)
				}
			}
		}
	}
}

func TestAnUnknownFormIsRefused(t *testing.T) {
	if err := topologies.Draw(io.Discard, shop(nil), "png"); err == nil || !strings.Contains(err.Error(), "mermaid") {
		t.Errorf("got %v", err)
	}
}
