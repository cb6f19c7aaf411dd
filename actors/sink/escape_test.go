package sink

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// vectors are the rows of the golden file whose first column is kind.
func vectors(t testing.TB, kind string) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/flume-vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if columns[0] == kind {
			for i := range columns {
				columns[i] = unescape.Replace(columns[i])
			}
			rows = append(rows, columns[1:])
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no rows of kind %q", kind)
	}
	return rows
}

var unescape = strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\n`, "\n")

// oneRecord is a slab of one record with headers, given as name, value, name, …
func oneRecord(t testing.TB, headers ...string) *record.Slab {
	s := record.NewSlab(256)
	t.Cleanup(s.Release)
	s.Append([]byte("body"))
	for i := 0; i < len(headers); i += 2 {
		s.SetHeader(0, headers[i], []byte(headers[i+1]))
	}
	return s
}

// roundedUp are Flume's answers that sluice repairs: in the hour before clocks
// go back, "rounding down" leads to the second time that clocks show the
// result, almost an hour later than the record.
var roundedUp = map[string]string{
	"second 7":  "2024-11-03T01:59:56 1730624396 1730624399999",
	"minute 10": "2024-11-03T01:50:00 1730623800 1730624399999",
}

func TestEscapesAnswerAsFlume(t *testing.T) {
	repaired := 0
	for _, compat := range []bool{true, false} {
		for _, row := range vectors(t, "bucket") {
			pattern, stamp, zone, unit, value, want := row[0], row[1], row[2], row[3], row[4], row[5]
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatalf("time zone %s: %v", zone, err)
			}
			n, _ := strconv.Atoi(value)
			e, err := newEscaper(pattern, escapeOptions{Location: location, Round: unit != "none", Unit: unit, Value: n, Compat: compat})
			if err != nil {
				t.Fatalf("compile %q: %v", pattern, err)
			}
			if fix, ok := roundedUp[unit+" "+value]; ok && !compat && stamp == "1730624399999" && zone == "America/Los_Angeles" {
				want = fix
				repaired++
			}
			s := oneRecord(t, "timestamp", stamp, "host", `h$1\x`, "a.b-c", "ABC")
			got, err := e.expand(nil, s, 0, time.Time{})
			if err != nil || string(got) != want {
				t.Errorf("%q at %s in %s, round %s %s, compat %v: got %q, %v, want %q", pattern, stamp, zone, unit, value, compat, got, err, want)
			}
		}
	}
	if repaired != len(roundedUp) {
		t.Errorf("%d rows were repaired, want %d", repaired, len(roundedUp))
	}
}

func TestATimeEscapeWithoutATimestampIsAnErrorOfItsOwn(t *testing.T) {
	for _, row := range vectors(t, "bucket-no-timestamp") {
		pattern, want := row[0], row[1]
		e, err := newEscaper(pattern, escapeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.expand(nil, oneRecord(t), 0, time.Now())
		var missing *timestampError
		if strings.HasPrefix(want, "EXC ") {
			if !errors.As(err, &missing) || !missing.missing {
				t.Errorf("%q: got %q, %v, want a timestampError", pattern, got, err)
			}
		} else if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", pattern, got, err, want)
		}
	}
}

func TestATimestampThatIsNoNumberIsAnError(t *testing.T) {
	for _, text := range []string{"", "-", "12x", " 1", "9223372036854775808", "-9223372036854775809", "1e3", "99999999999999999999999"} {
		e, _ := newEscaper("%Y", escapeOptions{})
		_, err := e.expand(nil, oneRecord(t, "timestamp", text), 0, time.Now())
		var bad *timestampError
		if !errors.As(err, &bad) || bad.missing {
			t.Errorf("timestamp %q: got %v, want a timestampError", text, err)
		}
	}
	for text, want := range map[string]string{"+0": "1970", "-1": "1969", "9223372036854775807": "292278994", "0000000000000000000000": "1970"} {
		e, _ := newEscaper("%Y", escapeOptions{Location: time.UTC})
		got, err := e.expand(nil, oneRecord(t, "timestamp", text), 0, time.Now())
		if err != nil || string(got) != want {
			t.Errorf("timestamp %q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// Flume wants a time for every escape of one letter, even for those that show
// none.
func TestAPercentSignNeedsNoTimeUnlessFlumesDefectsAreWanted(t *testing.T) {
	for compat, ok := range map[bool]bool{false: true, true: false} {
		e, _ := newEscaper("100%% %q", escapeOptions{Compat: compat})
		got, err := e.expand(nil, oneRecord(t), 0, time.Now())
		if (err == nil) != ok || ok && string(got) != "100% " {
			t.Errorf("compat %v: got %q, %v", compat, got, err)
		}
	}
}

func TestLocalTimeTakesTheClockAndNotTheHeader(t *testing.T) {
	e, err := newEscaper("%Y-%m-%d %t", escapeOptions{Location: time.UTC, UseLocalTime: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.expand(nil, oneRecord(t, "timestamp", "1"), 0, time.UnixMilli(1340433896123))
	if want := "2012-06-23 1340433896123"; err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestNamesOfTheHostAreFilledInWhateverTheirCase(t *testing.T) {
	names := map[string]string{"localhost": "web07", "ip": "10.0.0.7", "fqdn": "web07.example.org"}
	o := escapeOptions{hostName: func(which string) (string, error) {
		if name, ok := names[which]; ok {
			return name, nil
		}
		return systemHostName(which)
	}}
	e, err := newEscaper("%[localhost]/%[IP]/%[FQDN]", o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.expand(nil, oneRecord(t), 0, time.Now())
	if want := "web07/10.0.0.7/web07.example.org"; err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	if _, err := newEscaper("%[host]", o); err == nil {
		t.Fatal("%[host] was accepted, want an error that names what there is")
	}
	for _, which := range []string{"localhost", "ip"} {
		if name, err := systemHostName(which); err != nil || name == "" {
			t.Errorf("the system's %s: got %q, %v", which, name, err)
		}
	}
}

func TestRoundingIsCheckedAtTheStart(t *testing.T) {
	for _, c := range []struct {
		unit  string
		value int
		ok    bool
	}{
		{"second", 60, true}, {"minute", 60, true}, {"hour", 24, true}, {"HOUR", 1, true},
		{"second", 61, false}, {"minute", 0, false}, {"hour", 25, false}, {"hour", -1, false}, {"day", 1, false}, {"", 1, false},
	} {
		_, err := newEscaper("%Y", escapeOptions{Round: true, Unit: c.unit, Value: c.value})
		if (err == nil) != c.ok {
			t.Errorf("round to %d %s: got %v, want accepted: %v", c.value, c.unit, err, c.ok)
		}
	}
}

// What is remembered of the last record must never be used for a time that
// reads differently: one escaper that saw many times answers as a new one.
func TestRememberedTimesAnswerAsFreshOnes(t *testing.T) {
	losAngeles, _ := time.LoadLocation("America/Los_Angeles")
	lordHowe, _ := time.LoadLocation("Australia/Lord_Howe") // half an hour of summer time
	amsterdam, _ := time.LoadLocation("Europe/Amsterdam")   // +0:19:32 before 1937
	for _, location := range []*time.Location{time.UTC, losAngeles, lordHowe, amsterdam} {
		for _, pattern := range []string{"%Y-%m-%d", "%H", "%M%z", "%S", "%s", "%p %l", "%t", "x"} {
			for _, o := range []escapeOptions{{}, {Round: true, Unit: "minute", Value: 7}, {Round: true, Unit: "hour", Value: 5}, {Round: true, Unit: "second", Value: 3}} {
				o.Location = location
				used, err := newEscaper(pattern, o)
				if err != nil {
					t.Fatal(err)
				}
				for _, base := range []int64{0, 1730624399999, 1712415599000, -1500000000000, 253402300799000} {
					for _, step := range []int64{0, 1, 999, 1000, 59_999, 60_000, -1, 1_800_000, 3_599_999, 3_600_000, 7_200_000, -86_400_000} {
						base += step
						s := oneRecord(t, "timestamp", strconv.FormatInt(base, 10))
						fresh, _ := newEscaper(pattern, o)
						want, _ := fresh.expand(nil, s, 0, time.Time{})
						got, err := used.expand(nil, s, 0, time.Time{})
						if err != nil || !bytes.Equal(got, want) {
							t.Fatalf("%q at %d in %s, %s %d: got %q, %v, want %q", pattern, base, location, o.Unit, o.Value, got, err, want)
						}
					}
				}
			}
		}
	}
}

// hostileNames are header values that would lead a path elsewhere.
var hostileNames = []string{
	"..", "../..", "../../etc/passwd", "/etc/passwd", "//", "/", ".", "./", "./.", "...", "....//", "a/../../b",
	"\x00", "a\x00b", "a\nb", "\r\n", "\x1b[31m", "\x7f", "\u0085", "\xff\xfe", "\xc0\xae\xc0\xae", "..\\..",
	strings.Repeat("a", 5000), strings.Repeat("é", 150), strings.Repeat("\x80", 400), strings.Repeat("../", 100), "",
	". ", "a/.", "./a", "a//b", "~", "$HOME", "%Y", "%{host}",
}

// An event must not choose where a file is written: neither alone nor by the
// way its values meet each other and the dots of the pattern.
func TestCleanedHeadersStayInsideTheirFolder(t *testing.T) {
	patterns := []string{"data/%{a}/x", "data/%{a}", "data/%{a}%{b}/x", "data/.%{a}/x", "data/%{a}./x", "data/.%{a}%{b}./x", "data/%{a}/%{b}", "data/.%{a}.", "data/x%{a}y"}
	for _, slash := range []bool{false, true} {
		for _, pattern := range patterns {
			e, err := newEscaper(pattern, escapeOptions{Clean: true, AllowSlash: slash})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range hostileNames {
				for _, b := range hostileNames {
					got, err := e.expand(nil, oneRecord(t, "a", a, "b", b), 0, time.Now())
					if err != nil {
						t.Fatal(err)
					}
					checkHarmless(t, pattern, string(got), slash)
				}
			}
		}
	}
}

func checkHarmless(t *testing.T, pattern, got string, slash bool) {
	t.Helper()
	if !filepath.IsLocal(got) || !strings.HasPrefix(got, "data/") {
		t.Fatalf("%q became %q, which leads out of data", pattern, got)
	}
	if !slash && strings.Count(got, "/") != strings.Count(pattern, "/") {
		t.Fatalf("%q became %q: a value brought a slash", pattern, got)
	}
	for _, part := range strings.Split(got, "/") {
		if part == ".." {
			t.Fatalf("%q became %q: a value brought %q", pattern, got, part)
		}
		if strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			t.Fatalf("%q became %q: a value brought a control character", pattern, got)
		}
	}
	if len(got) > len(pattern)+2*headerBytesMax {
		t.Fatalf("%q became %d bytes", pattern, len(got))
	}
}

func TestACleanedHeaderAtTheStartDoesNotMakeAPathAbsolute(t *testing.T) {
	e, _ := newEscaper("%{a}/x", escapeOptions{Clean: true, AllowSlash: true})
	got, _ := e.expand([]byte("before:"), oneRecord(t, "a", "//etc"), 0, time.Now())
	if want := "before:etc/x"; string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestOrdinaryHeadersAreLeftAsTheyAre(t *testing.T) {
	e, _ := newEscaper("%{a}", escapeOptions{Clean: true})
	for _, name := range []string{"web07", "web07.example.org", ".hidden", "día-1_x y", "a:b", "日本"} {
		got, _ := e.expand(nil, oneRecord(t, "a", name), 0, time.Now())
		if string(got) != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}

func TestExpandingABatchMakesNoGarbage(t *testing.T) {
	e, s := benchPath(t)
	dst := make([]byte, 0, 256)
	allocations := testing.AllocsPerRun(20, func() {
		for i := range s.Len() {
			dst, _ = e.expand(dst[:0], s, i, time.Time{})
		}
	})
	if allocations != 0 {
		t.Fatalf("%v allocations per batch, want none", allocations)
	}
}

func FuzzEscapePath(f *testing.F) {
	for _, row := range vectors(f, "bucket") {
		stamp, _ := strconv.ParseInt(row[1], 10, 64)
		f.Add(row[0], stamp, "web07", uint8(len(row[4])), true)
	}
	for _, name := range hostileNames {
		f.Add("data/.%{a}./%Y/%t", int64(1340433896123), name, uint8(3), false)
	}
	zones := []string{"UTC", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe"}
	f.Fuzz(func(t *testing.T, pattern string, stamp int64, value string, pick uint8, compat bool) {
		location, _ := time.LoadLocation(zones[int(pick)%len(zones)])
		o := escapeOptions{
			Location: location, Round: pick&4 != 0, Unit: []string{"second", "minute", "hour"}[int(pick)%3], Value: 1 + int(pick)%24,
			Compat: compat, Clean: true, AllowSlash: pick&8 != 0,
			hostName: func(which string) (string, error) { return "h-" + which, nil },
		}
		e, err := newEscaper(pattern, o)
		if err != nil {
			t.Fatalf("compile %q: %v", pattern, err)
		}
		s := oneRecord(t, "timestamp", strconv.FormatInt(stamp, 10), "a", value)
		got, err := e.expand(nil, s, 0, time.Time{})
		if err != nil {
			t.Fatalf("expand %q at %d: %v", pattern, stamp, err)
		}
		if again, _ := e.expand(nil, s, 0, time.Time{}); !bytes.Equal(again, got) {
			t.Fatalf("%q expands to %q, then to %q", pattern, got, again)
		}
		for _, near := range []int64{stamp + 1, stamp - 1, stamp + 999, stamp + 60_000} {
			s := oneRecord(t, "timestamp", strconv.FormatInt(near, 10), "a", value)
			fresh, _ := newEscaper(pattern, o)
			want, _ := fresh.expand(nil, s, 0, time.Time{})
			if got, _ := e.expand(nil, s, 0, time.Time{}); !bytes.Equal(got, want) {
				t.Fatalf("%q at %d after %d: got %q, want %q", pattern, near, stamp, got, want)
			}
		}
		if filled := strings.ReplaceAll(pattern, "%{a}", "_"); !strings.Contains(pattern, "..") && !strings.Contains(filled, "%") {
			if climbs(string(got)) > 0 {
				t.Fatalf("%q with a=%q became %q", pattern, value, got)
			}
		}
	})
}

func benchPath(t testing.TB) (*escaper, *record.Slab) {
	e, err := newEscaper("/logs/%{host}/%Y-%m-%d/%H%M", escapeOptions{Location: time.UTC, Clean: true})
	if err != nil {
		t.Fatal(err)
	}
	s := record.NewSlab(64 << 10)
	t.Cleanup(s.Release)
	for i := range 1000 {
		s.Append([]byte("x"))
		s.SetHeader(i, "timestamp", fmt.Appendf(nil, "%d", 1340433896123+i))
	}
	s.SetCommon("host", []byte("web07"))
	return e, s
}

func BenchmarkExpand(b *testing.B) {
	e, s := benchPath(b)
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		for i := range s.Len() {
			dst, _ = e.expand(dst[:0], s, i, time.Time{})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Len()), "ns/record")
}
