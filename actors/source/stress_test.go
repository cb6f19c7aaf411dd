package source_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

func TestStressMakesRecordsOfTheSizeAskedFor(t *testing.T) {
	for _, c := range []struct {
		settings map[string]string
		records  int
	}{
		{map[string]string{"maxTotalEvents": "25", "batchSize": "10", "size": "7"}, 25},
		{map[string]string{"maxTotalEvents": "25", "maxSuccessfulEvents": "12", "batchSize": "10", "size": "7"}, 12},
		{map[string]string{"maxSuccessfulEvents": "3", "size": "0", "maxEventsPerSecond": "100000"}, 3},
	} {
		out := new(sourcetest.Out)
		src := sourcetest.New(t, "stress", c.settings, sourcetest.Env(t))
		if err := sourcetest.Start(t, src, out).Wait(); err != nil {
			t.Fatal(err)
		}
		size, _ := strconv.Atoi(c.settings["size"])
		if got := len(out.Records()); got != c.records {
			t.Errorf("%v: got %d records, want %d", c.settings, got, c.records)
		}
		for _, r := range out.Records() {
			if r.Body != strings.Repeat("\x7f", size) {
				t.Fatalf("%v: body %q", c.settings, r.Body)
			}
		}
	}
}

func TestStressKeepsWhatEverySourcePromises(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Kind: "stress",
		Place: func(*testing.T) sourcetest.Place {
			return sourcetest.Place{
				Settings: map[string]string{"batchSize": "10", "maxTotalEvents": "520"},
				Body:     func(int) string { return strings.Repeat("\x7f", 500) },
			}
		},
	})
}
