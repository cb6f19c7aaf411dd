package source_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

func TestSeqKeepsWhatEverySourcePromises(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Kind:    "seq",
		Replays: true,
		Place: func(*testing.T) sourcetest.Place {
			return sourcetest.Place{
				Settings: map[string]string{"batchSize": "10", "totalEvents": "520"},
				Body:     strconv.Itoa,
			}
		},
	})
}

func TestSeqStopsAfterTotalEventsWithAShorterLastBatch(t *testing.T) {
	out := new(sourcetest.Out)
	src := sourcetest.New(t, "seq", map[string]string{"batchSize": "4", "totalEvents": "10"}, sourcetest.Env(t))
	if err := sourcetest.Start(t, src, out).Wait(); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, b := range out.Batches() {
		sizes = append(sizes, len(b.Records))
	}
	if got := fmt.Sprint(sizes); got != "[4 4 2]" {
		t.Errorf("batches of 10 numbers by 4: got %s, want [4 4 2]", got)
	}
	if got := strings.Join(out.Bodies(), " "); got != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("got %s", got)
	}
}

// Flume forgets how far it counted.
func TestSeqBeginsAtZeroAgainWithFlumesDefects(t *testing.T) {
	env := sourcetest.Env(t)
	env.Compat = true
	env.Checkpoints = map[string][]source.Checkpoint{"seq": {{Stream: "seq", Pos: 7}}}
	out := new(sourcetest.Out)
	src := sourcetest.New(t, "seq", map[string]string{"totalEvents": "3"}, env)
	sourcetest.Start(t, src, out).Wait()
	if got := strings.Join(out.Bodies(), " "); got != "0 1 2" {
		t.Errorf("got %s, want 0 1 2", got)
	}
}
