package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster (60), versions 0 to 2: the brokers and the controller. From
// version 1 on clients say whether they want brokers or the controllers, which
// answer elsewhere in Kafka and nowhere here. No broker is ever fenced.
func (s *Server) describeCluster(r *request) {
	req := r.body.(*kmsg.DescribeClusterRequest)
	resp, image := kmsg.NewPtrDescribeClusterResponse(), s.image()
	resp.ClusterID, resp.ControllerID, resp.EndpointType = image.ClusterID, image.Controller, endpointBrokers
	if r.version >= 1 && req.EndpointType != endpointBrokers {
		err := kerr.UnsupportedEndpointType
		if req.EndpointType == endpointControllers {
			err = kerr.MismatchedEndpointType
		}
		resp.EndpointType, resp.ControllerID = req.EndpointType, -1
		resp.ErrorCode, resp.ErrorMessage = err.Code, kmsg.StringPtr("this endpoint is one of brokers")
		r.answer(resp)
		return
	}
	for _, b := range image.Brokers {
		broker := kmsg.NewDescribeClusterResponseBroker()
		broker.NodeID, broker.Host, broker.Port, broker.Rack = b.Node, b.Host, b.Port, rack(b)
		resp.Brokers = append(resp.Brokers, broker)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	r.answer(resp)
}

const (
	endpointBrokers     = 1
	endpointControllers = 2
)
