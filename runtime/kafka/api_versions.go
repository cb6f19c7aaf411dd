package kafka

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// ApiVersions (18), versions 0 to 4: what this server speaks. Clients send it
// first.
//
//   - The header of the answer is version 0 always: who asks does not know yet
//     what the server can do.
//   - To a version that is not known the answer is of version 0, with error 35
//     and this API's own range, and the client asks again.
//   - From version 3 on clients say what they are (KIP-511). The names end up in
//     metrics and in descriptions of groups, so they must be harmless.
//   - The finalized features make clients use transactions as KIP-890 has them
//     and the newer groups.
func (s *Server) apiVersions(r *request) {
	resp := kmsg.NewPtrApiVersionsResponse()
	req, known := r.body.(*kmsg.ApiVersionsRequest)
	switch {
	case !known:
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		own := s.apis[apiVersionsKey]
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: own.key, MinVersion: own.min, MaxVersion: own.max}}
	case r.version >= 3 && !(harmless(req.ClientSoftwareName) && harmless(req.ClientSoftwareVersion)):
		resp.ErrorCode = kerr.InvalidRequest.Code
	default:
		if r.version >= 3 {
			// The handler runs where the connection reads.
			r.conn.client.software, r.conn.client.softwareVersion = req.ClientSoftwareName, req.ClientSoftwareVersion
		}
		s.fillVersions(resp, r.version)
	}
	r.answer(resp)
}

func (s *Server) fillVersions(resp *kmsg.ApiVersionsResponse, version int16) {
	for _, a := range s.apis {
		if a != nil {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: a.key, MinVersion: a.min, MaxVersion: a.max})
		}
	}
	if version < 3 {
		return
	}
	levels, epoch := s.finalized()
	resp.FinalizedFeaturesEpoch = epoch
	supported := controller.SupportedFeatures()
	for _, name := range slices.Sorted(maps.Keys(supported)) {
		if !s.serves(name) {
			continue
		}
		// Clients of version 3 fail on a level of 0 (KIP-1022).
		if version > 3 {
			resp.SupportedFeatures = append(resp.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{
				Name: name, MinVersion: 0, MaxVersion: supported[name],
			})
		}
		if level, on := levels[name]; on {
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{
				Name: name, MinVersionLevel: level, MaxVersionLevel: level,
			})
		}
	}
}

// finalized are the features that are in force, and since when.
func (s *Server) finalized() (levels map[string]int16, epoch int64) {
	if s.broker == nil {
		return nil, 0
	}
	image := s.image()
	return image.Features(), int64(image.Epoch)
}

// serves says whether the requests of a feature are served.
func (s *Server) serves(feature string) bool {
	key, ok := featureKeys[feature]
	return !ok || key < len(s.apis) && s.apis[key] != nil
}

// featureKeys are the features that need a request of their own.
var featureKeys = map[string]int{
	"group.version": 68, // ConsumerGroupHeartbeat
	"share.version": 76, // ShareGroupHeartbeat
}

const softwareMax = 249 // bytes of a client's name or version

// harmless is Kafka's rule for the names of clients: letters and digits, and
// inside also dots and hyphens.
func harmless(name string) bool {
	if name == "" || len(name) > softwareMax {
		return false
	}
	for i := range len(name) {
		b := name[i]
		letter := 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9'
		inside := i > 0 && i < len(name)-1 && (b == '.' || b == '-')
		if !letter && !inside {
			return false
		}
	}
	return true
}
