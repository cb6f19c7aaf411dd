package kafka

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/txn"
)

// DescribeTransactions (65), version 0: the state of transactional ids, their
// producers and the partitions of their transactions.
func (s *Server) describeTransactions(r *request) {
	req := r.body.(*kmsg.DescribeTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(req.TransactionalIDs))
	var left atomic.Int64
	left.Store(int64(len(req.TransactionalIDs)))
	if len(req.TransactionalIDs) == 0 {
		r.answer(resp)
		return
	}
	for i, id := range req.TransactionalIDs {
		one := kmsg.NewPtrDescribeTransactionsRequest()
		one.TransactionalIDs = []string{id}
		done := func(of kmsg.Response) {
			resp.TransactionStates[i] = of.(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
			if left.Add(-1) == 0 {
				r.answer(resp)
			}
		}
		ref, err := s.broker.Txn(id)
		if err != nil {
			done(txn.Refusal(one, codeOf(err)))
			continue
		}
		ref.Handle(txn.Request{Client: r.txnClient(), Body: one, Done: done})
	}
}
