package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/partitionlog"
)

// DescribeProducers (61), version 0: what partitions know of their producers,
// and where their open transactions begin.
func (s *Server) describeProducers(r *request) {
	req := r.body.(*kmsg.DescribeProducersRequest)
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		topic, _ := s.image().Topic(t.Topic)
		for _, index := range t.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			ref, err := s.partition(topic, index)
			if err == nil {
				ref.Producers(func(list []partitionlog.Producer) {
					for i := range list {
						p.ActiveProducers = append(p.ActiveProducers, activeProducer(&list[i]))
					}
				})
			}
			if p.ErrorCode = codeOf(err); err != nil {
				p.ErrorMessage = kmsg.StringPtr(err.Error())
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.answer(resp)
}

func activeProducer(p *partitionlog.Producer) kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
	a.ProducerID, a.ProducerEpoch = p.ID, int32(p.Epoch)
	a.LastSequence, a.LastTimestamp = p.LastSeq(), p.LastTime
	a.CoordinatorEpoch, a.CurrentTxnStartOffset = p.CoordinatorEpoch, int64(p.TxnFirst)
	return a
}
