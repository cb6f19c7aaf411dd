package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
)

// Metadata (3), versions 0 to 13: the brokers, and topics with where their
// partitions are.
//
//   - null asks for all topics, in version 0 an empty list; from version 1 on an
//     empty list asks for none.
//   - Topics that are not there come into being if the server and, from version
//     4 on, the client want it. The answer waits for that.
//   - Topics have ids from version 10 on, and may be asked for by id from 12 on.
//   - An epoch never goes back: clients ignore what is older than what they have.
func (s *Server) metadata(r *request) {
	req := r.body.(*kmsg.MetadataRequest)
	create := s.toCreate(req, r.version)
	if len(create) == 0 {
		r.answer(s.metadataFor(req, r.version, nil))
		return
	}
	r.background(func() { r.answer(s.metadataFor(req, r.version, s.createTopics(create))) })
}

// toCreate are the topics of req that are to come into being.
func (s *Server) toCreate(req *kmsg.MetadataRequest, version int16) (names []string) {
	if !s.autoCreate.Load() || version >= 4 && !req.AllowAutoTopicCreation {
		return nil
	}
	image := s.image()
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if name == nil {
			continue
		}
		if _, ok := image.Topic(*name); !ok && controller.CheckName(*name) == nil {
			names = append(names, *name)
		}
	}
	return names
}

// createWait bounds how long an answer waits for a topic to come into being.
const createWait = 10 * time.Second

// createTopics returns why topics could not be made.
func (s *Server) createTopics(names []string) map[string]error {
	ctx, cancel := context.WithTimeout(context.Background(), createWait)
	defer cancel()
	topics := make([]controller.NewTopic, len(names))
	for i, name := range names {
		topics[i] = controller.NewTopic{Name: name, Partitions: s.o.NumPartitions, Factor: -1}
	}
	results, err := s.broker.Controller().CreateTopics(ctx, topics, false)
	if err == nil {
		err = s.broker.AwaitTopics(ctx, names...)
	}
	failed := map[string]error{}
	for i, name := range names {
		switch {
		case err != nil:
			failed[name] = kerr.LeaderNotAvailable // it may be there the next time
		case codeOf(results[i].Err) != kerr.TopicAlreadyExists.Code:
			failed[name] = results[i].Err
		}
	}
	return failed
}

func (s *Server) metadataFor(req *kmsg.MetadataRequest, version int16, failed map[string]error) *kmsg.MetadataResponse {
	image := s.image()
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = kmsg.StringPtr(image.ClusterID)
	resp.ControllerID = image.Controller
	for _, b := range image.Brokers {
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port, broker.Rack = b.Node, b.Host, b.Port, rack(b)
		resp.Brokers = append(resp.Brokers, broker)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	if req.Topics == nil || version == 0 && len(req.Topics) == 0 {
		for _, t := range image.Topics() {
			resp.Topics = append(resp.Topics, s.describeTopic(t, req))
		}
		return resp
	}
	for i := range req.Topics {
		resp.Topics = append(resp.Topics, s.askedTopic(image, &req.Topics[i], req, failed))
	}
	return resp
}

// Without authentication everybody may do everything: Kafka's bits for that.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

func rack(b controller.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return &b.Rack
}

// askedTopic is one topic as it was asked for: by name, or by id.
func (s *Server) askedTopic(image *controller.Image, q *kmsg.MetadataRequestTopic, req *kmsg.MetadataRequest, failed map[string]error) kmsg.MetadataResponseTopic {
	var t *controller.Topic
	missing := kmsg.NewMetadataResponseTopic()
	missing.Topic, missing.TopicID = q.Topic, q.TopicID
	if q.Topic == nil {
		t, _ = image.TopicByID(q.TopicID)
		missing.ErrorCode = kerr.UnknownTopicID.Code
	} else {
		t, _ = image.Topic(*q.Topic)
		missing.ErrorCode = codeOf(unknownTopic(*q.Topic))
		if err := failed[*q.Topic]; err != nil {
			missing.ErrorCode = codeOf(err)
		}
	}
	if t == nil {
		return missing
	}
	return s.describeTopic(t, req)
}

func (s *Server) describeTopic(t *controller.Topic, req *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	resp := kmsg.NewMetadataResponseTopic()
	resp.Topic, resp.TopicID, resp.IsInternal = &t.Name, t.ID, t.Internal
	if req.IncludeTopicAuthorizedOperations {
		resp.AuthorizedOperations = topicOperations
	}
	resp.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		p, q := &t.Partitions[i], &resp.Partitions[i]
		q.Default()
		q.Partition, q.Leader, q.Replicas, q.ISR = p.Index, p.Leader, p.Replicas, p.ISR
		q.LeaderEpoch = s.epoch(partition.ID{Topic: t.Name, Index: p.Index}, p)
		if p.Leader < 0 {
			q.ErrorCode = kerr.LeaderNotAvailable.Code
		}
	}
	return resp
}
