package flume

import "github.com/sluicehq/sluice/topologies"

func (r *reader) build(a *agent, s survivors) (topologies.Agent, bool) {
	return topologies.Agent{Name: a.name}, s.valid
}
