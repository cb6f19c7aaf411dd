package gen_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/gen"
)

var plain = regexp.MustCompile(`^2026-11-22T12:\d\d:\d\d\.\d\d\dZ web(0\d|1[0-5]) (INFO|DEBUG|WARN|ERROR) seq=\d{9} user=\d+ status=[2345]00 path=/api/v1/[a-z]+/\d+ msg=[a-z ]+$`)

func TestLinesHaveTheirFormAndShares(t *testing.T) {
	const count = 50_000
	l, counts, total := gen.New(gen.Seed), map[string]int{}, 0
	for id := range count {
		line := string(l.Next(nil))
		total += len(line)
		m := plain.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("line %d has another form: %q", id, line)
		}
		if want := "seq=" + strings.Repeat("0", 9-len(strconv.Itoa(id))) + strconv.Itoa(id) + " "; !strings.Contains(line, want) {
			t.Fatalf("line %d: got %q, want %q in it", id, line, want)
		}
		counts[m[2]]++
		counts[line[strings.Index(line, "status="):][:10]]++
		switch {
		case len(line) <= 206:
			counts["short"]++
		case len(line) < 400:
			counts["middle"]++
		default:
			counts["long"]++
		}
	}
	for what, share := range map[string]float64{
		"INFO": 0.5, "DEBUG": 0.25, "WARN": 0.125, "ERROR": 0.125, "long": 0.05,
		"status=200": 0.25, "status=300": 0.25, "status=400": 0.25, "status=500": 0.25,
	} {
		if got := float64(counts[what]) / count; got < share-0.01 || got > share+0.01 {
			t.Errorf("%s: a share of %.3f, want %.3f", what, got, share)
		}
	}
	if mean := float64(total) / count; mean < 206.6 || mean > 208.6 {
		t.Errorf("mean length %.1f bytes, want about 207.6", mean)
	}
}

func TestSyslogLinesBeginWithTheirHeader(t *testing.T) {
	l := gen.New(gen.Seed)
	l.Syslog = true
	line := string(l.Next(nil))
	if ok, _ := regexp.MatchString(`^<134>Nov 22 12:00:00 web(\d\d) app\[1\d\d\]: (INFO|DEBUG|WARN|ERROR) seq=000000000 user=`, line); !ok {
		t.Fatalf("got %q", line)
	}
}

// Published figures name the seed and not the bytes, so these may not change.
func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	var b bytes.Buffer
	if err := gen.New(gen.Seed).WriteTo(&b, 10_000); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	if got, want := hex.EncodeToString(sum[:8]), "96f4b4b9054b6c44"; got != want {
		t.Fatalf("the first 10,000 lines have digest %s, want %s", got, want)
	}
}
