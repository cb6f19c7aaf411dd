package source

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupOffsets keeps a consumer group's offsets and the checkpoints in step.
//
// The checkpoint moves with the channel's put, the group's offset behind it. So
// a restart finds the group's offset at what was committed last, or at the one
// before, and goes on at the checkpoint. Anything else in the group means that
// somebody moved it, another member or a person, and then that holds.
type groupOffsets struct {
	log    *slog.Logger
	file   string
	stored map[string][]Checkpoint
	wake   chan struct{}
	ended  <-chan struct{} // the source is stopped: nothing is waited for

	mu      sync.Mutex
	owned   map[string]bool            // streams that the group has given us
	emitted map[string]int64           // by stream, and not yet settled
	calmed  chan struct{}              // closed when nothing is on its way any more; nil: nobody waits
	settled map[string]map[int32]int64 // to be committed
	ours    map[string]commitment      // by stream, as file has it
}

// commitment is what this source may have committed of a stream.
type commitment struct {
	Before int64 `json:"before"` // known to be in the group; -1: nothing
	Now    int64 `json:"now"`    // perhaps in the group
}

const (
	commitMax = 10 * time.Second
	// revokeMax is how long a rebalance waits for what is on its way: what is
	// not settled then, the next member reads again.
	revokeMax = 5 * time.Second
)

func (g *groupOffsets) init(env Env) {
	g.log, g.stored, g.file = env.Log, env.Checkpoints, filepath.Join(env.Dir, "committed.json")
	g.wake = make(chan struct{}, 1)
	g.owned, g.emitted = map[string]bool{}, map[string]int64{}
	g.settled, g.ours = map[string]map[int32]int64{}, map[string]commitment{}
	text, err := os.ReadFile(g.file)
	if err == nil {
		err = json.Unmarshal(text, &g.ours)
	}
	if err != nil && !os.IsNotExist(err) {
		g.log.Warn("what was committed last is not known; the group's offsets hold", "file", g.file, "err", err)
	}
}

// stream names a partition in checkpoints: "orders/3". A topic's name has no
// slash.
func stream(topic string, partition int32) string {
	return topic + "/" + strconv.Itoa(int(partition))
}

func ofStream(s string) (topic string, partition int32, ok bool) {
	topic, text, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(text, 10, 32)
	return topic, int32(n), ok && err == nil
}

// resume sets where the partitions begin that the group has given us.
func (g *groupOffsets) resume(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, parts := range offsets {
		for p, at := range parts {
			name, group := stream(topic, p), max(at.EpochOffset().Offset, -1)
			g.owned[name] = true
			c, known := g.ours[name]
			if !known {
				c = commitment{-1, -1}
			}
			untouched := group == c.Before || group == c.Now
			g.ours[name] = commitment{group, group}
			if stored := g.stored[name]; len(stored) > 0 && untouched && int64(stored[0].Pos) > group {
				parts[p] = kgo.NewOffset().At(int64(stored[0].Pos))
			} else if len(stored) > 0 && !untouched {
				g.log.Info("the group's offset was moved since our last commit; it holds", "partition", name, "offset", group, "checkpoint", stored[0].Pos)
				delete(g.stored, name)
			}
		}
	}
	return offsets, nil
}

// cut is how many of records may go in one batch: none beyond a position that
// some channel has already reached, so that the channel can skip whole batches.
func (g *groupOffsets) cut(topic string, partition int32, records []*kgo.Record) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.stored[stream(topic, partition)] {
		if records[0].Offset < int64(c.Pos) {
			for i, r := range records {
				if r.Offset >= int64(c.Pos) {
					return i
				}
			}
			break
		}
	}
	return len(records)
}

func (g *groupOffsets) emitting(topic string, partition int32, next int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.emitted[stream(topic, partition)] = next
}

