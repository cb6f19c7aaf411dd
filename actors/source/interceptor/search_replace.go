package interceptor

import (
	"bytes"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// searchReplace replaces every match in the body. A record that takes too long
// to match stays as it is.
type searchReplace struct {
	matcher Matcher
	with    *Replacement
	charset *Charset
	slow    slow
	text    []byte // scratch: the body in UTF-8
	out     []byte
}

func newSearchReplace(s topologies.Settings, env Env) (Interceptor, error) {
	r := &searchReplace{slow: slow{log: env.Log, name: s.Name()}}
	var err error
	if s.String("searchPattern") == "" {
		s.Fail("searchPattern", "is missing")
		return nil, s.Err()
	}
	if r.matcher, err = CompileJava(s.String("searchPattern")); err != nil {
		s.Fail("searchPattern", err.Error())
		return nil, s.Err()
	}
	if r.with, err = ParseReplacement(s.String("replaceString"), r.matcher); err != nil {
		s.Fail("replaceString", err.Error())
		return nil, s.Err()
	}
	if r.charset, err = CharsetNamed(s.String("charset")); err != nil {
		s.Fail("charset", err.Error())
	}
	return r, s.Err()
}

func (r *searchReplace) Intercept(batch *record.Slab) error {
	for i := range batch.Len() {
		text := batch.Body(i)
		if !r.charset.UTF8() {
			r.text = r.charset.Decode(r.text[:0], text)
			text = r.text
		}
		out, changed, err := r.with.Apply(r.out[:0], text)
		r.out = out
		if err != nil {
			r.slow.note(err)
			continue
		}
		if !changed {
			continue
		}
		if !r.charset.UTF8() {
			r.text = r.charset.Encode(r.text[:0], out)
			out = r.text
		}
		if !bytes.Equal(out, batch.Body(i)) {
			batch.SetBody(i, out)
		}
	}
	return nil
}
