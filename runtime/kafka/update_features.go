package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// The kinds of updates of a feature, from version 1 on.
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// UpdateFeatures (57), versions 0 to 2: finalizes features at other levels, all
// of them or none. Up to version 1 each feature has a result; from 2 on there is
// one for all. A level that is not served is refused, and so is going down
// without saying so.
func (s *Server) updateFeatures(r *request) {
	req := r.body.(*kmsg.UpdateFeaturesRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	levels := make([]controller.FeatureLevel, len(req.FeatureUpdates))
	var bad error
	for i := range req.FeatureUpdates {
		q := &req.FeatureUpdates[i]
		levels[i] = controller.FeatureLevel{Name: q.Feature, Level: q.MaxVersionLevel, Down: q.AllowDowngrade}
		if r.version == 0 {
			continue
		}
		levels[i].Down = q.UpgradeType == safeDowngrade || q.UpgradeType == unsafeDowngrade
		if q.UpgradeType < upgrade || q.UpgradeType > unsafeDowngrade {
			bad = &controller.Refusal{Code: kerr.InvalidRequest, Why: "an update goes up (1), or down safely (2) or not (3)"}
		}
	}
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	var results []controller.Result
	err := bad
	if bad == nil {
		results, err = s.broker.Controller().UpdateFeatures(ctx, levels, req.ValidateOnly)
	}
	resp.ErrorCode, resp.ErrorMessage = codeOf(err), explain(err)
	for i := range results {
		to := kmsg.NewUpdateFeaturesResponseResult()
		to.Feature, to.ErrorCode, to.ErrorMessage = levels[i].Name, codeOf(results[i].Err), explain(results[i].Err)
		resp.Results = append(resp.Results, to)
		if results[i].Err != nil && r.version >= 2 && resp.ErrorCode == 0 {
			resp.ErrorCode, resp.ErrorMessage = to.ErrorCode, to.ErrorMessage
		}
	}
	r.answer(resp)
}
