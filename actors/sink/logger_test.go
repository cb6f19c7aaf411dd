package sink

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// messages is a slog.Handler that keeps what was said, at info and above.
type messages struct{ said []string }

func (m *messages) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (m *messages) WithAttrs([]slog.Attr) slog.Handler               { return m }
func (m *messages) WithGroup(string) slog.Handler                    { return m }
func (m *messages) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	m.said = append(m.said, line)
	return nil
}

func logged(t *testing.T, kind string, compat bool, texts map[string]string, bodies ...string) []string {
	t.Helper()
	m := &messages{}
	k, err := makers[kind](topologies.SettingsOf(kinds.Sink, kind, texts), Env{Log: slog.New(m), Compat: compat, Counters: &Counters{}})
	if err != nil {
		t.Fatal(err)
	}
	s := record.NewSlab(256)
	defer s.Release()
	for _, body := range bodies {
		s.Append([]byte(body))
	}
	s.SetCommon("k", []byte("v"))
	if err := k.Deliver(t.Context(), &Batch{Views: []record.View{{Slab: s, Count: s.Len()}}}); err != nil {
		t.Fatal(err)
	}
	return m.said
}

func TestLoggerWritesTheLineThatFlumeWrites(t *testing.T) {
	for _, row := range vectors(t, "logger") {
		body, most, want := row[0], row[1], "Event: "+row[2]
		got := logged(t, "logger", false, map[string]string{"maxBytesToLog": most}, body)
		if len(got) != 1 || got[0] != want {
			t.Errorf("body %q: got %q, want %q", body, got, want)
		}
	}
}

func TestLoggerShowsAsMuchAsItIsTold(t *testing.T) {
	body := strings.Repeat("x", 64)
	for most, want := range map[int]int{0: 0, 1: 1, 16: 16, 17: 17, 64: 64, 100: 64} {
		line := logged(t, "logger", false, map[string]string{"maxBytesToLog": strconv.Itoa(most)}, body)[0]
		if got := strings.Count(line, "78 "); got != want {
			t.Errorf("maxBytesToLog %d: got %d bytes in %q, want %d", most, got, line, want)
		}
	}
}

// Flume's reader of configurations hands its logger sink no properties.
func TestLoggerShows16BytesWhereFlumesDefectsAreWanted(t *testing.T) {
	line := logged(t, "logger", true, map[string]string{"maxBytesToLog": "64"}, "0123456789abcdefXYZ")[0]
	if strings.Contains(line, "XYZ") || !strings.Contains(line, "0123456789abcdef }") {
		t.Fatalf("got %q, want the first 16 bytes", line)
	}
}

func TestLoggerPrintsHeadersInTheirOrder(t *testing.T) {
	s := oneRecord(t, "a", "1", "b", "", "c", "x=y")
	if got, want := string(appendEvent(nil, s, 0, 0)), "{ headers:{a=1, b=, c=x=y} body: }"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got, want := string(appendEvent(nil, oneRecord(t), 0, 0)), "{ headers:{} body: }"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestNullSaysWhenItPassesAMultipleOfLogEveryNEvents(t *testing.T) {
	texts := map[string]string{"logEveryNEvents": "2"}
	for bodies, want := range map[int]string{1: "", 2: "null sink took events events=2", 5: "null sink took events events=4"} {
		got := strings.Join(logged(t, "null", false, texts, strings.Split(strings.Repeat("x", bodies), "")...), ";")
		if got != want {
			t.Errorf("%d events: got %q, want %q", bodies, got, want)
		}
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for kind, texts := range map[string]map[string]string{"logger": {"maxBytesToLog": "-1"}, "null": {"logEveryNEvents": "0"}} {
		_, err := makers[kind](topologies.SettingsOf(kinds.Sink, kind, texts), Env{Log: slog.New(&messages{})})
		if err == nil {
			t.Errorf("%s with %v: accepted, want an error", kind, texts)
		}
	}
}

func BenchmarkNull(b *testing.B) {
	n := &null{log: slog.New(&messages{}), logEvery: 10000}
	batch := &Batch{Views: []record.View{{Slab: record.NewSlab(1), Count: 1000}}}
	b.ReportAllocs()
	for b.Loop() {
		_ = n.Deliver(context.Background(), batch)
	}
}

func BenchmarkLoggerLine(b *testing.B) {
	s := oneRecord(b, "k", "v")
	s.SetBody(0, bytes.Repeat([]byte("x"), 64))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = appendEvent(dst[:0], s, 0, 64)
	}
}
