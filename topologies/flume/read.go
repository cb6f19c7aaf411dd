// Package flume reads flume.conf files, as Flume 1.11 does and better: every
// remark has its place, and what Flume gets wrong is repaired unless the user
// asks for compat=flume. README.md lists the differences.
package flume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/topologies"
)

// File is one file of a configuration.
type File struct {
	Name string
	Data []byte
}

// Options say what a configuration may refer to and how it is judged.
type Options struct {
	// Agent is the one to run (-n). When it is set and not there, that is an
	// error.
	Agent string
	// Env is what ${env:…} and env filters see. Nil is an empty environment.
	Env map[string]string
	// Sys are the -Dkey=value options, which ${sys:…} sees.
	Sys map[string]string
	// Now is what ${date:…} formats; the zero time is the present.
	Now time.Time
	// Command runs the command of an external filter and returns what it
	// printed. Nil leaves its references as they are, with a remark.
	Command func(ctx context.Context, argv []string) ([]byte, error)
	// Lenient drops what Flume drops and runs the rest.
	Lenient bool
	// Compat is Lenient, and keeps Flume's defects too.
	Compat bool
}

// Parsed is what Read found.
type Parsed struct {
	// Topology holds the agents and components that can run. An agent for
	// which topologies.Failed is true should not.
	Topology topologies.Topology
	// Faults is all that is wrong, by place.
	Faults []topologies.Fault
	// Agents are the names before the first dots, in file order, whether or
	// not the agent can run.
	Agents []string
	// Properties is every property in file order, the last of equal ones
	// only, as written: no reference is resolved.
	Properties []Property
	// Blocks says that a file is written in the block dialect.
	Blocks bool

	files []File
}

