package kafka

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/txn"
)

// AddPartitionsToTxn (24), versions 0 to 5: partitions become part of a
// transaction. Up to version 3 a client says so before it produces to them; all
// are added or none. From version 4 on brokers ask for several transactions at
// once, to add (KIP-890) or only to verify. Before version 2 a fenced producer is
// told INVALID_PRODUCER_EPOCH.
func (s *Server) addPartitionsToTxn(r *request) {
	req := r.body.(*kmsg.AddPartitionsToTxnRequest)
	if r.version < 4 {
		if resp := s.unknownInTxn(req); resp != nil {
			r.answer(resp)
			return
		}
		ref, err := s.broker.Txn(req.TransactionalID)
		if err != nil {
			r.answer(refuseAdd(req, codeOf(err)))
			return
		}
		ref.Handle(txn.Request{Client: r.txnClient(), Body: req, Done: func(resp kmsg.Response) {
			forOldTxnClients(resp, r.version)
			r.answer(resp)
		}})
		return
	}
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	var left atomic.Int64
	left.Store(int64(len(req.Transactions)))
	if len(req.Transactions) == 0 {
		r.answer(resp)
		return
	}
	for i := range req.Transactions {
		s.addOneToTxn(r, &req.Transactions[i], func(t kmsg.AddPartitionsToTxnResponseTransaction) {
			resp.Transactions[i] = t
			if left.Add(-1) == 0 {
				r.answer(resp)
			}
		})
	}
}

// addOneToTxn deals with one transaction of a request of brokers.
func (s *Server) addOneToTxn(r *request, t *kmsg.AddPartitionsToTxnRequestTransaction, done func(kmsg.AddPartitionsToTxnResponseTransaction)) {
	one := kmsg.NewPtrAddPartitionsToTxnRequest()
	one.Version = r.version
	one.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{*t}
	if resp := s.unknownInTxn(one); resp != nil {
		done(resp.Transactions[0])
		return
	}
	ref, err := s.broker.Txn(t.TransactionalID)
	if err != nil {
		done(refuseAdd(one, codeOf(err)).Transactions[0])
		return
	}
	ref.Handle(txn.Request{Client: r.txnClient(), Body: one, Done: func(resp kmsg.Response) {
		done(resp.(*kmsg.AddPartitionsToTxnResponse).Transactions[0])
	}})
}

// unknownInTxn is the answer to req when it names partitions that do not exist;
// nil when all do. The others are not added then.
func (s *Server) unknownInTxn(req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	unknown := false
	resp := answerAdd(req, func(topic string, index int32) int16 {
		if s.exists(topic, index) {
			return kerr.OperationNotAttempted.Code
		}
		unknown = true
		return kerr.UnknownTopicOrPartition.Code
	})
	if !unknown {
		return nil
	}
	return resp
}

// refuseAdd is the answer to req that says code for every partition.
func refuseAdd(req *kmsg.AddPartitionsToTxnRequest, code int16) *kmsg.AddPartitionsToTxnResponse {
	return answerAdd(req, func(string, int32) int16 { return code })
}

func answerAdd(req *kmsg.AddPartitionsToTxnRequest, code func(topic string, index int32) int16) *kmsg.AddPartitionsToTxnResponse {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, t := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p, ErrorCode: code(t.Topic, p)})
		}
		resp.Topics = append(resp.Topics, out)
	}
	for _, x := range req.Transactions {
		of := kmsg.NewAddPartitionsToTxnResponseTransaction()
		of.TransactionalID = x.TransactionalID
		for _, t := range x.Topics {
			out := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				out.Partitions = append(out.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p, ErrorCode: code(t.Topic, p)})
			}
			of.Topics = append(of.Topics, out)
		}
		resp.Transactions = append(resp.Transactions, of)
	}
	return resp
}
