package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/txn"
)

// askTxn passes a request on to the coordinator of a transactional id, and its
// answer back.
func (s *Server) askTxn(r *request, id string) {
	done := func(resp kmsg.Response) {
		forOldTxnClients(resp, r.version)
		r.answer(resp)
	}
	ref, err := s.broker.Txn(id)
	if err != nil {
		done(txn.Refusal(r.body, codeOf(err)))
		return
	}
	ref.Handle(txn.Request{Client: r.txnClient(), Body: r.body, Done: done})
}

func (r *request) txnClient() txn.Client {
	c := r.client
	return txn.Client{ID: c.id, Host: c.host, Software: c.software, SoftwareVersion: c.softwareVersion, Principal: c.principal}
}

// forOldTxnClients says INVALID_PRODUCER_EPOCH where a client is so old that it
// does not know PRODUCER_FENCED.
func forOldTxnClients(resp kmsg.Response, version int16) {
	old := func(code *int16, knows int16) {
		if version < knows && *code == kerr.ProducerFenced.Code {
			*code = kerr.InvalidProducerEpoch.Code
		}
	}
	switch resp := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		old(&resp.ErrorCode, 4)
	case *kmsg.EndTxnResponse:
		old(&resp.ErrorCode, 2)
	case *kmsg.AddOffsetsToTxnResponse:
		old(&resp.ErrorCode, 2)
	case *kmsg.AddPartitionsToTxnResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				old(&resp.Topics[i].Partitions[j].ErrorCode, 2)
			}
		}
	}
}

// addToTxn has a coordinator add one partition to a transaction, or with
// a.VerifyOnly say whether it is part of it. done is called with Kafka's code,
// from any goroutine.
func (s *Server) addToTxn(a txn.Add, id partition.ID, done func(code int16)) {
	ref, err := s.broker.Txn(a.TransactionalID)
	if err != nil {
		done(codeOf(err))
		return
	}
	a.Partitions = []partition.ID{id}
	a.Done = func(codes []int16) { done(codes[0]) }
	ref.Add(a)
}

// exists says whether the metadata has a partition.
func (s *Server) exists(topic string, index int32) bool {
	t, ok := s.image().Topic(topic)
	return ok && index >= 0 && int(index) < len(t.Partitions)
}
