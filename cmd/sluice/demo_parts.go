package main

import (
	"strings"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
)

// victim is a part that was killed and has not come back yet.
type victim struct {
	path     string
	at       time.Time
	restarts int64
}

// kill makes the next of the parts fail: one of the agent's, one of the topic's,
// in turn.
func (d *demo) kill() {
	if d.watched != nil {
		return // one at a time, so that the line about its return is its own
	}
	if d.victims == nil {
		d.victims = parts(d.process.node.ActorTree())
	}
	if len(d.victims) == 0 {
		return
	}
	path := d.victims[d.kills%len(d.victims)]
	before, err := d.process.node.InspectActor(path)
	if err == nil {
		err = d.process.node.KillActor(path)
	}
	if err != nil {
		d.out.line("  could not kill %s: %v", path, err)
		return
	}
	d.kills++
	d.watched = &victim{path: path, at: time.Now(), restarts: before.Restarts}
	d.out.line("  killed %s", path)
}

// parts are the paths of the agent's sinks, sources and channels, each with a
// partition of the topic behind it.
func parts(tree admin.ActorNode) []string {
	var ours, topics []string
	for _, kind := range []string{"sink", "source", "channel", "partition"} {
		tree.Walk(func(n admin.ActorNode, _ int) {
			switch {
			case n.Kind != kind:
			case kind != "partition":
				ours = append(ours, n.Path)
			case strings.HasPrefix(n.Name, demoTopic+"-"):
				topics = append(topics, n.Path)
			}
		})
	}
	var mixed []string
	for i := range max(len(ours), len(topics)) {
		if i < len(ours) {
			mixed = append(mixed, ours[i])
		}
		if i < len(topics) {
			mixed = append(mixed, topics[i])
		}
	}
	return mixed
}

// lookForVictim says when what was killed runs again.
func (d *demo) lookForVictim() {
	if d.watched == nil {
		return
	}
	n, err := d.process.node.InspectActor(d.watched.path)
	if err != nil || n.State != agent.Running || n.Restarts == d.watched.restarts {
		return
	}
	d.out.line("  %s is back after %d ms", d.watched.path, time.Since(d.watched.at).Milliseconds())
	d.back++
	d.watched = nil
}
