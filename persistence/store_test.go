package persistence_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
)

const small, large = 1 << 10, 40 << 10

// mixed makes every third batch large.
func mixed(n int) int {
	if n%3 == 2 {
		return large
	}
	return small
}

var policies = map[string]persistence.Policy{
	"always": persistence.Always,
	"lazy":   persistence.Interval(20 * time.Millisecond),
}

func TestEverythingAcknowledgedIsThereAfterACleanStop(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			l := openLog(t, s, "a", persistence.LogOptions{Flush: policy})
			var c collect
			for n := range 300 {
				w := appendOf(l, n, mixed(n), 5)
				w.Sets = []persistence.KV{{Key: persistence.CheckpointKey("a", "s", "c", "x"), Value: []byte{byte(n), byte(n >> 8)}}}
				w.Done = c.done(n)
				s.Submit(w)
			}
			c.wg.Wait()
			if !slices.Equal(c.got, seeds(300)) {
				t.Fatalf("acknowledged in the order %v", c.got)
			}
			expect(t, l, seeds(300), mixed)
			closeStore(t, s)

			s = open(t, dir)
			defer closeStore(t, s)
			l = openLog(t, s, "a", persistence.LogOptions{Flush: policy})
			if l.Next() != 1500 || l.Start() != 0 {
				t.Fatalf("log from %d to %d, want 0 to 1500", l.Start(), l.Next())
			}
			expect(t, l, seeds(300), mixed)
			v, ok, err := s.Get(persistence.CheckpointKey("a", "s", "c", "x"))
			if err != nil || !ok || v[0] != 299&255 || v[1] != 1 {
				t.Fatalf("checkpoint %v %v %v", v, ok, err)
			}
		})
	}
}

func TestAPutToSeveralLogsIsInAllOfThemInOrder(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			a := openLog(t, s, "a", persistence.LogOptions{Flush: policy})
			b := openLog(t, s, "b", persistence.LogOptions{})
			var c collect
			for n := range 60 {
				w := appendOf(a, n, mixed(n), 1)
				if n%4 == 0 {
					w.Appends = append(w.Appends, persistence.Append{Log: b, Count: 1, Payload: batch(n, mixed(n))})
				}
				w.Done = c.done(n)
				s.Submit(w)
			}
			c.wg.Wait()
			if !slices.Equal(c.got, seeds(60)) {
				t.Fatalf("acknowledged in the order %v", c.got)
			}
			closeStore(t, s)
			s = open(t, dir)
			defer closeStore(t, s)
			expect(t, openLog(t, s, "a", persistence.LogOptions{}), seeds(60), mixed)
			var fourth []int
			for n := 0; n < 60; n += 4 {
				fourth = append(fourth, n)
			}
			expect(t, openLog(t, s, "b", persistence.LogOptions{}), fourth, mixed)
		})
	}
}

func TestTrimmedEntriesAndTheirSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, func(o *persistence.Options) { o.SegmentBytes = 200 << 10 })
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 40 {
		submit(t, s, appendOf(l, n, large, 10))
	}
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: 355}}})
	if l.Start() != 355 {
		t.Fatalf("start %d, want 355", l.Start())
	}
	expect(t, l, []int{35, 36, 37, 38, 39}, mixedLarge)
	closeStore(t, s)
	s = open(t, dir)
	defer closeStore(t, s)
	l = openLog(t, s, "a", persistence.LogOptions{})
	expect(t, l, []int{35, 36, 37, 38, 39}, mixedLarge)
}

func mixedLarge(int) int { return large }
