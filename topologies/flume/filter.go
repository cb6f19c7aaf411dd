package flume

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/topologies"
)

// filterWait bounds how long the command of an external filter may run.
const filterWait = 10 * time.Second

// referencesMax bounds the references of a value that are remarked on.
const referencesMax = 10

// filtersMax bounds the config filters of an agent.
const filtersMax = 100

// filter replaces ${name[key]} in the properties of all components, after all
// other references, as Flume does: not in lists, and not in the filters' own.
func (r *reader) filter(a *agent, filters []*component) {
	if len(filters) > filtersMax {
		r.fault(a.name, "SL0132", topologies.Error, filters[filtersMax].span(), fmt.Sprintf("an agent can have %d config filters", filtersMax), "", "")
		return
	}
	for _, f := range filters {
		lookup := r.filterLookup(a, f)
		if lookup == nil {
			continue
		}
		// Flume takes the name for a pattern; a dot in it cannot occur.
		reference := regexp.MustCompile(`\$\{` + regexp.QuoteMeta(f.name) + `\[(?:'([-_a-zA-Z0-9]+)'|"([-_a-zA-Z0-9]+)"|([-_a-zA-Z0-9]+))\]\}`)
		for _, word := range []string{"sources", "sinks", "channels", "sinkgroups"} {
			for _, c := range a.parts[word] {
				for _, s := range c.order {
					r.filterValue(a, s.entry, reference, lookup)
				}
			}
		}
	}
	r.unresolved(a)
}

// filterValue replaces the references to one filter in one value.
func (r *reader) filterValue(a *agent, e *entry, reference *regexp.Regexp, lookup func(key string) (string, error)) {
	if !strings.Contains(e.text.s, "${") {
		return
	}
	value := reference.ReplaceAllStringFunc(e.text.s, func(whole string) string {
		m := reference.FindStringSubmatch(whole)
		found, err := lookup(m[1] + m[2] + m[3])
		if r.sub.budget -= len(found); r.sub.budget < 0 {
			e.err = errExpanded
			return whole
		}
		if err != nil {
			e.failed = slices.DeleteFunc(e.failed, func(ref string) bool { return ref == whole })
			r.fault(a.name, "SL0132", topologies.Warning, e.valueSpan(), fmt.Sprintf("%s: %v", whole, err), "", "leave the text as it is, and sluice does too")
			return whole
		}
		return found
	})
	if value != e.text.s {
		e.text = text{s: value, file: e.value.file, runs: []run{{0, e.value.pos(0).Line, 0}}}
		e.substituted, e.secret = true, true
	}
}

var errUnset = errors.New("there is no such variable")

// filterLookup is how a filter finds the value of a key; nil for a filter that
// cannot be used.
func (r *reader) filterLookup(a *agent, f *component) func(key string) (string, error) {
	refuse := func(message, hint string) func(string) (string, error) {
		r.fault(a.name, "SL0132", r.dropped(), f.span(), f.title()+" "+message, hint, "")
		return nil
	}
	switch typ := strings.ToLower(f.get("type")); typ {
	case "env", "org.apache.flume.configfilter.environmentvariableconfigfilter":
		return func(key string) (string, error) {
			if v, ok := r.o.Env[key]; ok {
				return v, nil
			}
			return "", errUnset
		}
	case "external", "org.apache.flume.configfilter.externalprocessconfigfilter":
		argv := strings.Fields(f.get("command"))
		if len(argv) == 0 {
			return refuse("has no command", fmt.Sprintf("add %s.configfilters.%s.command = …", a.name, f.name))
		}
		if charset := f.get("charset"); charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			return refuse(fmt.Sprintf("wants the charset %s, and sluice reads UTF-8", charset), "let the command print UTF-8")
		}
		return r.external(argv)
	case "hadoop", "org.apache.flume.configfilter.hadoopcredentialstoreconfigfilter":
		return refuse("needs Hadoop's Java key store, which sluice cannot read", "put the secrets into the environment and use the env filter, or print them by a command and use the external filter")
	default:
		return refuse(fmt.Sprintf("has the type %q, which sluice does not know", f.get("type")), "use env or external")
	}
}

// external asks a command for values, once for each key.
func (r *reader) external(argv []string) func(key string) (string, error) {
	type answer struct {
		value string
		err   error
	}
	known := map[string]answer{}
	return func(key string) (string, error) {
		got, ok := known[key]
		if !ok {
			got.value, got.err = r.run(append(argv[:len(argv):len(argv)], key))
			known[key] = got
		}
		return got.value, got.err
	}
}

// run is the first line that a command prints.
func (r *reader) run(argv []string) (string, error) {
	if r.o.Command == nil {
		return "", errors.New("commands are not run here")
	}
	ctx, cancel := context.WithTimeout(context.Background(), filterWait)
	defer cancel()
	out, err := r.o.Command(ctx, argv)
	if err != nil {
		return "", fmt.Errorf("run %s: %w", argv[0], err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// Command runs argv without a shell, for Options.Command.
func Command(ctx context.Context, argv []string) ([]byte, error) {
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
}

// unresolved remarks on references that stay as they are.
func (r *reader) unresolved(a *agent) {
	look := func(e *entry) {
		if e.err != nil {
			r.fault(a.name, "SL0131", topologies.Error, e.valueSpan(), fmt.Sprintf("the value of %q cannot be resolved: %v", e.name.s, e.err),
				"", "refuse the whole configuration, or bring the machine down")
			return
		}
		for _, ref := range e.failed[:min(len(e.failed), referencesMax)] {
			if strings.Contains(e.text.s, ref) {
				r.fault(a.name, "SL0130", topologies.Warning, e.valueSpan(), fmt.Sprintf("nothing answers %s, so it stays in the value as it is", ref),
					r.referenceHint(ref), "leave it as it is too")
			}
		}
	}
	for _, word := range listNames {
		if e := a.lists[word]; e != nil {
			look(e)
		}
		for _, c := range a.parts[word] {
			for _, s := range c.order {
				look(s.entry)
			}
		}
	}
}

func (r *reader) referenceHint(ref string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}")
	prefix, rest, ok := strings.Cut(name, ":")
	switch {
	case ok && prefix == "env":
		return "set the variable, or give a default: ${" + name + ":-…}"
	case ok && prefix == "sys":
		return "start with -D" + rest + "=…, or give a default: ${" + name + ":-…}"
	case ok:
		return "env, sys, java and date can stand before the colon"
	}
	if _, set := r.o.Env[name]; set {
		return "write ${env:" + name + "} for the variable of the environment"
	}
	if len(r.entries) > hintNamesMax {
		return ""
	}
	var keys []string
	for _, e := range r.entries {
		keys = append(keys, e.key.s)
	}
	return r.didYouMean(name, keys)
}
