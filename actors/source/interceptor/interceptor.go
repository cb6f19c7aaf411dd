// Package interceptor holds the plain functions that a source runs over each
// batch before its channels are chosen.
package interceptor

import (
	"fmt"
	"log/slog"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// Interceptor changes or drops records of a batch in place. It is called by
// one goroutine at a time and never sees the same batch twice: a batch that
// has to wait for its channel waits intercepted. An error drops nothing: the
// source counts it and tries the batch again later.
type Interceptor interface {
	Intercept(batch *record.Slab) error
}

// Env is what an interceptor may need of its node.
type Env struct {
	Compat bool // Flume's defects are wanted too
	Log    *slog.Logger
}

// makers lists every interceptor by the name of its kind.
var makers = map[string]func(topologies.Settings, Env) (Interceptor, error){
	"host":            newHost,
	"regex_extractor": newRegexExtractor,
	"regex_filter":    newRegexFilter,
	"remove_header":   newRemoveHeader,
	"search_replace":  newSearchReplace,
	"static":          newStatic,
	"timestamp":       newTimestamp,
	"uuid":            newUUID,
}

// Chain builds the interceptors that the settings of a source name, in order.
func Chain(source topologies.Settings, env Env) ([]Interceptor, error) {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	var chain []Interceptor
	for _, name := range source.List("interceptors") {
		prefix := "interceptors." + name + "."
		typ := source.String(prefix + "type")
		kind, ok := kinds.Lookup(kinds.Interceptor, typ)
		if !ok || makers[kind.Name] == nil {
			return nil, fmt.Errorf("%s: interceptor %s: unknown type %q", source.Name(), name, typ)
		}
		made, err := makers[kind.Name](source.Sub(prefix, kind), env)
		if err != nil {
			return nil, fmt.Errorf("interceptor %s: %w", name, err)
		}
		chain = append(chain, made)
	}
	return chain, nil
}
