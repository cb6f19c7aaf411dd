package agent

import "time"

// State is how a part of an agent is doing.
type State string

// The states of a part.
const (
	Starting State = "STARTING"
	Running  State = "RUNNING"
	Backoff  State = "BACKOFF" // failed, comes back at a later time
	Failed   State = "FAILED"  // failed and given up
	Stopping State = "STOPPING"
	Stopped  State = "STOPPED" // stopped on purpose
	Done     State = "DONE"    // a source that has nothing more to read
)

// Status is what one agent is doing at one moment. Counts are since the agent
// was started, unless a field says otherwise.
type Status struct {
	Name     string          `json:"name"`
	Topology string          `json:"topology"` // the definition it was deployed with
	State    State           `json:"state"`
	Started  time.Time       `json:"started"`
	Sources  []SourceStatus  `json:"sources"`
	Channels []ChannelStatus `json:"channels"`
	Sinks    []SinkStatus    `json:"sinks"`
	Ledger   Ledger          `json:"ledger"`
}

// Part is what sources, channels and sinks have in common.
type Part struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"` // the name in topologies/kinds
	State    State     `json:"state"`
	Reason   string    `json:"reason,omitempty"` // why it is not running, or what it waits for
	Since    time.Time `json:"since"`            // of State
	Started  time.Time `json:"started"`          // the latest start
	Stopped  time.Time `json:"stopped,omitzero"` // zero while it runs
	Restarts int64     `json:"restarts"`
	Failure  string    `json:"failure,omitempty"` // the last failure, kept after it has come back
	Mailbox  int       `json:"mailbox"`           // messages waiting
	Ledger   Ledger    `json:"ledger"`            // of this part alone
}

// SourceStatus is a source with its counters.
type SourceStatus struct {
	Part
	Channels []string     `json:"channels"`
	Counts   SourceCounts `json:"counts"`
	// Dropped are records that a rule left out, by the rule: an interceptor's
	// name, "selector", "optional channel c2".
	Dropped map[string]int64 `json:"dropped,omitempty"`
}

// SourceCounts are source.Counters at one moment.
type SourceCounts struct {
	EventReceived         int64 `json:"eventReceived"`
	EventAccepted         int64 `json:"eventAccepted"`
	AppendReceived        int64 `json:"appendReceived"`
	AppendAccepted        int64 `json:"appendAccepted"`
	AppendBatchReceived   int64 `json:"appendBatchReceived"`
	AppendBatchAccepted   int64 `json:"appendBatchAccepted"`
	OpenConnections       int64 `json:"openConnections"`
	EventReadFail         int64 `json:"eventReadFail"`
	ChannelWriteFail      int64 `json:"channelWriteFail"`
	GenericProcessingFail int64 `json:"genericProcessingFail"`
	Malformed             int64 `json:"malformed"`
	Truncated             int64 `json:"truncated"`
	Lost                  int64 `json:"lost"` // known to be lost: udp, exec
}

// ChannelStatus is a channel with its fill and its counters.
type ChannelStatus struct {
	Part
	Durable      bool  `json:"durable"`
	Size         int64 `json:"size"`     // events held, leased ones included
	Capacity     int64 `json:"capacity"` // events; 0 is without bound
	Bytes        int64 `json:"bytes"`
	ByteCapacity int64 `json:"byteCapacity"` // 0 is without bound
	OldestMs     int64 `json:"oldestMs"`     // age of the oldest event held; 0 when empty

	PutAttempt  int64 `json:"putAttempt"` // events
	PutSuccess  int64 `json:"putSuccess"`
	PutError    int64 `json:"putError"` // transactions
	TakeAttempt int64 `json:"takeAttempt"`
	TakeSuccess int64 `json:"takeSuccess"` // events committed by sinks
	TakeError   int64 `json:"takeError"`   // transactions rolled back
}

// SinkStatus is a sink with its counters.
type SinkStatus struct {
	Part
	Channel string     `json:"channel"`
	Group   string     `json:"group,omitempty"`
	Counts  SinkCounts `json:"counts"`
	// Failed counts events of failed deliveries, DeadLetters records given up,
	// both by reason.
	Failed      map[string]int64 `json:"failed,omitempty"`
	DeadLetters map[string]int64 `json:"deadLetters,omitempty"`
}

// SinkCounts are sink.Counters at one moment.
type SinkCounts struct {
	ConnectionCreated int64 `json:"connectionCreated"`
	ConnectionClosed  int64 `json:"connectionClosed"`
	ConnectionFailed  int64 `json:"connectionFailed"`
	BatchEmpty        int64 `json:"batchEmpty"`
	BatchUnderflow    int64 `json:"batchUnderflow"`
	BatchComplete     int64 `json:"batchComplete"`
	EventDrainAttempt int64 `json:"eventDrainAttempt"`
	EventDrainSuccess int64 `json:"eventDrainSuccess"`
	EventWriteFail    int64 `json:"eventWriteFail"`
	ChannelReadFail   int64 `json:"channelReadFail"`
	BytesWrote        int64 `json:"bytesWrote"`
	TimestampMissing  int64 `json:"timestampMissing"`
}

// Ledger says where every event went. The agent's adds up its parts: an event
// that a selector sends to three channels counts as received once and as copied
// twice, so that each copy has its own end.
type Ledger struct {
	Received     int64 `json:"received"`
	Copied       int64 `json:"copied"`  // further copies for further channels
	Carried      int64 `json:"carried"` // held from an earlier run when this one began
	Delivered    int64 `json:"delivered"`
	Held         int64 `json:"held"`    // in a channel, or on the way to one
	Dropped      int64 `json:"dropped"` // by a rule that the user wrote
	DeadLettered int64 `json:"deadLettered"`
	// Unaccounted is what came in less what the others explain: 0, or
	// something is wrong. Filled by Settle.
	Unaccounted int64 `json:"unaccounted"`
}

// Settle fills Unaccounted from the other fields.
func (l *Ledger) Settle() {
	l.Unaccounted = l.Received + l.Copied + l.Carried -
		l.Delivered - l.Held - l.Dropped - l.DeadLettered
}

// Add adds other to l, field by field.
func (l *Ledger) Add(other Ledger) {
	l.Received += other.Received
	l.Copied += other.Copied
	l.Carried += other.Carried
	l.Delivered += other.Delivered
	l.Held += other.Held
	l.Dropped += other.Dropped
	l.DeadLettered += other.DeadLettered
	l.Unaccounted += other.Unaccounted
}
