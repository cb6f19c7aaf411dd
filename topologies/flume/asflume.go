package flume

import (
	"fmt"
	"slices"
	"strings"
)

// AsFlume is what Flume 1.11 makes of the files in its first phase: the agents
// and components that survive, every property as its component sees it, and the
// errors that Flume records. The lines are sorted and each comes once.
func AsFlume(files []File, o Options) []string {
	o.Compat = true
	r := newReader(o, false)
	r.load(files)
	var lines, valid []string
	for _, a := range r.agents {
		if s := r.validate(a); s.valid {
			valid = append(valid, a.name)
			lines = append(lines, agentLines(a, s)...)
		}
	}
	slices.Sort(valid)
	lines = append(lines, "agents ["+strings.Join(valid, ", ")+"]")
	for _, e := range r.records {
		lines = append(lines, fmt.Sprintf("error %s %s component=%s key=%s", e.level, e.kind, e.component, e.key))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func agentLines(a *agent, s survivors) []string {
	names := func(of []*survivor) string {
		var out []string
		for _, c := range of {
			out = append(out, c.name)
		}
		slices.Sort(out)
		return "[" + strings.Join(out, ", ") + "]"
	}
	var channels []*survivor
	for _, c := range s.channels {
		channels = append(channels, &survivor{component: c})
	}
	lines := []string{fmt.Sprintf("agent %s sources=%s channels=%s sinks=%s sinkgroups=%s",
		a.name, names(s.sources), names(channels), names(s.sinks), names(s.groups))}
	for _, c := range s.sources {
		lines = append(lines, componentLines(a, "source", c.component, map[string]string{"channels": strings.Join(javaSet(c.to), " ")})...)
	}
	for _, c := range channels {
		lines = append(lines, componentLines(a, "channel", c.component, nil)...)
	}
	for _, c := range s.sinks {
		if isLogger(c.get("type")) {
			lines = append(lines, fmt.Sprintf("sink-with-config-object-only (properties NOT passed) %s.%s type=%s", a.name, c.name, c.get("type")))
			continue
		}
		lines = append(lines, componentLines(a, "sink", c.component, nil)...)
	}
	for _, g := range s.groups {
		lines = append(lines, fmt.Sprintf("sinkgroup %s.%s sinks=[%s] type={ parameters:%s }",
			a.name, g.name, strings.Join(javaSet(g.to), ", "), processorMap(g.component)))
	}
	return lines
}

// isLogger says whether typ is the sink that Flume gives no properties.
func isLogger(typ string) bool {
	return strings.EqualFold(typ, "logger") || strings.EqualFold(typ, "org.apache.flume.sink.LoggerSink")
}

func componentLines(a *agent, what string, c *component, instead map[string]string) []string {
	var lines []string
	for name, s := range c.props {
		value := s.value()
		if v, ok := instead[name]; ok {
			value = v
		}
		lines = append(lines, fmt.Sprintf("%s %s.%s %s = %s", what, a.name, c.name, name, value))
	}
	return lines
}

// processorMap is a group's processor.* as Java prints a map.
func processorMap(g *component) string {
	values := map[string]string{}
	var keys []string
	for _, s := range g.order {
		if name, ok := strings.CutPrefix(s.name, "processor."); ok {
			values[name] = g.get(s.name)
			keys = append(keys, name)
		}
	}
	// Flume collects the keys in one map, which grows, and copies it into
	// another, which makes room for all at once.
	keys = javaOrder(keys, grown(len(keys)))
	for i, k := range javaOrder(keys, roomFor(len(keys))) {
		keys[i] = k + "=" + values[k]
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

// javaSet is names in the order of a java.util.HashSet that they were added to.
func javaSet(names []text) []string {
	var out []string
	for _, n := range names {
		out = append(out, n.s)
	}
	return javaOrder(out, max(16, roomFor(len(out)))) // HashSet(Collection) starts at 16
}

// grown is the size of the table of a HashMap to which n entries were added one
// by one.
func grown(n int) int {
	size := 16
	for n > size*3/4 {
		size *= 2
	}
	return size
}

// roomFor is the size of the table that a HashMap makes for n entries.
func roomFor(n int) int {
	size := 1
	for float64(size) < float64(n)/0.75+1 {
		size *= 2
	}
	return size
}

// javaOrder is keys in the order in which a java.util.HashMap with a table of
// size buckets goes through them.
func javaOrder(keys []string, size int) []string {
	bucket := func(s string) int {
		var h uint32
		for _, r := range s {
			if r > 0xffff { // Java counts UTF-16 units
				r -= 0x10000
				h = 31*h + uint32(0xd800+r>>10)
				r = 0xdc00 + r&0x3ff
			}
			h = 31*h + uint32(r)
		}
		return int(h^h>>16) & (size - 1)
	}
	out := slices.Clone(keys)
	slices.SortStableFunc(out, func(a, b string) int { return bucket(a) - bucket(b) })
	return out
}
