package interceptor

import (
	"log/slog"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// regexFilter keeps or drops the records whose body holds a match. A record
// that takes too long to match is kept.
type regexFilter struct {
	matcher Matcher
	exclude bool
	slow    slow
	batch   *record.Slab
	keep    func(i int) bool // wanted, made once
}

func newRegexFilter(s topologies.Settings, env Env) (Interceptor, error) {
	m, err := CompileJava(s.String("regex"))
	if err != nil {
		s.Fail("regex", err.Error())
		return nil, s.Err()
	}
	f := &regexFilter{matcher: m, exclude: s.Bool("excludeEvents"), slow: slow{log: env.Log, name: s.Name()}}
	f.keep = f.wanted
	return f, s.Err()
}

func (f *regexFilter) Intercept(batch *record.Slab) error {
	f.batch = batch
	batch.Keep(f.keep)
	f.batch = nil
	return nil
}

func (f *regexFilter) wanted(i int) bool {
	found, err := f.matcher.Match(f.batch.Body(i))
	if err != nil {
		f.slow.note(err)
		return true
	}
	return found != f.exclude
}

// slow tells once that a pattern ran into its time limit.
type slow struct {
	log  *slog.Logger
	name string
	told bool
}

func (s *slow) note(err error) {
	if !s.told {
		s.told = true
		s.log.Warn("a record took too long to match and passes unchanged", "interceptor", s.name, "err", err)
	}
}
