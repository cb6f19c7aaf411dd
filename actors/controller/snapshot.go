package controller

import (
	"maps"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
)

// partChanges is how many changes one batch of a snapshot holds.
const partChanges = 1000

// changes are what leads from an empty image to i.
func (i *Image) changes() []change {
	list := []change{{Cluster: &clusterMade{i.ClusterID}}}
	for n := range i.Brokers {
		list = append(list, change{Broker: &i.Brokers[n]})
	}
	if len(i.features) > 0 {
		list = append(list, change{Features: i.features})
	}
	if i.producers > 0 {
		list = append(list, change{Producers: &producersGiven{i.producers}})
	}
	for _, t := range i.sorted {
		list = append(list, change{Topic: t.made()})
	}
	for r, values := range i.configs {
		list = append(list, change{Configs: &configsSet{r, values}})
	}
	for _, q := range i.Quotas() {
		list = append(list, change{Quota: &q})
	}
	for _, name := range slices.Sorted(maps.Keys(i.deployed)) {
		list = append(list, change{Deployed: &topologyDeployed{name, i.deployed[name]}})
	}
	return list
}

// made is t as it would be made now.
func (t *Topic) made() *topicMade {
	made := &topicMade{Name: t.Name, ID: t.ID, Configs: t.Configs, Ordered: t.Ordered}
	moved := false
	for _, p := range t.Partitions {
		made.Replicas, made.Epochs = append(made.Replicas, p.Replicas), append(made.Epochs, p.LeaderEpoch)
		moved = moved || p.LeaderEpoch != 0
	}
	if !moved {
		made.Epochs = nil
	}
	return made
}

// snapshot is i in batches.
func (i *Image) snapshot(now int64) ([][]byte, error) {
	var batches [][]byte
	all := i.changes()
	of := (len(all) + partChanges - 1) / partChanges
	for part := range slices.Chunk(all, partChanges) {
		head := change{Snapshot: &snapshotPart{len(batches), of}}
		batch, err := encode(append([]change{head}, part...), now)
		if err != nil {
			return nil, err
		}
		batches = append(batches, batch)
	}
	return batches, nil
}

// replay makes an image of a log. A snapshot that is whole takes the place of
// all that stands before it; one that a crash cut off is as if it were not there.
type replay struct {
	now *edit
	// fresh is the snapshot that is being read, nil when there is none, part the
	// next of its parts, base where it begins.
	fresh *edit
	part  int
	base  record.Offset
	// snapshot is where the last whole one begins; -1 without one. size is its
	// bytes, since those of what came behind it.
	snapshot    record.Offset
	size, since int
}

func newReplay() *replay { return &replay{now: newEdit(emptyImage()), snapshot: -1} }

// add applies one batch.
func (r *replay) add(b record.Batch) error {
	list, err := decode(b)
	if err != nil {
		return err
	}
	r.now.image.Epoch = b.LastOffset() + 1
	if len(list) == 0 || list[0].Snapshot == nil {
		r.fresh = nil
		r.since += len(b)
		for _, c := range list {
			r.now.apply(c)
		}
		return nil
	}
	head := list[0].Snapshot
	if head.Part == 0 {
		r.fresh, r.part, r.base, r.size = newEdit(emptyImage()), 0, b.BaseOffset(), 0
	}
	if r.fresh == nil || head.Part != r.part {
		r.fresh = nil // the rest of one that was cut off
		return nil
	}
	r.part++
	r.size += len(b)
	for _, c := range list[1:] {
		r.fresh.apply(c)
	}
	if r.part == head.Of {
		r.fresh.image.Epoch = r.now.image.Epoch
		r.now, r.fresh, r.snapshot, r.since = r.fresh, nil, r.base, 0
	}
	return nil
}
