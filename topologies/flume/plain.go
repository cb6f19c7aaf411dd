package flume

import "github.com/sluicehq/sluice/topologies"

// Properties reads a plain file of Java properties, such as a Kafka client's.
// The first fault of severity Error means that a part of it could not be read.
func Properties(file string, data []byte) ([]Property, []topologies.Fault) {
	l := parse(file, data, nil, keysMax)
	out := make([]Property, 0, len(l.out))
	for _, p := range l.out {
		out = append(out, Property{p.key.s, p.value.s, p.key.pos(0), p.comments})
	}
	return out, l.faults
}
