package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/check"
)

// eos is a node with what is done to it.
type eos struct {
	t       *testing.T
	fault   eosFault
	node    *kafkaNode
	proxy   *check.Proxy
	clients string // where clients connect to

	ends  atomic.Int64  // EndTxn requests that were answered
	kicks chan struct{} // it is time for a fault
	quit  chan struct{}
	done  chan struct{}
	kills int
}

func newEOS(t *testing.T, f eosFault, seed uint64) *eos {
	t.Helper()
	e := &eos{t: t, fault: f, kicks: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if !f.proxied {
		e.node = newKafkaNode(t)
		e.clients = e.node.addr
		go e.disturb()
		return e
	}
	var node atomic.Pointer[kafkaNode]
	broker := func() string {
		if k := node.Load(); k != nil {
			return k.up()
		}
		return ""
	}
	p, err := check.NewProxy(broker, check.RandomPlan(seed, 12, 3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	e.proxy, e.clients = p, p.Addr()
	p.OnEnd = e.ended
	e.node = newKafkaNode(t, "--kafka-advertise", p.Addr(), "--allow-chaos")
	node.Store(e.node)
	p.Start()
	go e.disturb()
	return e
}

// ended is called when a transaction has ended.
func (e *eos) ended() {
	every := max(e.fault.killNode, e.fault.killActor)
	if n := e.ends.Add(1); every > 0 && n%int64(every) == 0 {
		select {
		case e.kicks <- struct{}{}:
		default: // one is at work
		}
	}
}

// disturb does the faults whose time has come.
func (e *eos) disturb() {
	defer close(e.done)
	for {
		select {
		case <-e.kicks:
		case <-e.quit:
			return
		}
		if e.fault.killNode > 0 {
			e.node.kill()
			e.node.start()
		} else {
			e.killCoordinators()
		}
		e.kills++
	}
}

// killCoordinators ends the actors that coordinate transactions, which start
// anew: one is killed and has to wait for it, the others do at once. Each is
// killed once only: an actor that fails again and again is given up in the end.
func (e *eos) killCoordinators() {
	var paths []string
	for path := range parts(e.t, e.node.data()) {
		if strings.Contains(path, "/txn/") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for i, path := range paths {
		verb := "restart"
		if i == e.kills {
			verb = "kill"
		}
		if _, errs, code := call(e.t, "actor", verb, path, "--server", e.node.data()); code != 0 {
			e.t.Errorf("actor %s %s: exit code %d: %s", verb, path, code, errs)
		}
	}
	if len(paths) == 0 {
		e.t.Error("no coordinator was found to kill")
	}
}

// calm ends the faults, when everything that was held back has been sent.
func (e *eos) calm() {
	close(e.quit)
	<-e.done
	if e.proxy != nil {
		e.proxy.Late()
	}
}

// faults says what was done.
func (e *eos) faults() string {
	if e.proxy == nil {
		return fmt.Sprintf("%d kills", e.kills)
	}
	p := e.proxy
	return fmt.Sprintf("%d kills, %d requests repeated, %d held back, %d answers swallowed, %d late ones answered",
		e.kills, p.Repeated.Load(), p.HeldBack.Load(), p.Swallowed.Load(), p.Sent.Load())
}
