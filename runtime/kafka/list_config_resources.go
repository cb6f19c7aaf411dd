package kafka

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// The kinds of resources that exist in Kafka; of the last two there are none
// here.
var listedKinds = []int8{
	int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(kmsg.ConfigResourceTypeGroupConfig),
	int8(kmsg.ConfigResourceTypeBrokerLogger), int8(kmsg.ConfigResourceTypeClientMetrics),
}

// ListConfigResources (74), versions 0 and 1: what has configs. Version 0 lists
// the metrics that clients are to send, and none are asked of them. From version
// 1 on the kinds can be named; without them all are listed.
func (s *Server) listConfigResources(r *request) {
	req := r.body.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	kinds := req.ResourceTypes
	switch {
	case r.version == 0:
		kinds = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	case len(kinds) == 0:
		kinds = listedKinds
	}
	image := s.image()
	for _, kind := range kinds {
		if !slices.Contains(listedKinds, kind) {
			resp.ErrorCode, resp.ConfigResources = kerr.UnsupportedVersion.Code, nil
			break
		}
		for _, name := range resources(image, kmsg.ConfigResourceType(kind)) {
			to := kmsg.NewListConfigResourcesResponseConfigResource()
			to.Name, to.Type = name, kind
			resp.ConfigResources = append(resp.ConfigResources, to)
		}
	}
	r.answer(resp)
}

// resources are the names of all resources of a kind.
func resources(image *controller.Image, kind kmsg.ConfigResourceType) (names []string) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		for _, t := range image.Topics() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker:
		for _, b := range image.Brokers {
			names = append(names, strconv.Itoa(int(b.Node)))
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		names = image.Configured(controller.GroupResource)
	}
	return names
}
