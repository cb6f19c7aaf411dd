package main

import (
	"fmt"
	"slices"
)

// capacityPath is what follows for one path from the rates of its stages.
type capacityPath struct {
	Path     string     `json:"path"`
	Pools    []pool     `json:"pools"`
	Slowest  pool       `json:"bottleneck"`
	Measured float64    `json:"measuredRecordsPerSecond"` // of the whole; 0: not measured
	Ratio    float64    `json:"measuredByPredicted"`
	Headroom []headroom `json:"headroom"`
	Article  article    `json:"article"`
	NoWhole  string     `json:"wholeNotMeasured,omitempty"`
}

// article is the formula of the article for the path.
type article struct {
	Formula string  `json:"formula"` // with its numbers
	Value   float64 `json:"value"`   // 0: not known
	Unknown string  `json:"unknown,omitempty"`
	Differs string  `json:"differs"` // where and why
}

// conclude sorts what was measured and draws the conclusions.
func (r *capacityReport) conclude(ways []way, k *kafkaCapacity, done []capacityPart) {
	wholes := map[string]capacityPart{}
	for _, p := range done {
		switch p.Stage {
		case "neighbours":
			r.baseline = p
		case "whole":
			wholes[p.Path] = p
		default:
			r.Stages = append(r.Stages, p)
			if p.Why != "" {
				r.Absent = append(r.Absent, fmt.Sprintf("%s: %s %s (%s) was not measured: %s", p.Path, p.Stage, p.Name, p.Kind, p.Why))
			}
		}
	}
	for _, w := range ways {
		r.agentPath(w, wholes[w.name])
	}
	if k != nil {
		r.topicsPath(k, wholes[topicsPath])
	}
}

// of are the parts of a path that are one stage.
func (r *capacityReport) of(path, stage string) (parts []capacityPart) {
	for _, p := range r.Stages {
		if p.Path == path && p.Stage == stage {
			parts = append(parts, p)
		}
	}
	return parts
}

// one is the rate and the cost of the only part that is a stage.
func (r *capacityReport) one(path, stage string) capacityPart {
	if parts := r.of(path, stage); len(parts) == 1 {
		return parts[0]
	}
	return capacityPart{}
}

func (r *capacityReport) agentPath(w way, whole capacityPart) {
	var sources, costs []float64
	sinks := map[string]float64{}
	sourceCost, sinkCost := 0.0, 0.0
	for _, p := range r.of(w.name, "source") {
		sources = append(sources, p.PerSecond)
		sourceCost = max(sourceCost, p.CPU)
	}
	for _, p := range r.of(w.name, "sink") {
		sinks[p.Name] = p.PerSecond
		sinkCost = max(sinkCost, p.CPU)
	}
	channel := r.one(w.name, "channel")
	costs = append(costs, sourceCost, channel.CPU, sinkCost)
	p := capacityPath{Path: w.name, Pools: []pool{
		{"source", addUp(sources...)}, {"channel", channel.PerSecond}, {"sink", w.sinkRate(sinks)},
		{"machine", machine(r.Cores, chainCost(r.baseline.CPU/1e6, micro(costs)...))},
	}}
	if r.baseline.CPU == 0 || channel.CPU == 0 {
		p.Pools = p.Pools[:3]
	}
	channelRate, sinkRate, sourceRate := p.Pools[1].Rate, p.Pools[2].Rate, p.Pools[0].Rate
	p.Article.Formula = fmt.Sprintf("channel x sink / source = %s x %s / %s", figure(channelRate), figure(sinkRate), figure(sourceRate))
	p.Article.Value, _ = articleFlume(channelRate, sinkRate, sourceRate)
	p.finish(whole, "source")
	r.Paths = append(r.Paths, p)

	rate := r.Asked.Rate
	add := func(what string, parts []capacityPart) {
		slowest := 0.0
		for _, part := range parts {
			if slowest == 0 || part.PerSecond < slowest {
				slowest = part.PerSecond
			}
		}
		if len(parts) > 0 {
			r.Needs = append(r.Needs, needs(w.name, what, rate, slowest))
		}
	}
	add("sources", r.of(w.name, "source"))
	add("channels", r.of(w.name, "channel"))
	add("sinks", r.of(w.name, "sink"))
	r.Needs = append(r.Needs, needs(w.name, "nodes", rate, p.sure()))
}