// Source is the text of a file, for topologies.RenderFaults.
func (p *Parsed) Source(name string) []byte {
	for _, f := range p.files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// Read reads files, of which later ones override earlier ones, and says at once
// all that is wrong with them. The error is for a call without files; whatever
// is wrong in a file is a fault.
func Read(files []File, o Options) (*Parsed, error) {
	if len(files) == 0 {
		return nil, errors.New("read a flume configuration: no file given")
	}
	r := newReader(o, true)
	r.load(files)
	out := &Parsed{files: files, Blocks: r.isBlocks, Agents: r.agentNames()}
	out.Topology.Name = baseName(files[0].Name)
	for _, a := range r.agents {
		if built, ok := r.build(a, r.validate(a)); ok {
			out.Topology.Agents = append(out.Topology.Agents, built)
		}
	}
	r.wanted(files[0].Name)
	r.unusedVariables()
	for _, e := range r.entries {
		out.Properties = append(out.Properties, Property{e.key.s, e.value.s, e.key.pos(0), e.comments})
	}
	if r.omitted > 0 {
		r.faults = append(r.faults, topologies.Fault{Code: "SL0145", Severity: topologies.Note, Pos: topologies.Pos{File: files[0].Name},
			Message: fmt.Sprintf("%d further remarks are left out", r.omitted)})
	}
	topologies.SortFaults(r.faults)
	out.Faults = r.faults
	return out, nil
}

// baseName is the name of a file without folder and extension.
func baseName(name string) string {
	base := filepath.Base(filepath.ToSlash(name))
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// reader holds a configuration while it is read.
type reader struct {
	o        Options
	repaired bool // sluice's own reading; false is what Flume would make of it
	isBlocks bool
	entries  []*entry
	agents   []*agent
	byName   map[string]*agent
	failed   map[string]bool // agents with an error
	omitted  int             // remarks beyond remarksMax
	hints    int             // hints that may still be looked for
	sub      substitutor
	faults   []topologies.Fault
	records  []record
}

func newReader(o Options, repaired bool) *reader {
	o.Lenient = o.Lenient || o.Compat
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	return &reader{o: o, repaired: repaired, byName: map[string]*agent{}, failed: map[string]bool{}, hints: hintsMax, sub: substitutor{
		env: o.Env, sys: o.Sys, now: now, budget: expandedMax,
		props: map[string]string{}, used: map[string]bool{},
		legacy: o.Sys["propertiesImplementation"] == "org.apache.flume.node.EnvVarResolverProperties",
	}}
}

// Bounds of what is said about a configuration, so that one of a million
// mistakes is judged in seconds too. An agent's first error is always kept.
const (
	remarksMax   = 2000
	hintsMax     = 200
	hintNamesMax = 500
)

// didYouMean is a hint with the nearest of names, or none.
func (r *reader) didYouMean(word string, names []string) string {
	if r.hints--; r.hints < 0 {
		return ""
	}
	return didYouMean(word, names)
}

// nearest is didYouMean for a set of names.
func (r *reader) nearest(word string, names map[string]bool) string {
	if r.hints <= 0 || len(names) > hintNamesMax {
		return ""
	}
	return r.didYouMean(word, slices.Sorted(maps.Keys(names)))
}

// span is a piece of a file to underline.
type span struct {
	pos topologies.Pos
	end int
}

func (t text) span() span { return span{t.pos(0), t.end(0, len(t.s))} }

// fault notes what is wrong. agent is whose fault it is.
func (r *reader) fault(agent, code string, s topologies.Severity, at span, message, hint, flume string, related ...topologies.Related) {
	if len(r.faults) >= remarksMax && (s != topologies.Error || r.failed[agent]) {
		r.omitted++
		return
	}
	r.failed[agent] = r.failed[agent] || s == topologies.Error
	r.faults = append(r.faults, topologies.Fault{Code: code, Severity: s, Agent: agent, Pos: at.pos, End: at.end,
		Message: message, Hint: hint, Flume: flume, Related: related})
}

// dropped is the severity of what makes Flume drop a component: sluice stops,
// unless it was asked to do as Flume does.
func (r *reader) dropped() topologies.Severity {
	if r.o.Lenient {
		return topologies.Warning
	}
	return topologies.Error
}

// load reads the files, merges them, resolves references and sorts the
// properties by agent and component.
func (r *reader) load(files []File) {
	bytesLeft, keysLeft := fileBytesMax, keysMax
	byKey := map[string]*entry{}
	for _, f := range files {
		if bytesLeft -= len(f.Data); bytesLeft < 0 {
			r.fault("", "SL0102", topologies.Error, span{pos: topologies.Pos{File: f.Name}},
				fmt.Sprintf("the configuration is larger than %d MiB", fileBytesMax>>20), "", "")
			break
		}
		if bytes.IndexByte(f.Data, 0) >= 0 {
			at := topologies.Pos{File: f.Name, Line: 1 + bytes.Count(f.Data[:bytes.IndexByte(f.Data, 0)], []byte("\n"))}
			r.fault("", "SL0103", topologies.Warning, span{pos: at}, "the file holds a zero byte, so it may be no text, or UTF-16",
				"save the file as UTF-8", "read on, as sluice does")
		}
		var b *blocks
		if r.repaired && isBlocks(f.Data) {
			b, r.isBlocks = &blocks{own: map[string]bool{}}, true
		}
		l := parse(f.Name, f.Data, b, keysLeft)
		r.faults = append(r.faults, l.faults...)
		keysLeft -= len(l.out)
		r.merge(l, byKey)
	}
	if !r.repaired && slices.ContainsFunc(r.faults, func(f topologies.Fault) bool { return f.Code == "SL0103" && f.End > 0 }) {
		r.entries = nil // Flume refuses the whole file
	}
	r.resolve()
	for _, e := range r.entries {
		r.sort(e)
	}
}

// merge adds the properties of a file; the last of equal keys wins.
func (r *reader) merge(l *lexer, byKey map[string]*entry) {
	for _, p := range l.out {
		earlier := byKey[p.key.s]
		e := &entry{property: p}
		if earlier == nil {
			byKey[p.key.s] = e
			r.entries = append(r.entries, e)
			continue
		}
		if earlier.key.file == p.key.file {
			e.earlier = &property{key: earlier.key, value: earlier.value}
		}
		if len(e.comments) == 0 {
			e.comments = earlier.comments
		}
		*earlier = *e
	}
}

// resolve replaces the references in all values.
func (r *reader) resolve() {
	for _, e := range r.entries {
		r.sub.props[e.key.s] = e.value.s
	}
	for _, e := range r.entries {
		value, failed, err := r.sub.replace(e.value.s)
		e.text, e.failed, e.err = e.value, failed, err
		if value != e.value.s {
			e.text = text{s: value, file: e.value.file, runs: []run{{0, e.value.pos(0).Line, 0}}}
			e.substituted = true
		}
		e.text = e.text.trim()
		e.name = e.key.trim()
	}
}

// wanted checks that the agent that is to run is there.
func (r *reader) wanted(file string) {
	names := r.agentNames()
	if r.o.Agent == "" || slices.Contains(names, r.o.Agent) {
		return
	}
	message := fmt.Sprintf("no agent named %q in %s", r.o.Agent, file)
	hint := "every key begins with the agent's name: a1.sources = r1"
	if len(names) > 0 {
		var places []string
		for _, a := range r.agents[:min(len(r.agents), namesMax)] {
			places = append(places, fmt.Sprintf("%s (line %d)", a.name, a.first.name.pos(0).Line))
		}
		message += "; it has: " + strings.Join(places, ", ")
		near, ok := topologies.Nearest(r.o.Agent, names)
		if !ok {
			near = names[0]
		}
		hint = "try -n " + near
	}
	r.fault("", "SL0101", topologies.Error, span{pos: topologies.Pos{File: file}}, message, hint, "log a warning and run on with nothing to do")
}

func (r *reader) agentNames() []string {
	var names []string
	for _, a := range r.agents {
		names = append(names, a.name)
	}
	return names
}
