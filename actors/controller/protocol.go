package controller

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/persistence/record"
)

// ErrNotController says that this node does not change the metadata now.
var ErrNotController = errors.New("this node is not the controller")

// ErrOutcomeUnknown is in the error of an append of which the log cannot say
// whether it will be there.
var ErrOutcomeUnknown = errors.New("whether the change was made is not known")

// Refusal is why a part of a request is refused, with Kafka's code for it.
type Refusal struct {
	Code *kerr.Error
	Why  string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code.Message, r.Why) }

// Unwrap is Kafka's error.
func (r *Refusal) Unwrap() error { return r.Code }

func refuse(code *kerr.Error, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Changed says what became of each part of a request, in its order. Err says
// why nothing at all was changed.
type Changed struct {
	Results []Result
	Err     error
}

// Result is what became of one part of a request.
type Result struct {
	// Topic is the topic made, changed or deleted; also where it was only
	// checked whether it could be.
	Topic *Topic
	First int64 // the first of the producer ids handed out
	Count int   // how many they are
	Err   error // usually a *Refusal
}

// CreateTopics asks for new topics. ValidateOnly changes nothing.
// From broker. Answered by Changed.
type CreateTopics struct {
	Topics       []NewTopic
	ValidateOnly bool
}

// NewTopic is a topic as it is asked for.
type NewTopic struct {
	Name string
	// Partitions and Factor are -1 for the defaults, and where Replicas says
	// more.
	Partitions int32
	Factor     int16
	// Replicas are the brokers of each partition by its index; nil leaves it to
	// the controller.
	Replicas map[int32][]int32
	// Configs may hold nil, which is refused.
	Configs map[string]*string
	Ordered bool
}

// DeleteTopics asks for topics to be deleted, with all their records.
// From broker. Answered by Changed.
type DeleteTopics struct{ Topics []TopicRef }

// TopicRef names a topic by its name or by its id, not by both.
type TopicRef struct {
	Name string
	ID   TopicID
}

// CreatePartitions asks for topics to have more partitions. Records stay where
// they are.
// From broker. Answered by Changed.
type CreatePartitions struct {
	Topics       []MorePartitions
	ValidateOnly bool
}

// MorePartitions is how many partitions a topic shall have.
type MorePartitions struct {
	Name  string
	Count int32 // in all
	// Replicas are the brokers of each new partition; nil leaves it to the
	// controller.
	Replicas [][]int32
}

// MoveReplicas asks for partitions to be on other brokers.
// From broker. Answered by Changed.
type MoveReplicas struct{ Partitions []Placement }

// Placement is where a partition shall be.
type Placement struct {
	Topic    string
	Index    int32
	Replicas []int32 // nil takes back a move that is under way
}

// AlterConfigs asks for configs of resources to be changed. ValidateOnly
// changes nothing.
// From broker. Answered by Changed.
type AlterConfigs struct {
	Resources    []Alteration
	ValidateOnly bool
}

// Alteration is what changes in the configs of one resource.
type Alteration struct {
	Resource
	// Full says that what is not named goes back to its default.
	Full bool
	Ops  []ConfigOp
}

// Op is what is done with a config.
type Op int8

// The operations, with Kafka's numbers.
const (
	Set Op = iota
	Delete
	Add    // members to a list
	Remove // members from a list
)

// ConfigOp is what is done with one config.
type ConfigOp struct {
	Name  string
	Op    Op
	Value *string
}

// AlterQuotas asks for quotas to be changed. ValidateOnly changes nothing.
// From broker. Answered by Changed.
type AlterQuotas struct {
	Quotas       []QuotaAlteration
	ValidateOnly bool
}

// QuotaAlteration is what changes for one kind of client; nil removes a value.
type QuotaAlteration struct {
	Entity []QuotaEntity
	Values map[string]*float64
	// Twice is a value that the request names more than once, "" without one.
	Twice string
}

// UpdateFeatures asks for features to be finalized at other levels: all of them
// or none. ValidateOnly changes nothing.
// From broker. Answered by Changed.
type UpdateFeatures struct {
	Features     []FeatureLevel
	ValidateOnly bool
}

// FeatureLevel is the level that a feature shall have; 0 switches it off.
type FeatureLevel struct {
	Name  string
	Level int16
	// Down allows a level below the one it has.
	Down bool
}

// AllocateProducers asks for a block of producer ids that nobody else gets.
// From txn. Answered by Changed.
type AllocateProducers struct{}

// RegisterBroker tells how clients reach a node, and makes the cluster on its
// first start. Without a host the place that is known stays.
// From broker. Answered by Changed.
type RegisterBroker struct{ Broker Broker }

// DeployTopology keeps the definition of a topology, or forgets it when there
// is no text.
// From broker. Answered by Changed.
type DeployTopology struct{ Name, Text string }

// loaded is what the log amounts to when the actor starts.
type loaded struct {
	life int
	r    *replay
	err  error
}

// committed says that a batch is safe, or why it is not. end is the offset
// behind it. A batch without a group is part of a snapshot, and end where the
// first one begins.
type committed struct {
	life  int
	group *group
	end   record.Offset
	err   error
}
