package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/txn"
)

// AddOffsetsToTxn (25), versions 0 to 4: the partition that keeps a group's
// offsets becomes part of a transaction, so that a TxnOffsetCommit may follow.
// Clients with an epoch per transaction leave it out (KIP-890). Before version 2
// a fenced producer is told INVALID_PRODUCER_EPOCH.
func (s *Server) addOffsetsToTxn(r *request) {
	req := r.body.(*kmsg.AddOffsetsToTxnRequest)
	done := func(code int16) {
		resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		resp.ErrorCode = code
		forOldTxnClients(resp, r.version)
		r.answer(resp)
	}
	group, err := s.broker.Group(req.Group)
	if err != nil {
		done(codeOf(err))
		return
	}
	s.addToTxn(txn.Add{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
	}, partition.ID{Topic: offsetsTopic, Index: group.Index()}, done)
}

// offsetsTopic is where groups keep their offsets.
const offsetsTopic = "__consumer_offsets"
