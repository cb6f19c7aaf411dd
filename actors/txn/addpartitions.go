package txn

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// firstBatchedAdd is the version of AddPartitionsToTxn from which on it carries
// several transactions, and is spoken between brokers (KIP-890).
const firstBatchedAdd = 4

// addPartitions takes an AddPartitionsToTxn apart: one Add for each of its
// transactions, all of which belong to this coordinator.
func (r Ref) addPartitions(q Request, m *kmsg.AddPartitionsToTxnRequest) {
	resp := m.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if m.Version < firstBatchedAdd {
		a := Add{TransactionalID: m.TransactionalID, ProducerID: m.ProducerID, Epoch: m.ProducerEpoch}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				a.Partitions = append(a.Partitions, Partition{Topic: t.Topic, Index: p})
			}
		}
		a.Done = func(codes []int16) {
			for _, t := range m.Topics {
				out := kmsg.NewAddPartitionsToTxnResponseTopic()
				out.Topic = t.Topic
				for _, p := range t.Partitions {
					out.Partitions = append(out.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p, ErrorCode: codes[0]})
					codes = codes[1:]
				}
				resp.Topics = append(resp.Topics, out)
			}
			q.Done(resp)
		}
		r.Add(a)
		return
	}
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(m.Transactions))
	var left atomic.Int64
	if left.Store(int64(len(m.Transactions))); len(m.Transactions) == 0 {
		q.Done(resp)
		return
	}
	for i := range m.Transactions {
		t, out := &m.Transactions[i], &resp.Transactions[i]
		a := Add{
			TransactionalID: t.TransactionalID, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch,
			Version: versionBumps, VerifyOnly: t.VerifyOnly, Wait: !t.VerifyOnly,
		}
		for _, topic := range t.Topics {
			for _, p := range topic.Partitions {
				a.Partitions = append(a.Partitions, Partition{Topic: topic.Topic, Index: p})
			}
		}
		a.Done = func(codes []int16) {
			out.TransactionalID = t.TransactionalID
			for _, topic := range t.Topics {
				of := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
				of.Topic = topic.Topic
				for _, p := range topic.Partitions {
					of.Partitions = append(of.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p, ErrorCode: codes[0]})
					codes = codes[1:]
				}
				out.Topics = append(out.Topics, of)
			}
			if left.Add(-1) == 0 {
				q.Done(resp)
			}
		}
		r.Add(a)
	}
}
