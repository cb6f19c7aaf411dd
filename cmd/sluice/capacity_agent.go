package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// flow is what passed in a time, and what it cost.
type flow struct {
	records   int64
	size      int // bytes of one
	took, cpu time.Duration
}

func (f flow) perSecond() float64 {
	if f.took <= 0 {
		return 0
	}
	return float64(f.records) / f.took.Seconds()
}

// cpuEach is how many seconds of a core a record cost.
func (f flow) cpuEach() float64 {
	if f.records == 0 {
		return 0
	}
	return f.cpu.Seconds() / float64(f.records)
}

// start runs a node over a folder of its own.
func (r *capacityRun) start(partitions int, broker bool) (*node.Node, string, error) {
	r.stages++
	dir := filepath.Join(r.dir, fmt.Sprint("stage", r.stages))
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o700); err != nil {
		return nil, "", err
	}
	c := config.Node{Name: "capacity", Dir: filepath.Join(dir, "store"), Flush: r.f.flush, AllowExec: true}
	if broker {
		c.Kafka = config.Kafka{Listen: "127.0.0.1:0", AutoCreateTopics: true, NumPartitions: int64(partitions), ReplicationFactor: 1}
	}
	n, err := node.Start(node.Options{Config: c, Version: version, Log: slog.New(slog.DiscardHandler)})
	return n, dir, err
}

// end stops a node, without waiting for what is left, and deletes its folder.
func end(n *node.Node, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.Stop(ctx) // nothing of it is wanted any more
	os.RemoveAll(dir)
}

// builder makes an agent of stages, and says how many records will come.
type builder func(dir, kafka string) (a topologies.Agent, records int64, err error)

// measure runs the agent that build makes on a node of its own.
func (r *capacityRun) measure(build builder, broker bool) func(context.Context) (flow, error) {
	return func(ctx context.Context) (flow, error) {
		n, dir, err := r.start(usualPartitions, broker)
		if err != nil {
			return flow{}, err
		}
		defer end(n, dir)
		a, records, err := build(dir, n.KafkaAddr())
		if err != nil {
			return flow{}, err
		}
		a.Name = "capacity"
		began := seen{at: time.Now(), cpu: processorTime()}
		if _, err := n.Deploy(ctx, &topologies.Topology{Name: "capacity", Agents: []topologies.Agent{a}}); err != nil {
			return flow{}, err
		}
		return r.watch(ctx, n, began, records)
	}
}

// seen is how far a run was at one moment.
type seen struct {
	at   time.Time
	cpu  time.Duration
	done int64
}

const (
	lookEvery = 5 * time.Millisecond
	firstMax  = 10 * time.Second // until the first record must have passed
)

// watch counts what leaves the agent, from the first record on.
func (r *capacityRun) watch(ctx context.Context, n *node.Node, began seen, records int64) (flow, error) {
	length := time.Duration(r.f.seconds * float64(time.Second))
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var first, last seen
	for {
		select {
		case <-ctx.Done():
			return flow{}, ctx.Err()
		case <-look.C:
		}
		st := n.Status()
		now := seen{time.Now(), processorTime(), st.Ledger.Delivered + st.Ledger.Dropped + st.Ledger.DeadLettered}
		if first.done == 0 {
			first = now
		}
		if now.done > last.done {
			last = now
		}
		switch {
		case now.done == 0 && now.at.Sub(began.at) > length+firstMax:
			return flow{}, fmt.Errorf("no record passed within %s%s", length+firstMax, failures(st.Agents))
		case now.done == 0:
		case records > 0 && now.done >= records, now.at.Sub(first.at) >= length:
			// What passed in one go is counted from the start of the agent.
			if last.done-first.done < last.done/2 {
				first = began
			}
			return flow{last.done - first.done, r.asked.Size, last.at.Sub(first.at), last.cpu - first.cpu}, nil
		}
	}
}

// failures are the reasons of the parts that do not run.
func failures(agents []agent.Status) string {
	var why []string
	note := func(p agent.Part) {
		if p.Reason != "" || p.Failure != "" {
			why = append(why, fmt.Sprintf("; %s: %s", p.Name, strings.TrimSpace(p.Reason+" "+p.Failure)))
		}
	}
	for _, a := range agents {
		for _, s := range a.Sources {
			note(s.Part)
		}
		for _, c := range a.Channels {
			note(c.Part)
		}
		for _, k := range a.Sinks {
			note(k.Part)
		}
	}
	return strings.Join(why, "")
}

// agentJobs are the stages of all ways and the ways as wholes. The first is
// that of the neighbours alone.
func (r *capacityRun) agentJobs(ways []way) []capacityJob {
	if len(ways) == 0 {
		return nil
	}
	jobs := []capacityJob{{capacityPart{Stage: "neighbours", Name: "-", Kind: "stress, memory, null"}, r.measure(func(string, string) (topologies.Agent, int64, error) {
		s, n := r.stress(usualBatch, "c1")
		return oneWay(s, memory("c1"), null(usualBatch, "c1")), n, nil
	}, false)}}
	for _, w := range ways {
		jobs = append(jobs, r.wayJobs(w)...)
	}
	return jobs
}

