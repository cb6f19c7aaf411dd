package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/broker"
)

// FindCoordinator (10), versions 0 to 6: who coordinates a group or a
// transactional id; from version 4 on many of them at once. The first question
// brings the internal topic into being, so the answer may wait for it. A
// coordinator that still reads its log is told too: who asks it will wait.
func (s *Server) findCoordinator(r *request) {
	req := r.body.(*kmsg.FindCoordinatorRequest)
	keys := req.CoordinatorKeys
	if r.version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	resp := kmsg.NewPtrFindCoordinatorResponse()
	for _, key := range keys {
		resp.Coordinators = append(resp.Coordinators, s.coordinator(req.CoordinatorType, key))
	}
	if r.version < 4 {
		c := &resp.Coordinators[0]
		resp.NodeID, resp.Host, resp.Port, resp.ErrorCode, resp.ErrorMessage = c.NodeID, c.Host, c.Port, c.ErrorCode, c.ErrorMessage
	}
	r.answer(resp)
}

// The kinds of coordinators.
const (
	groupCoordinator = 0
	txnCoordinator   = 1
)

func (s *Server) coordinator(kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	var err error
	switch kind {
	case groupCoordinator:
		_, err = s.broker.Group(key)
	case txnCoordinator:
		_, err = s.broker.Txn(key)
	default:
		c.ErrorCode = kerr.InvalidRequest.Code
		c.ErrorMessage = kmsg.StringPtr("there is no coordinator of this kind")
		return c
	}
	node, ok := s.image().Broker(s.broker.Node())
	if err != nil && !errors.Is(err, broker.ErrCoordinatorLoading) || !ok {
		c.ErrorCode = kerr.CoordinatorNotAvailable.Code
		if err != nil {
			c.ErrorMessage = kmsg.StringPtr(err.Error())
		}
		return c
	}
	c.NodeID, c.Host, c.Port = node.Node, node.Host, node.Port
	return c
}
