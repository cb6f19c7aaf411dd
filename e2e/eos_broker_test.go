package e2e

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/e2e/check"
)

// kafkaNode is a node that serves Kafka's protocol on one address over all its
// runs.
type kafkaNode struct {
	t    *testing.T
	dir  string
	addr string
	args []string

	mu  sync.Mutex
	run *node // nil between two runs
}

// newKafkaNode starts a node on a free port. args are added to those of serve.
func newKafkaNode(t *testing.T, args ...string) *kafkaNode {
	t.Helper()
	k := &kafkaNode{t: t, dir: workDir(t), addr: freeAddr(t), args: args}
	k.start()
	return k
}

// newNodeBehindADoor starts a node that clients reach through a proxy, at door,
// which stays when the node goes.
func newNodeBehindADoor(t *testing.T, args ...string) (k *kafkaNode, door string) {
	t.Helper()
	p, err := check.NewProxy(func() string { return k.up() }, check.NoTricks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Patient = true
	k = newKafkaNode(t, append(args, "--kafka-advertise", p.Addr())...)
	p.Start()
	return k, p.Addr()
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (k *kafkaNode) start() {
	k.t.Helper()
	args := append([]string{"serve", "--data", k.data(), "--kafka", k.addr, "--http", "127.0.0.1:0", "--ready-json"}, k.args...)
	n := start(k.t, filepath.Join(k.dir, "stderr"), command(nil, args...))
	n.mustBeReady()
	k.mu.Lock()
	k.run = n
	k.mu.Unlock()
}

func (k *kafkaNode) data() string { return filepath.Join(k.dir, "data") }

// kill ends the run at once: kill -9.
func (k *kafkaNode) kill() {
	k.mu.Lock()
	n := k.run
	k.run = nil
	k.mu.Unlock()
	n.kill()
}

// up is the address while the node runs, else "".
func (k *kafkaNode) up() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.run == nil {
		return ""
	}
	return k.addr
}

// stop has the node end in order.
func (k *kafkaNode) stop() {
	k.t.Helper()
	k.mu.Lock()
	n := k.run
	k.run = nil
	k.mu.Unlock()
	n.stop()
}

// messages are the last lines that the node wrote.
func (k *kafkaNode) messages() string { return lastLines(filepath.Join(k.dir, "stderr"), 40) }

// createTopic makes a topic, by Kafka's protocol.
func (k *kafkaNode) createTopic(name string, partitions int32) {
	k.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		k.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(k.t.Context(), stillMax)
	defer cancel()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name); err != nil {
		k.t.Fatalf("create topic %s: %v\n%s", name, err, k.messages())
	}
}

// killer kills the node again and again, and starts it on the same data.
type killer struct {
	node  *kafkaNode
	stop  chan struct{}
	done  chan struct{}
	kills int
}

// killLoop kills the node times times, each time after it has run for a while.
func (k *kafkaNode) killLoop(times int, pause func() time.Duration) *killer {
	l := &killer{node: k, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for l.kills < times {
			select {
			case <-time.After(pause()):
			case <-l.stop:
				return
			}
			k.kill()
			l.kills++
			k.start()
		}
	}()
	return l
}

// end lets the node run from now on, and says how often it was killed.
func (l *killer) end() int {
	close(l.stop)
	<-l.done
	return l.kills
}
