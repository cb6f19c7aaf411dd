package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/txn"
)

// TxnOffsetCommit (28), versions 0 to 5: offsets that count when their
// transaction is committed. The partition that keeps them must be part of the
// transaction; from version 5 on it becomes so by this request (KIP-890).
func (s *Server) txnOffsetCommit(r *request) {
	req := r.body.(*kmsg.TxnOffsetCommitRequest)
	refuse := func(code int16) { r.answer(refuseTxnCommit(req, code)) }
	coordinator, err := s.broker.Group(req.Group)
	if err != nil {
		refuse(codeOf(err))
		return
	}
	commit := func() { coordinator.Handle(r.ofGroup(req, r.answer)) }
	id := partition.ID{Topic: offsetsTopic, Index: coordinator.Index()}
	log, err := s.broker.Partition(id)
	switch {
	case err != nil:
		refuse(kerr.CoordinatorNotAvailable.Code)
		return
	case log.OngoingTxn(req.ProducerID, req.ProducerEpoch):
		commit()
		return
	}
	const firstImplicit = 5
	s.addToTxn(txn.Add{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Version: 2,
		VerifyOnly: r.version < firstImplicit, Wait: r.version >= firstImplicit,
	}, id, func(code int16) {
		switch {
		case code == 0:
			commit()
		case code == kerr.ProducerFenced.Code:
			refuse(kerr.InvalidProducerEpoch.Code)
		case code == kerr.TransactionAbortable.Code && r.version < 4:
			refuse(kerr.InvalidTxnState.Code)
		case code == kerr.ConcurrentTransactions.Code && r.version < firstImplicit:
			refuse(kerr.CoordinatorLoadInProgress.Code) // which old clients try again
		default:
			refuse(code)
		}
	})
}

// refuseTxnCommit says code for every partition of req.
func refuseTxnCommit(req *kmsg.TxnOffsetCommitRequest, code int16) *kmsg.TxnOffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range req.Topics {
		out := kmsg.NewTxnOffsetCommitResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
