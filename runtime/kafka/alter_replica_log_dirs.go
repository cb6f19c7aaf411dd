package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs (34), versions 0 to 2: moves partitions between the
// directories of a node. A node has one, so a partition is where it shall be, or
// there is no such place.
func (s *Server) alterReplicaLogDirs(r *request) {
	req := r.body.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	image := s.image()
	for i := range req.Dirs {
		d := &req.Dirs[i]
		for j := range d.Topics {
			t, _ := image.Topic(d.Topics[j].Topic)
			to := kmsg.NewAlterReplicaLogDirsResponseTopic()
			to.Topic = d.Topics[j].Topic
			for _, index := range d.Topics[j].Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition = index
				_, err := s.partition(t, index)
				p.ErrorCode = codeOf(err)
				if err == nil && d.Dir != s.dir() {
					p.ErrorCode = kerr.LogDirNotFound.Code
				}
				to.Partitions = append(to.Partitions, p)
			}
			resp.Topics = append(resp.Topics, to)
		}
	}
	r.answer(resp)
}
