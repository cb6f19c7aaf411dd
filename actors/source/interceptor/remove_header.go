package interceptor

import (
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// removeHeader removes headers by name, from a list, or by a pattern.
type removeHeader struct {
	names    []string
	matching Matcher
	verdicts map[string]bool // what matching says of a name
	doomed   []string        // scratch
}

// verdictsMax bounds how many names are remembered: they come from outside.
const verdictsMax = 1000

func newRemoveHeader(s topologies.Settings, _ Env) (Interceptor, error) {
	r := &removeHeader{verdicts: map[string]bool{}}
	if name := s.String("withName"); name != "" {
		r.names = append(r.names, name)
	}
	if list := s.String("fromList"); list != "" {
		separator, err := CompileJava(s.String("fromListSeparator"))
		if err != nil {
			s.Fail("fromListSeparator", err.Error())
			return nil, s.Err()
		}
		names, err := split(separator, []byte(list))
		if err != nil {
			return nil, err
		}
		r.names = append(r.names, names...)
	}
	if pattern := s.String("matching"); pattern != "" {
		m, err := CompileJava(pattern)
		if err != nil {
			s.Fail("matching", err.Error())
			return nil, s.Err()
		}
		r.matching = m
	}
	return r, s.Err()
}

// split cuts text at each match of separator, as Java's String.split does.
func split(separator Matcher, text []byte) ([]string, error) {
	var parts []string
	from, at := 0, 0
	var loc []int
	for at <= len(text) {
		var err error
		if loc, err = separator.Find(text, at, loc); err != nil {
			return nil, err
		}
		if len(loc) == 0 {
			break
		}
		if loc[1] == loc[0] {
			at = loc[1] + 1
			if loc[0] == 0 || loc[0] == len(text) {
				continue
			}
		} else {
			at = loc[1]
		}
		parts = append(parts, string(text[from:loc[0]]))
		from = loc[1]
	}
	return append(parts, string(text[from:])), nil
}

func (r *removeHeader) Intercept(batch *record.Slab) error {
	for _, name := range r.names {
		batch.RemoveHeader(name)
	}
	if r.matching == nil {
		return nil
	}
	r.doomed = r.doomed[:0]
	for i := range batch.Len() {
		for name := range batch.Headers(i) {
			if !slices.Contains(r.doomed, name) && r.matches(name) {
				r.doomed = append(r.doomed, name)
			}
		}
	}
	for _, name := range r.doomed {
		batch.RemoveHeader(name)
	}
	return nil
}

func (r *removeHeader) matches(name string) bool {
	verdict, known := r.verdicts[name]
	if !known {
		verdict, _ = r.matching.Full([]byte(name)) // too slow to match is no match
		if len(r.verdicts) < verdictsMax {
			r.verdicts[name] = verdict
		}
	}
	return verdict
}