func (r *capacityRun) wayJobs(w way) []capacityJob {
	var jobs []capacityJob
	add := func(stage string, c topologies.Component, build builder) {
		p := capacityPart{Path: w.name, Stage: stage, Name: c.Name, Kind: c.Kind.Name}
		if stage == "source" {
			p.Why = notFed(c)
		}
		jobs = append(jobs, capacityJob{p, r.measure(build, c.Kind.Name == "kafka")})
	}
	for _, s := range w.sources {
		add("source", s, func(dir, kafka string) (topologies.Agent, int64, error) {
			fed, n, err := r.fed(s, dir, kafka, "c1")
			return oneWay(fed, memory("c1"), null(max(batchOf(s), usualBatch), "c1")), n, err
		})
	}
	add("channel", w.channel, func(dir, kafka string) (topologies.Agent, int64, error) {
		s, n := r.stress(w.batchIn(), w.channel.Name)
		return oneWay(s, stored(w.channel, dir, kafka), null(w.batchOut(), w.channel.Name)), n, nil
	})
	for _, k := range w.sinks {
		add("sink", k, func(dir, kafka string) (topologies.Agent, int64, error) {
			s, n := r.stress(max(batchOf(k), usualBatch), "c1")
			return oneWay(s, memory("c1"), written(k, dir, kafka, "c1")), n, nil
		})
	}
	if len(w.sources) > 0 && len(w.sinks) > 0 {
		jobs = append(jobs, capacityJob{capacityPart{Path: w.name, Stage: "whole", Name: "-", Kind: "-"}, r.measure(func(dir, kafka string) (topologies.Agent, int64, error) {
			return r.whole(w, dir, kafka)
		}, w.kafka())})
	}
	return jobs
}

// whole is the way as the file has it, but for where it reads and writes. A
// source that nobody feeds here has the stress source in its place.
func (r *capacityRun) whole(w way, dir, kafka string) (topologies.Agent, int64, error) {
	a := topologies.Agent{Channels: []topologies.Component{stored(w.channel, dir, kafka)}, Groups: w.groups, Compat: w.compat}
	total := int64(0)
	for i, s := range w.sources {
		if notFed(s) != "" {
			made, n := r.stress(min(batchOf(s), w.room()), w.channel.Name)
			made.Name = s.Name
			a.Sources, total = append(a.Sources, made), total+n
			continue
		}
		sub := filepath.Join(dir, fmt.Sprint("source", i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			return a, 0, err
		}
		fed, n, err := r.fed(s, sub, kafka, w.channel.Name)
		if err != nil {
			return a, 0, err
		}
		a.Sources, total = append(a.Sources, fed), total+n
	}
	for i, k := range w.sinks {
		sub := filepath.Join(dir, fmt.Sprint("sink", i))
		if err := os.MkdirAll(filepath.Join(sub, "out"), 0o700); err != nil {
			return a, 0, err
		}
		a.Sinks = append(a.Sinks, written(k, sub, kafka, w.channel.Name))
	}
	return a, total, nil
}

// kafka says whether any part of the way needs a broker.
func (w *way) kafka() bool {
	return slices.ContainsFunc(slices.Concat(w.sources, w.sinks, []topologies.Component{w.channel}), func(c topologies.Component) bool {
		return c.Kind.Name == "kafka"
	})
}

func oneWay(source, channel, sink topologies.Component) topologies.Agent {
	return topologies.Agent{Sources: []topologies.Component{source}, Channels: []topologies.Component{channel}, Sinks: []topologies.Component{sink}}
}

var errNoKind = errors.New("no such kind")

// component is one of a kind with the settings given.
func component(category kinds.Category, typ, name string, texts map[string]string, channels ...string) topologies.Component {
	kind, ok := kinds.Lookup(category, typ)
	if !ok {
		panic(fmt.Errorf("%s %s: %w", category, typ, errNoKind))
	}
	return changed(topologies.Component{Name: name, Kind: kind, Settings: topologies.NewSettings(kind, string(category)+" "+name, nil), Channels: channels}, texts)
}

// changed is c with some settings replaced and those that begin with one of
// drop left out.
func changed(c topologies.Component, texts map[string]string, drop ...string) topologies.Component {
	values := c.Settings.Values()
	for name := range values {
		for _, d := range drop {
			if strings.HasPrefix(name, d) {
				delete(values, name)
			}
		}
	}
	for name, text := range texts {
		values[name] = topologies.Value{Text: text}
	}
	c.Settings = topologies.NewSettings(c.Kind, c.Settings.Name(), values)
	return c
}
