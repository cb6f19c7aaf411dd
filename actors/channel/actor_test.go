package channel_test

import (
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/persistence"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

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

// A spillablememory channel is a log under the lazy policy.
func TestTheSpillableMemoryChannelKeepsItsPromises(t *testing.T) {
	channeltest.Run(t, channeltest.Subject{Durable: true, Spec: func(n *channeltest.Node, name string, capacity int) *channel.Spec {
		return &channel.Spec{Agent: "a1", Name: name, Capacity: capacity, Log: n.OpenLog(name, persistence.Interval(time.Second))}
	}})
}
