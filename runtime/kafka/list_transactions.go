package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/txn"
)

// ListTransactions (66), versions 0 to 2: the transactional ids that this node
// coordinates, by state, producer, age (from version 1) and name (from version
// 2). While one of the coordinators still reads its log the whole answer says so.
func (s *Server) listTransactions(r *request) {
	req := r.body.(*kmsg.ListTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	refs := s.broker.Txns()
	if len(refs) == 0 {
		resp.UnknownStateFilters = txn.UnknownStates(req.StateFilters)
		r.answer(resp)
		return
	}
	var mu sync.Mutex
	left := len(refs)
	for _, ref := range refs {
		ref.Handle(txn.Request{Client: r.txnClient(), Body: req, Done: func(of kmsg.Response) {
			one := of.(*kmsg.ListTransactionsResponse)
			mu.Lock()
			resp.TransactionStates = append(resp.TransactionStates, one.TransactionStates...)
			resp.UnknownStateFilters = one.UnknownStateFilters
			if one.ErrorCode != 0 {
				resp.ErrorCode = one.ErrorCode
			}
			left--
			last := left == 0
			mu.Unlock()
			if last {
				if resp.ErrorCode != 0 {
					resp.TransactionStates = nil
				}
				r.answer(resp)
			}
		}})
	}
}
