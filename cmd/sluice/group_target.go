package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// target is where a group's offsets are to go.
type target struct {
	kind targetKind
	n    int64 // an offset, a distance, or ms since the epoch
}

type targetKind uint8

const (
	toStart targetKind = iota
	toEnd
	toOffset
	beforeEnd
	fromCommitted
	atTime
)

func parseTarget(s string) (target, error) {
	number := func(text string) (int64, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	}
	rest := ""
	if s != "" {
		rest = s[1:]
	}
	switch {
	case s == "start" || s == "earliest":
		return target{kind: toStart}, nil
	case s == "end" || s == "latest":
		return target{kind: toEnd}, nil
	case strings.HasPrefix(s, "@"):
		if n, ok := number(rest); ok {
			return target{atTime, n}, nil
		}
		if t, err := time.Parse(time.RFC3339, rest); err == nil {
			return target{atTime, t.UnixMilli()}, nil
		}
	case strings.HasPrefix(s, "-"):
		if n, ok := number(rest); ok {
			return target{beforeEnd, n}, nil
		}
	case strings.HasPrefix(s, "+"):
		if n, ok := number(rest); ok {
			return target{fromCommitted, n}, nil
		}
	case strings.HasPrefix(s, "~"):
		if n, ok := number(rest); ok {
			return target{fromCommitted, -n}, nil
		}
	default:
		if n, ok := number(s); ok {
			return target{toOffset, n}, nil
		}
	}
	return target{}, &usageError{fmt.Errorf("--to %q: want start, end, N, -N, +N, ~N or @TIME", s)}
}

// place sets where each row goes, within what its partition holds.
func (t target) place(ctx context.Context, c *kadm.Client, rows []seekRow) error {
	var names []string
	for _, r := range rows {
		names = append(names, r.Topic)
	}
	starts, err := c.ListStartOffsets(ctx, names...)
	if err != nil {
		return refusal("list offsets", err, "")
	}
	ends, err := c.ListEndOffsets(ctx, names...)
	if err != nil {
		return refusal("list offsets", err, "")
	}
	var times kadm.ListedOffsets
	if t.kind == atTime {
		if times, err = c.ListOffsetsAfterMilli(ctx, t.n, names...); err != nil {
			return refusal("list offsets", err, "")
		}
	}
	for i := range rows {
		r := &rows[i]
		start, ok := starts.Lookup(r.Topic, r.Partition)
		end, ok2 := ends.Lookup(r.Topic, r.Partition)
		if !ok || !ok2 || start.Err != nil || end.Err != nil {
			return fmt.Errorf("list offsets of %s-%d: the broker does not know it", r.Topic, r.Partition)
		}
		at := start.Offset
		switch t.kind {
		case toEnd:
			at = end.Offset
		case toOffset:
			at = t.n
		case beforeEnd:
			at = end.Offset - t.n
		case fromCommitted:
			at = max(r.Before, start.Offset) + t.n
		case atTime:
			at = end.Offset
			if o, ok := times.Lookup(r.Topic, r.Partition); ok && o.Err == nil && o.Offset >= 0 {
				at = o.Offset
			}
		}
		r.After = min(max(at, start.Offset), end.Offset)
	}
	return nil
}
