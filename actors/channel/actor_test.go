package channel_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/persistence"
)

func memory(_ *channeltest.Node, name string, capacity int) *channel.Spec {
	return &channel.Spec{Agent: "a1", Name: name, Capacity: capacity}
}

func file(n *channeltest.Node, name string, capacity int) *channel.Spec {
	return &channel.Spec{Agent: "a1", Name: name, Capacity: capacity, Log: n.OpenLog(name, persistence.Always)}
}

func TestTheMemoryChannelKeepsItsPromises(t *testing.T) {
	channeltest.Run(t, channeltest.Subject{Spec: memory})
}

func TestTheFileChannelKeepsItsPromises(t *testing.T) {
	channeltest.Run(t, channeltest.Subject{Spec: file, Durable: true})
}

// What does not fit the window is read from the log when its turn comes.
func TestTheFileChannelKeepsItsPromisesWithoutMemory(t *testing.T) {
	channeltest.Run(t, channeltest.Subject{Durable: true, Spec: func(n *channeltest.Node, name string, capacity int) *channel.Spec {
		spec := file(n, name, capacity)
		spec.Window = 1
		return spec
	}})
}

// An agent that fails takes its channels with it and spawns them anew. What was
// on its way to the disk then settles its batches all the same: their source
// reads on only when they are.
func TestWhatIsWrittenCountsThoughItsChannelIsGone(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := channeltest.Open(t, dir)
		defer n.Close()
		spec := memory(n, "c1", 1000)
		spec.Store = n.Store
		var settled atomic.Int64
		for round := range 30 {
			c, err := channel.Spawn(n.Root(), n.Tree, spec)
			if err != nil {
				t.Fatal(err)
			}
			k := n.Sink("k1", c)
			key := persistence.KV{Key: persistence.CheckpointKey("a1", "r1", "c1", "p/s"), Value: []byte{byte(round)}}
			mark := &channel.Mark{Settled: func(uint64) { settled.Add(1) }, Key: key}
			share := channel.Share{To: c, Batch: channeltest.Batch("x"), Mark: mark}
			if err := n.PutShares(t.Context(), []channel.Share{share}, 0); err != nil {
				t.Fatal(err)
			}
			n.Store.Submit(&persistence.Write{ // so that the disk has something to do
				Sets: []persistence.KV{{Key: persistence.ChannelKey("a1", "c2", "x"), Value: make([]byte, 400<<10)}},
				Done: func(error) {},
			})
			for left := n.Inspect(c).Held; left > 0; left-- {
				l, _ := k.Take(1)
				a := ask.NewAsker(n.System)
				defer a.Close()
				c.BeginCommit(a, &channel.Commit{Life: l.Life, Leases: []uint64{l.ID}})
			}
			if round%2 == 0 {
				n.Inspect(c) // the commits have come, and are perhaps written
			}
			k.Close()
			n.Stop(c.PID())
			synctest.Wait() // until all of it is on the disk, and nobody was there to hear it
		}
		c := n.Spawn(spec)
		k := n.Sink("k1", c)
		defer k.Close()
		k.TakeAll(int(n.Inspect(c).Held), 10)
		synctest.Wait()
		if got := settled.Load(); got != 30 {
			t.Errorf("%d of 30 batches are settled", got)
		}
	})
}

// A spillablememory channel is a log under the lazy policy.
func TestTheSpillableMemoryChannelKeepsItsPromises(t *testing.T) {
	channeltest.Run(t, channeltest.Subject{Durable: true, Spec: func(n *channeltest.Node, name string, capacity int) *channel.Spec {
		return &channel.Spec{Agent: "a1", Name: name, Capacity: capacity, Log: n.OpenLog(name, persistence.Interval(time.Second))}
	}})
}
