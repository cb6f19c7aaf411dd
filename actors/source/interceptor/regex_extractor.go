package interceptor

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// regexExtractor sets headers to the groups of the first match in the body.
// A record that takes too long to match gets none.
type regexExtractor struct {
	matcher  Matcher
	outputs  []extraction
	compat   bool
	log      *slog.Logger
	name     string
	slow     slow
	loc      []int // scratch
	text     []byte
	unread   atomic.Int64 // texts that were no such time
	toldTime bool
}

// extraction is where a group goes: as it is, or as a time in ms.
type extraction struct {
	header string
	millis *DateFormat // nil: as it is
}

func newRegexExtractor(s topologies.Settings, env Env) (Interceptor, error) {
	r := &regexExtractor{compat: env.Compat, log: env.Log, name: s.Name(), slow: slow{log: env.Log, name: s.Name()}}
	var err error
	if s.String("regex") == "" {
		s.Fail("regex", "is missing")
		return nil, s.Err()
	}
	if r.matcher, err = CompileJava(s.String("regex")); err != nil {
		s.Fail("regex", err.Error())
		return nil, s.Err()
	}
	if len(s.List("serializers")) == 0 {
		s.Fail("serializers", "is missing: name one for each group of the regex")
		return nil, s.Err()
	}
	for _, name := range s.List("serializers") {
		out, err := newExtraction(s, "serializers."+name+".")
		if err != nil {
			return nil, err
		}
		r.outputs = append(r.outputs, out)
	}
	if n := r.matcher.Groups(); len(r.outputs) > n {
		r.outputs = r.outputs[:n] // the others never get a group
	}
	return r, s.Err()
}

func newExtraction(s topologies.Settings, prefix string) (extraction, error) {
	typ := strings.TrimSpace(s.String(prefix + "type"))
	if typ == "" {
		typ = "default"
	}
	kind, ok := kinds.Lookup(kinds.Extractor, typ)
	if !ok {
		s.Fail(prefix+"type", fmt.Sprintf("%q is neither default nor millis", typ))
		return extraction{}, s.Err()
	}
	own := s.Sub(prefix, kind)
	out := extraction{header: own.String("name")}
	if out.header == "" {
		s.Fail(prefix+"name", "is missing: it names the header")
		return extraction{}, s.Err()
	}
	if kind.Name != "millis" {
		return out, nil
	}
	if own.String("pattern") == "" {
		s.Fail(prefix+"pattern", "is missing: it says how the time is written")
		return extraction{}, s.Err()
	}
	var err error
	if out.millis, err = ParseDateFormat(own.String("pattern"), Joda, time.Local); err != nil {
		s.Fail(prefix+"pattern", err.Error())
	}
	return out, s.Err()
}

func (r *regexExtractor) Intercept(batch *record.Slab) error {
	for i := range batch.Len() {
		var err error
		if r.loc, err = r.matcher.Find(batch.Body(i), 0, r.loc); err != nil {
			r.slow.note(err)
			continue
		}
		if len(r.loc) == 0 {
			continue
		}
		if err = r.extract(batch, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *regexExtractor) extract(batch *record.Slab, i int) error {
	for g := range r.outputs {
		out := &r.outputs[g]
		start, end := r.loc[2*g+2], r.loc[2*g+3]
		switch {
		case start < 0:
			if r.compat { // Flume sets a header without value; files hold it as ""
				batch.SetHeader(i, out.header, nil)
			}
		case out.millis == nil:
			body, _ := batch.Span(i)
			batch.MarkHeader(i, out.header, body+start, body+end)
		default:
			if err := r.setMillis(batch, i, out, batch.Body(i)[start:end]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *regexExtractor) setMillis(batch *record.Slab, i int, out *extraction, text []byte) error {
	t, err := out.millis.Parse(unsafe.String(unsafe.SliceData(text), len(text)))
	if err == nil {
		r.text = strconv.AppendInt(r.text[:0], t.UnixMilli(), 10)
		batch.SetHeader(i, out.header, r.text)
		return nil
	}
	err = fmt.Errorf("%s: header %s: %w", r.name, out.header, err)
	if r.compat {
		return err
	}
	if r.unread.Add(1); !r.toldTime {
		r.toldTime = true
		r.log.Warn("a time cannot be read and its header is left out", "interceptor", r.name, "err", err)
	}
	return nil
}