func (r *capacityReport) topicsPath(k *kafkaCapacity, whole capacityPart) {
	partition, broker := r.one(topicsPath, "partition"), r.one(topicsPath, "broker")
	producer, consumer := r.one(topicsPath, "producer"), r.one(topicsPath, "consumer")
	// Each client ran beside the broker, so their costs hold the broker's share.
	p := capacityPath{Path: topicsPath, Pools: []pool{
		{"producer", producer.PerSecond}, {"partitions", partition.PerSecond * float64(k.partitions)}, {"broker", broker.PerSecond},
		{"consumer", consumer.PerSecond}, {"machine", machine(r.Cores, (producer.CPU+consumer.CPU)/1e6)},
	}}
	if producer.CPU == 0 || consumer.CPU == 0 {
		p.Pools = p.Pools[:4]
	}
	p.Article.Formula = fmt.Sprintf("partitions x broker / producer = %d x %s / %s", k.partitions, figure(partition.PerSecond), figure(producer.PerSecond))
	p.Article.Value, _ = articleKafka(k.partitions, partition.PerSecond, producer.PerSecond)
	p.finish(whole, "producer")
	r.Paths = append(r.Paths, p)
	// What a node surely does is what it did for a client, not for its actors
	// alone.
	node := broker.PerSecond
	if producer.PerSecond > 0 {
		node = min(node, producer.PerSecond)
	}
	r.Needs = append(r.Needs, topicNeeds(topicsPath, r.Asked.Rate, r.Asked.Replicas, partition.PerSecond, node, producer.PerSecond, consumer.PerSecond)...)
}

// finish draws the conclusions that all paths have. feeder is the stage that
// the article divides by.
func (p *capacityPath) finish(whole capacityPart, feeder string) {
	slowest, ok := bottleneck(p.Pools)
	p.Slowest, p.Headroom = slowest, []headroom{}
	if whole.Why != "" {
		p.NoWhole = whole.Why
	}
	p.Measured = whole.PerSecond
	if ok {
		p.Headroom = headrooms(slowest.Rate)
		p.Ratio = p.Measured / slowest.Rate
	}
	p.Article.differ(p.Pools, slowest, feeder)
}

// differ says where the article's number parts from the bottleneck, and why.
func (a *article) differ(pools []pool, slowest pool, feeder string) {
	source := rateOf(pools, feeder)
	if a.Value == 0 {
		a.Unknown = "one of its rates was not measured"
		a.Differs = fmt.Sprintf("without a rate of the %s there is nothing to divide by; the slowest stage is known all the same", feeder)
		return
	}
	halved := slices.Clone(pools)
	for i := range halved {
		if halved[i].Kind == feeder {
			halved[i].Rate /= 2
		}
	}
	then, _ := bottleneck(halved)
	what := fmt.Sprintf("a rate squared over a rate, %.2g times what the path carries", a.Value/slowest.Rate)
	if feeder == "producer" {
		what = fmt.Sprintf("how many such producers the partitions could serve, not how much passes: that is %s records/s", figure(slowest.Rate))
	}
	a.Differs = fmt.Sprintf("it is %s. With a %s half as fast it says %s, and the path carries %s: it grows without bound as the %s gets slower",
		what, feeder, figure(2*a.Value), figure(then.Rate), feeder)
	if source == slowest.Rate {
		a.Differs += ", and that is the slowest stage here"
	}
}

// sure is the rate that a node with this path has shown: what was measured of
// the whole, or else what follows from the stages.
func (p *capacityPath) sure() float64 {
	if p.Measured > 0 {
		return p.Measured
	}
	return p.Slowest.Rate
}

func micro(us []float64) []float64 {
	out := make([]float64, len(us))
	for i, u := range us {
		out[i] = u / 1e6
	}
	return out
}