func (g *groupOffsets) settle(at Checkpoint) {
	topic, partition, ok := ofStream(at.Stream)
	g.mu.Lock()
	if g.emitted[at.Stream] <= int64(at.Pos) {
		delete(g.emitted, at.Stream)
	}
	if len(g.emitted) == 0 && g.calmed != nil {
		close(g.calmed)
		g.calmed = nil
	}
	if ok && g.owned[at.Stream] {
		if g.settled[topic] == nil {
			g.settled[topic] = map[int32]int64{}
		}
		g.settled[topic][partition] = int64(at.Pos)
	}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// revoked commits what is settled of partitions that go to another member.
func (g *groupOffsets) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	g.calm(ctx)
	if err := g.commit(client); err != nil {
		g.log.Warn("offsets are not committed before a rebalance; another member may repeat records", "err", err)
	}
	g.forget(gone)
}

// calm waits until everything emitted is settled, but not for long.
func (g *groupOffsets) calm(ctx context.Context) {
	g.mu.Lock()
	wait := make(chan struct{})
	if g.calmed = wait; len(g.emitted) == 0 {
		g.calmed = nil
		close(wait)
	}
	g.mu.Unlock()
	select {
	case <-wait:
	case <-g.ended:
	case <-ctx.Done():
	case <-time.After(revokeMax):
	}
}

// lost forgets partitions that another member has already.
func (g *groupOffsets) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	g.forget(gone)
}

func (g *groupOffsets) forget(gone map[string][]int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, parts := range gone {
		for _, p := range parts {
			delete(g.owned, stream(topic, p))
			delete(g.emitted, stream(topic, p))
			delete(g.settled[topic], p)
		}
	}
}

// commits commits what is settled, one commit after the other, until stop.
func (g *groupOffsets) commits(client *kgo.Client, stop <-chan struct{}) {
	for stopping := false; !stopping; {
		select {
		case <-stop:
			stopping = true
		case <-g.wake:
		}
		if err := g.commit(client); err != nil {
			// The next commit takes its place; until then a restart goes on at
			// the checkpoint.
			g.log.Warn("offsets are not committed to the group yet", "err", err)
		}
	}
}

// commit commits what is settled. It is written down first: a crash between the
// two must not make our own commit look like somebody else's.
func (g *groupOffsets) commit(client *kgo.Client) error {
	to, err := g.prepare()
	if err != nil || len(to) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitMax)
	defer cancel()
	client.CommitOffsetsSync(ctx, to, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, failed error) {
		if err = failed; err == nil && answer != nil {
			err = g.committed(to, answer)
		}
	})
	return err
}

// prepare takes what is settled and writes down that it is going to be committed.
func (g *groupOffsets) prepare() (map[string]map[int32]kgo.EpochOffset, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := map[string]map[int32]kgo.EpochOffset{}
	for topic, parts := range g.settled {
		for p, o := range parts {
			if to[topic] == nil {
				to[topic] = map[int32]kgo.EpochOffset{}
			}
			to[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: o}
			c, known := g.ours[stream(topic, p)]
			if !known {
				c.Before = -1
			}
			g.ours[stream(topic, p)] = commitment{c.Before, o}
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	g.settled = map[string]map[int32]int64{}
	text, err := json.Marshal(g.ours)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(g.file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(g.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(g.file+".new", g.file)
	}
	return to, err
}

// committed notes what the group has taken, and answers the first refusal.
func (g *groupOffsets) committed(to map[string]map[int32]kgo.EpochOffset, answer *kmsg.OffsetCommitResponse) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if code := kerr.ErrorForCode(p.ErrorCode); code != nil {
				if err == nil {
					err = fmt.Errorf("commit %s: %w", stream(t.Topic, p.Partition), code)
				}
				continue
			}
			o := to[t.Topic][p.Partition].Offset
			c := g.ours[stream(t.Topic, p.Partition)]
			c.Before = o
			g.ours[stream(t.Topic, p.Partition)] = c
		}
	}
	return err
}
