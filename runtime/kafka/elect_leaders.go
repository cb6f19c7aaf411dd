package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// ElectLeaders (43), versions 0 to 2: gives partitions to their first replica. A
// partition that it leads already needs no election, and is told so only where it
// was asked for by name. An unclean election (type 1) would make a replica leader
// that lacks acknowledged records; there is none, and none is needed where there
// is a leader.
func (s *Server) electLeaders(r *request) {
	req := r.body.(*kmsg.ElectLeadersRequest)
	resp := kmsg.NewPtrElectLeadersResponse()
	if req.ElectionType != 0 && req.ElectionType != 1 {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.answer(resp)
		return
	}
	image := s.image()
	if req.Topics == nil {
		for _, t := range image.Topics() {
			resp.Topics = append(resp.Topics, s.elections(t)...)
		}
	}
	for i := range req.Topics {
		t, _ := image.Topic(req.Topics[i].Topic)
		to := kmsg.NewElectLeadersResponseTopic()
		to.Topic = req.Topics[i].Topic
		for _, index := range req.Topics[i].Partitions {
			to.Partitions = append(to.Partitions, s.election(t, index, req.ElectionType))
		}
		resp.Topics = append(resp.Topics, to)
	}
	r.answer(resp)
}

// elections are those partitions of t that have no leader, as there is nothing
// to say of the others.
func (s *Server) elections(t *controller.Topic) []kmsg.ElectLeadersResponseTopic {
	to := kmsg.NewElectLeadersResponseTopic()
	to.Topic = t.Name
	for n := range t.Partitions {
		if p := s.election(t, int32(n), 0); p.ErrorCode != kerr.ElectionNotNeeded.Code {
			to.Partitions = append(to.Partitions, p)
		}
	}
	if len(to.Partitions) == 0 {
		return nil
	}
	return []kmsg.ElectLeadersResponseTopic{to}
}

func (s *Server) election(t *controller.Topic, index int32, kind int8) kmsg.ElectLeadersResponseTopicPartition {
	to := kmsg.NewElectLeadersResponseTopicPartition()
	to.Partition = index
	ref, err := s.partition(t, index)
	switch {
	case err != nil && codeOf(err) == kerr.UnknownTopicOrPartition.Code:
	case err == nil && ref.Leading():
		err = &controller.Refusal{Code: kerr.ElectionNotNeeded, Why: "the leader is the one it should be"}
	case kind == 1:
		err = &controller.Refusal{Code: kerr.EligibleLeadersNotAvailable, Why: "no replica that has every acknowledged record is there"}
	default:
		err = &controller.Refusal{Code: kerr.PreferredLeaderNotAvailable, Why: "the first replica is not there yet"}
	}
	to.ErrorCode, to.ErrorMessage = codeOf(err), explain(err)
	return to
}
