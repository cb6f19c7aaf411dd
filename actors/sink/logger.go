package sink

import (
	"context"
	"log/slog"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// flumesBytesLogged is how much of a body Flume logs whatever maxBytesToLog
// says: it never hands its logger sink any property.
const flumesBytesLogged = 16

// logger writes every record to the node's log, its body as a hex dump.
type logger struct {
	log      *slog.Logger
	bytesMax int
	line     []byte
}

func newLogger(s topologies.Settings, env Env) (Sink, error) {
	l := &logger{log: env.Log, bytesMax: s.Int("maxBytesToLog")}
	if l.bytesMax < 0 {
		s.Fail("maxBytesToLog", "it must not be negative")
	}
	if env.Compat {
		l.bytesMax = flumesBytesLogged
	}
	return l, s.Err()
}

// Deliver logs a whole batch or, when the sink is being stopped, none of it: a
// part would be logged again later.
func (l *logger) Deliver(ctx context.Context, batch *Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !l.log.Enabled(ctx, slog.LevelInfo) {
		return nil
	}
	return batch.Each(func(s *record.Slab, i int) error {
		l.line = append(l.line[:0], "Event: "...)
		l.line = appendEvent(l.line, s, i, l.bytesMax)
		l.log.Info(string(l.line))
		return nil
	})
}

func (l *logger) Close() error { return nil }

// appendEvent writes record i as Flume prints an event.
func appendEvent(dst []byte, s *record.Slab, i, bytesMax int) []byte {
	dst = append(dst, "{ headers:"...)
	dst = appendJavaMap(dst, s, i)
	dst = append(dst, " body:"...)
	body := s.Body(i)
	dst = appendHexDump(dst, body[:min(len(body), bytesMax)])
	return append(dst, " }"...)
}

const (
	hexDigits  = "0123456789ABCDEF"
	dumpColumn = 16 // bytes in a row
)

// appendHexDump writes body in rows of hex and ASCII. Every row but the first
// begins with its offset.
func appendHexDump(dst, body []byte) []byte {
	for at := 0; at < len(body); at += dumpColumn {
		if at > 0 {
			dst = append(dst, '\n')
			for shift := 28; shift >= 0; shift -= 4 {
				dst = append(dst, hexDigits[at>>shift&15])
			}
		}
		dst = appendDumpRow(append(dst, ' '), body[at:min(at+dumpColumn, len(body))])
	}
	return dst
}

func appendDumpRow(dst, row []byte) []byte {
	for _, c := range row {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15], ' ')
	}
	for range dumpColumn - len(row) {
		dst = append(dst, "   "...)
	}
	for _, c := range row {
		if c < ' ' || c > '~' {
			c = '.'
		}
		dst = append(dst, c)
	}
	return dst
}
