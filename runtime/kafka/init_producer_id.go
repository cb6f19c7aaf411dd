package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId (22), versions 0 to 5: gives a producer its id and epoch.
// Without a transactional id it is a new id, whatever the producer had before.
// With one the coordinator decides: it aborts an open transaction, fences the
// producer before, and from version 3 on lets one that names its id and epoch go
// on after an error (KIP-360). Before version 4 a fenced producer is told
// INVALID_PRODUCER_EPOCH.
func (s *Server) initProducerID(r *request) {
	req := r.body.(*kmsg.InitProducerIDRequest)
	if req.TransactionalID != nil {
		s.askTxn(r, *req.TransactionalID)
		return
	}
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	give := func(id int64, err error) {
		resp.ProducerID, resp.ErrorCode = id, codeOf(err)
		if err == nil {
			resp.ProducerEpoch = 0
		}
		r.answer(resp)
	}
	if (req.ProducerID == -1) != (req.ProducerEpoch == -1) {
		give(-1, kerr.InvalidRequest)
		return
	}
	if id, ok := s.producerIDs.at(); ok {
		give(id, nil)
		return
	}
	r.background(func() {
		ctx, cancel := context.WithTimeout(context.Background(), idsMax)
		defer cancel()
		id, err := s.producerIDs.fetch(ctx, s.broker.Controller().AllocateProducerIDs)
		if err != nil {
			r.log().Warn("no producer id", "err", err)
			err = kerr.CoordinatorLoadInProgress // which is asked again
		}
		give(id, err)
	})
}

// idsMax is how long producer ids may take.
const idsMax = 10 * time.Second

// idBlock is a block of producer ids of which each is given out once.
type idBlock struct {
	mu        sync.Mutex
	next, end int64
	fetching  sync.Mutex // by one at a time
}

// at is the next id of the block; false when there is none left.
func (b *idBlock) at() (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == b.end {
		return -1, false
	}
	b.next++
	return b.next - 1, true
}

// fetch is the next id, if need be of a new block.
func (b *idBlock) fetch(ctx context.Context, block func(context.Context) (int64, int, error)) (int64, error) {
	b.fetching.Lock()
	defer b.fetching.Unlock()
	for {
		if id, ok := b.at(); ok {
			return id, nil
		}
		first, n, err := block(ctx)
		if err != nil {
			return -1, err
		}
		b.mu.Lock()
		b.next, b.end = first, first+int64(n)
		b.mu.Unlock()
	}
}
