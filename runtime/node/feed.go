package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/persistence/partitionlog"
)

// topics are those of the node, for its sinks.
type topics struct {
	n *Node

	mu   sync.Mutex
	next int64 // feeder
	left int   // of the block of numbers
}

var _ sink.Topics = (*topics)(nil)

// sinkTopics is what the sinks of the node's agents write to; nil without a port
// by which they could name it.
func (n *Node) sinkTopics() sink.Topics {
	if n.broker == nil || n.kafkaAddr == "" {
		return nil
	}
	return n.topics
}

// Here says whether every one of servers is the place where the node listens,
// or the one that it advertises.
func (t *topics) Here(servers string) bool {
	any := false
	for server := range strings.SplitSeq(servers, ",") {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		if any = samePlace(server, t.n.kafkaAddr) || samePlace(server, t.n.opt.Config.Kafka.Advertise); !any {
			return false
		}
	}
	return any
}

// samePlace says whether whoever connects to server reaches a listener at
// place on this machine.
func samePlace(server, place string) bool {
	host, port, err := net.SplitHostPort(server)
	at, atPort, err2 := net.SplitHostPort(place)
	if err != nil || err2 != nil || port != atPort {
		return false
	}
	if strings.EqualFold(host, at) || loopback(host) && loopback(at) {
		return true
	}
	if ip := net.ParseIP(at); at != "" && (ip == nil || !ip.IsUnspecified()) {
		return false
	}
	name, err := os.Hostname()
	return loopback(host) || err == nil && strings.EqualFold(host, name)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (t *topics) Topic(ctx context.Context, name string) (sink.Topic, error) {
	control := t.n.broker.Controller()
	is, ok := control.Image().Topic(name)
	if !ok {
		if err := t.make(ctx, name); err != nil {
			return sink.Topic{}, fmt.Errorf("topic %s: %w", name, err)
		}
		if is, ok = control.Image().Topic(name); !ok {
			return sink.Topic{}, fmt.Errorf("topic %s is not there yet", name)
		}
	}
	if is.Internal {
		return sink.Topic{}, fmt.Errorf("topic %s: %w: it is the node's own", name, sink.ErrNoTopic)
	}
	return sink.Topic{ID: is.ID, Partitions: int32(len(is.Partitions))}, nil
}

func (t *topics) make(ctx context.Context, name string) error {
	if err := controller.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", sink.ErrNoTopic, err)
	}
	if !t.n.autoCreate.Load() {
		return fmt.Errorf("it does not exist, and this node makes none by itself: sluice topic create %s, or start it with --auto-create-topics", name)
	}
	results, err := t.n.broker.Controller().CreateTopics(ctx, []controller.NewTopic{
		{Name: name, Partitions: int32(t.n.opt.Config.Kafka.NumPartitions), Factor: -1},
	}, false)
	if err != nil {
		return err
	}
	if _, there := t.n.broker.Controller().Image().Topic(name); results[0].Err != nil && !there {
		return results[0].Err
	}
	return t.n.broker.AwaitTopics(ctx, name)
}

func (t *topics) Partition(id partition.ID) (partition.Ref, error) { return t.n.broker.Partition(id) }

// Feeder takes numbers from the blocks of producer ids that the controller hands
// out; the rest of a block is given up when the node stops.
func (t *topics) Feeder(ctx context.Context) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 {
		first, n, err := t.n.broker.Controller().AllocateProducerIDs(ctx)
		if err != nil {
			return 0, err
		}
		t.next, t.left = first, n
	}
	number := t.next
	if partitionlog.IsFeeder(number) {
		return 0, fmt.Errorf("the producer ids are used up")
	}
	t.next++
	t.left--
	return number, nil
}
