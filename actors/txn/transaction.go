package txn

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// State is where a transactional id is on its way. The numbers are Kafka's, and
// are on disk.
type State int8

// The states. Once a Prepare state is on disk the outcome is decided: whatever
// happens, the markers of that outcome are written and the Complete state follows.
const (
	Empty          State = 0
	Ongoing        State = 1
	PrepareCommit  State = 2
	PrepareAbort   State = 3
	CompleteCommit State = 4
	CompleteAbort  State = 5
	Dead           State = 6 // about to be forgotten; only ever on its way to the disk
	// PrepareEpochFence is an Ongoing transaction that is being aborted by somebody
	// other than its producer; never on disk, PrepareAbort follows at once.
	PrepareEpochFence State = 7
)

var stateNames = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

func (s State) String() string { return stateNames[s] }

// Deciding says that the outcome is decided and its markers are being written.
func (s State) Deciding() bool { return s == PrepareCommit || s == PrepareAbort }

// idle says that no transaction is under way.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }

const (
	noProducer int64 = -1
	noEpoch    int16 = -1
	// epochEnd is the first epoch that is not handed out: it is left for the
	// markers of the last transaction of a producer id.
	epochEnd = math.MaxInt16

	// versionBumps is the first version of transactions in which every
	// transaction has an epoch of its own (KIP-890).
	versionBumps = 2
)

// exhausted says that no producer may be given an epoch above e.
func exhausted(e int16) bool { return e >= epochEnd-1 }

// value is what the log says about a transactional id.
type value struct {
	producer int64
	previous int64 // the producer id before a change of ids, or -1
	next     int64 // the producer id that follows when the markers are written, or -1
	epoch    int16 // of producer; -1 as long as nobody has been given one
	last     int16 // the epoch before, when the same producer had it; or -1
	timeout  int32 // ms
	state    State
	version  int16 // of transactions, as the client uses them
	// partitions are those of the transaction, in order.
	partitions []Partition
	started    int64 // ms; -1 without a transaction
	updated    int64 // ms
}

func compare(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}

func (v *value) has(p Partition) bool {
	_, found := slices.BinarySearchFunc(v.partitions, p, compare)
	return found
}

func (v *value) hasAll(list []Partition) bool {
	return !slices.ContainsFunc(list, func(p Partition) bool { return !v.has(p) })
}

// with is the partitions and those of list, each once and in order.
func (v *value) with(list []Partition) []Partition {
	all := slices.Concat(v.partitions, list)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

// tagLastEpoch is a field of ours in Kafka's value, which others skip. Without
// it a producer whose epoch was bumped just before a crash, and who never got
// the answer, could not ask again.
const tagLastEpoch = 1000

const keyVersion = 0

func encodeKey(id string) []byte {
	k := kmsg.TxnMetadataKey{Version: keyVersion, TransactionalID: id}
	return k.AppendTo(nil)
}

func (v *value) encode() []byte {
	m := kmsg.NewTxnMetadataValue()
	m.Version = 1
	m.ProducerID, m.PreviousProducerID, m.NextProducerID = v.producer, v.previous, v.next
	m.ProducerEpoch, m.TimeoutMillis, m.State = v.epoch, v.timeout, kmsg.TransactionState(v.state)
	m.LastUpdateTimestamp, m.StartTimestamp, m.ClientTransactionVersion = v.updated, v.started, v.version
	for i, p := range v.partitions {
		if i == 0 || v.partitions[i-1].Topic != p.Topic {
			m.Topics = append(m.Topics, kmsg.TxnMetadataValueTopic{Topic: p.Topic})
		}
		t := &m.Topics[len(m.Topics)-1]
		t.Partitions = append(t.Partitions, p.Index)
	}
	if v.last != noEpoch {
		m.UnknownTags.Set(tagLastEpoch, binary.BigEndian.AppendUint16(nil, uint16(v.last)))
	}
	return m.AppendTo(nil)
}

func decodeKey(b []byte) (id string, known bool, err error) {
	if len(b) < 2 {
		return "", false, fmt.Errorf("key of %d bytes", len(b))
	}
	if version := binary.BigEndian.Uint16(b); version != keyVersion {
		return "", false, nil
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(b); err != nil {
		return "", false, fmt.Errorf("key: %w", err)
	}
	return k.TransactionalID, true, nil
}

func decodeValue(b []byte) (value, error) {
	var m kmsg.TxnMetadataValue
	if err := m.ReadFrom(b); err != nil {
		return value{}, fmt.Errorf("value: %w", err)
	}
	if m.State < 0 || int(m.State) >= len(stateNames) {
		return value{}, fmt.Errorf("value: state %d", m.State)
	}
	v := value{
		producer: m.ProducerID, previous: m.PreviousProducerID, next: m.NextProducerID,
		epoch: m.ProducerEpoch, last: noEpoch, timeout: m.TimeoutMillis, state: State(m.State),
		version: m.ClientTransactionVersion, started: m.StartTimestamp, updated: m.LastUpdateTimestamp,
	}
	m.UnknownTags.Each(func(tag uint32, b []byte) {
		if tag == tagLastEpoch && len(b) == 2 {
			v.last = int16(binary.BigEndian.Uint16(b))
		}
	})
	for _, t := range m.Topics {
		for _, i := range t.Partitions {
			v.partitions = append(v.partitions, Partition{Topic: t.Topic, Index: i})
		}
	}
	slices.SortFunc(v.partitions, compare)
	return v, nil
}
