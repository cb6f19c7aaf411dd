package main

import (
	"math"
	"slices"
)

// pool is all stages of one kind on a path. They share the records, so their
// rates add up.
type pool struct {
	Kind string  `json:"kind"`
	Rate float64 `json:"recordsPerSecond"` // 0: not known, or there is none
}

// bottleneck is the pool that a path waits for: the slowest. A path is as fast
// as that one, whatever the others could do. Pools without a rate are passed
// over; without any there is no answer.
func bottleneck(pools []pool) (slowest pool, ok bool) {
	for _, p := range pools {
		if p.Rate > 0 && (!ok || p.Rate < slowest.Rate) {
			slowest, ok = p, true
		}
	}
	return slowest, ok
}

// addUp is the rate of stages that work at the same time; 0 when that of any
// is not known.
func addUp(rates ...float64) float64 {
	sum := 0.0
	for _, r := range rates {
		if r <= 0 {
			return 0
		}
		sum += r
	}
	return sum
}

// inTurn is the rate of stages that take turns, each as often as the others.
func inTurn(rates ...float64) float64 {
	seconds := 0.0
	for _, r := range rates {
		if r <= 0 {
			return 0
		}
		seconds += 1 / r
	}
	if seconds == 0 {
		return 0
	}
	return float64(len(rates)) / seconds
}

// machine is how many records a second the cores can do that each cost so many
// seconds of one core; 0 when the cost is not known.
func machine(cores int, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(cores) / seconds
}

// chainCost is what a record costs on the whole path, from what it cost where
// each stage ran between the same cheap neighbours: the neighbours count once.
func chainCost(neighbours float64, stages ...float64) float64 {
	sum := neighbours
	for _, s := range stages {
		sum += max(s-neighbours, 0)
	}
	return sum
}

// waiting is how many times its service time a record is under way where a
// stage is busy for the share rho of the time and records come by chance
// (M/M/1). From 1 on the queue grows without end.
func waiting(rho float64) float64 {
	if rho >= 1 {
		return math.Inf(1)
	}
	return 1 / (1 - max(rho, 0))
}

// The shares of a stage's rate that it is planned for: the first leaves room
// for bursts, the second is the most that queueing allows.
const (
	calm = 0.7
	busy = 0.9
)

// headroom is what a stage of a rate carries when it is busy for a share of the
// time.
type headroom struct {
	Utilisation float64 `json:"utilisation"`
	PerSecond   float64 `json:"recordsPerSecond"`
	Waiting     float64 `json:"timesServiceTime"`
}

func headrooms(rate float64) []headroom {
	return []headroom{{calm, calm * rate, waiting(calm)}, {busy, busy * rate, waiting(busy)}}
}

// needed is how many stages that do one records a second each carry rate, none
// of them busier than rho; 0 when there is no answer.
func needed(rate, one, rho float64) int {
	if one <= 0 || rho <= 0 || rate < 0 {
		return 0
	}
	// What is whole but for the rounding of floats stays whole.
	n := math.Ceil(rate/(one*rho) - 1e-9)
	return int(min(max(n, 1), math.MaxInt32))
}

// The formulas of the article. Neither is a throughput: the first is a rate
// squared over a rate, the second a number of producers, and both grow without
// bound as what they divide by gets slower.

// articleFlume is channel x sink / source.
func articleFlume(channel, sink, source float64) (float64, bool) {
	if channel <= 0 || sink <= 0 || source <= 0 {
		return 0, false
	}
	return channel * sink / source, true
}

// articleKafka is partitions x broker / producer.
func articleKafka(partitions int, broker, producer float64) (float64, bool) {
	if partitions <= 0 || broker <= 0 || producer <= 0 {
		return 0, false
	}
	return float64(partitions) * broker / producer, true
}

// need is one line of the answer: how many of something.
type need struct {
	Path string  `json:"path"`
	What string  `json:"what"`
	One  float64 `json:"oneRecordsPerSecond"`
	Calm int     `json:"at70"` // 0: not known
	Busy int     `json:"at90"`
}

func needs(path, what string, rate, one float64) need {
	return need{path, what, one, needed(rate, one, calm), needed(rate, one, busy)}
}

// atLeast raises the numbers that are known.
func (n need) atLeast(calmest, busiest int) need {
	if n.Calm > 0 {
		n.Calm, n.Busy = max(n.Calm, calmest), max(n.Busy, busiest)
	}
	return n
}

// topicNeeds is what topics need for rate with replicas copies of each record.
// Every copy is written by some node, and a partition is read by one consumer
// of a group, so there are at least as many partitions as consumers.
func topicNeeds(path string, rate float64, replicas int, partition, node, producer, consumer float64) []need {
	consumers := needs(path, "consumers", rate, consumer)
	return []need{
		needs(path, "partitions", rate, partition).atLeast(consumers.Calm, consumers.Busy),
		needs(path, "producers", rate, producer),
		consumers,
		needs(path, "nodes", rate*float64(replicas), node).atLeast(replicas, replicas),
	}
}

// rateOf finds the rate of a kind.
func rateOf(pools []pool, kind string) float64 {
	if i := slices.IndexFunc(pools, func(p pool) bool { return p.Kind == kind }); i >= 0 {
		return pools[i].Rate
	}
	return 0
}
