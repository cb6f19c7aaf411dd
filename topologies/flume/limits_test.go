package flume_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

func TestAConfigurationHasBounds(t *testing.T) {
	var keys strings.Builder
	for i := range 100_001 {
		fmt.Fprintf(&keys, "a.b%d=c\n", i)
	}
	for name, files := range map[string][]flume.File{
		"bytes":              {{Name: "f", Data: []byte(strings.Repeat("#", 8<<20+1))}},
		"bytes of two files": {{Name: "f", Data: []byte(strings.Repeat("#", 5<<20))}, {Name: "g", Data: []byte(strings.Repeat("#", 5<<20))}},
		"keys":               {{Name: "f", Data: []byte(keys.String())}},
	} {
		p, err := flume.Read(files, flume.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if f := faultOf(t, p, "SL0102"); f.Severity != topologies.Error {
			t.Errorf("%s: got %v", name, f)
		}
	}
}

// The files are such that every pair of names would be compared by a reader that
// is not careful; the test would then not end.
func TestManyMistakesAreJudgedInReasonableTime(t *testing.T) {
	const n = 10_000
	repeat := func(format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "N", fmt.Sprint(i)))
		}
		return b.String()
	}
	for name, conf := range map[string]string{
		"unlisted sinks":             base + repeat("a1.sinks.sN.type = null\n"),
		"listed without properties":  base + "a1.sinks = " + repeat("nameN ") + "\n" + repeat("a1.sinks.sN.type = null\n"),
		"unknown properties":         base + repeat("a1.sinks.k1.batchSizeN = 1\n"),
		"interceptors without types": base + "a1.sources.r1.interceptors = " + repeat("iN ") + "\n",
		"interceptors":               base + "a1.sources.r1.interceptors = " + repeat("iN ") + "\n" + repeat("a1.sources.r1.interceptors.iN.type = host\n"),
		"channels":                   base + "a1.channels = c1 " + repeat("cN ") + "\na1.sources.r1.channels = " + repeat("cN ") + "\n" + repeat("a1.channels.cN.type = memory\n"),
		"mappings":                   base + "a1.sources.r1.selector.type = multiplexing\n" + repeat("a1.sources.r1.selector.mapping.N = xN\n"),
		"groups":                     base + "a1.sinkgroups = " + repeat("gN ") + "\n" + repeat("a1.sinkgroups.gN.sinks = k1\n"),
		"agents":                     repeat("aN.sources = r1\n"),
		"references":                 base + "a1.sinks.k1.x = " + repeat("${xN}") + "\n",
		"one long line":              base + "a1.sinks.k1.x = " + repeat("xxxxxxxxx # ") + "\n",
		"blocks":                     "a.sources {\n" + repeat("rN.type = seq\n") + "}\na.channels {\nc1.type = memory\n}\n" + repeat("a.sources(rN).channels(c1)\n"),
		"duplicates":                 base + repeat("a1.sinks.k1.batchSize = N\n"),
	} {
		t.Run(name, func(t *testing.T) {
			p := read(t, conf, flume.Options{Agent: "nobody"})
			if err := topologies.RenderFaults(io.Discard, p.Faults, p.Source); err != nil {
				t.Fatal(err)
			}
			if !topologies.Failed(p.Faults, "") || len(p.Faults) > 2100+len(p.Agents) {
				t.Errorf("got %d faults", len(p.Faults))
			}
		})
	}
}
