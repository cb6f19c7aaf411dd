package group

import (
	"iter"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client is who sends a request.
type Client struct {
	ID, Host                  string
	Software, SoftwareVersion string
	Principal                 string
}

// Request is a request of Kafka's own to a coordinator. Done is called exactly
// once, from any goroutine, possibly much later: JoinGroup and SyncGroup wait
// for other members. It must not block.
type Request struct {
	Client Client
	Body   kmsg.Request
	Done   func(kmsg.Response)
}

// Arrived says that there is something in the coordinator's inbox. It carries
// nothing itself: what stands in a mailbox is gone when its actor stops.
// From broker. Not answered.
type Arrived struct{}

// TopicID is the identity of a topic, which outlives no deletion.
type TopicID = [16]byte

// Topic is what a coordinator must know of a topic.
type Topic struct {
	Name       string
	ID         TopicID
	Partitions int32
	Internal   bool
}

// World is what a coordinator knows of the cluster. A world never changes;
// another one takes its place.
type World interface {
	Topic(name string) (Topic, bool)
	TopicByID(id TopicID) (Topic, bool)
	Topics() iter.Seq[Topic]
	// GroupConfig is a setting of the group by Kafka's name for it, where one is
	// set.
	GroupConfig(group, name string) (value string, set bool)
}

// Marker says that a transaction of Producer has ended, as the log of the
// coordinator tells.
type Marker struct {
	Producer int64
	Commit   bool
}

// Tick says that time has passed.
type Tick struct{}
