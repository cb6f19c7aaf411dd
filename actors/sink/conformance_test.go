package sink_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// maker makes sinks of a kind with settings.
func maker(kind string, texts map[string]string) func(sink.Env) (sink.Sink, error) {
	return func(env sink.Env) (sink.Sink, error) {
		return sink.Make(kind, topologies.SettingsOf(kinds.Sink, kind, texts), env)
	}
}

func TestNullKeepsThePromisesOfASink(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Target {
		return sinktest.Target{New: maker("null", nil)}
	})
}

// lines is a slog.Handler that keeps the messages.
type lines struct{ said []string }

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.said = append(l.said, r.Message)
	return nil
}

func TestLoggerKeepsThePromisesOfASink(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Target {
		log := &lines{}
		return sinktest.Target{
			New: func(env sink.Env) (sink.Sink, error) {
				env.Log = slog.New(log)
				return maker("logger", map[string]string{"maxBytesToLog": "1000"})(env)
			},
			Read: func(*testing.T) []string { return dumped(log.said) },
		}
	})
}

// dumped are the bodies of logged lines, from the text columns of their dumps.
func dumped(lines []string) []string {
	var bodies []string
	for _, line := range lines {
		line = strings.TrimSuffix(line, " }")
		var body strings.Builder
		for row := range strings.SplitSeq(line[strings.Index(line, "body:")+len("body:"):], "\n") {
			row = row[strings.Index(row, " ")+1:]
			body.WriteString(row[16*len("00 "):])
		}
		bodies = append(bodies, body.String())
	}
	return bodies
}
