package kafka

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// DescribeClientQuotas (48), versions 0 and 1: the quotas of clients that fit
// all components of the request. A component names a client, the default, or any
// of a type; a strict request wants nothing else in the quota.
func (s *Server) describeClientQuotas(r *request) {
	req := r.body.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	if err := checkComponents(req.Components); err != nil {
		resp.ErrorCode, resp.ErrorMessage = codeOf(err), explain(err)
		r.answer(resp)
		return
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	for _, q := range s.image().Quotas() {
		if fits(q, req) {
			resp.Entries = append(resp.Entries, describedQuota(q))
		}
	}
	r.answer(resp)
}

func checkComponents(list []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for _, c := range list {
		switch {
		case c.EntityType == "":
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: "a component without a type"}
		case c.EntityType != "user" && c.EntityType != "client-id" && c.EntityType != "ip":
			return &controller.Refusal{Code: kerr.UnsupportedVersion, Why: "quotas are for user, client-id and ip"}
		case seen[c.EntityType]:
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: "two components of the type " + c.EntityType}
		case c.MatchType < 0 || c.MatchType > 2:
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: "a component matches exactly (0), the default (1) or any (2)"}
		case c.MatchType == 0 && c.Match == nil:
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: "a component that matches exactly needs a name"}
		}
		seen[c.EntityType] = true
	}
	return nil
}

// fits says whether a quota is one that the request wants.
func fits(q controller.Quota, req *kmsg.DescribeClientQuotasRequest) bool {
	for _, c := range req.Components {
		at := slices.IndexFunc(q.Entity, func(e controller.QuotaEntity) bool { return e.Type == c.EntityType })
		if at < 0 {
			return false
		}
		e := q.Entity[at]
		if c.MatchType == 0 && (e.Default || e.Name != *c.Match) || c.MatchType == 1 && !e.Default {
			return false
		}
	}
	return !req.Strict || len(q.Entity) == len(req.Components)
}

func describedQuota(q controller.Quota) kmsg.DescribeClientQuotasResponseEntry {
	to := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, e := range q.Entity {
		entity := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		entity.Type = e.Type
		if !e.Default {
			entity.Name = &e.Name
		}
		to.Entity = append(to.Entity, entity)
	}
	for _, key := range slices.Sorted(maps.Keys(q.Values)) {
		value := kmsg.NewDescribeClientQuotasResponseEntryValue()
		value.Key, value.Value = key, q.Values[key]
		to.Values = append(to.Values, value)
	}
	return to
}

// AlterClientQuotas (49), versions 0 and 1: sets and removes what clients may
// use. A client without a name is the default of its type. Each entry has a
// result of its own.
func (s *Server) alterClientQuotas(r *request) {
	req := r.body.(*kmsg.AlterClientQuotasRequest)
	ctx, cancel := context.WithTimeout(context.Background(), changeMax)
	defer cancel()
	list := make([]controller.QuotaAlteration, len(req.Entries))
	for i := range req.Entries {
		list[i] = quotaAlteration(&req.Entries[i])
	}
	results, err := s.broker.Controller().AlterQuotas(ctx, list, req.ValidateOnly)
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	for i := range req.Entries {
		to := kmsg.NewAlterClientQuotasResponseEntry()
		failed := resultOf(results, err, i)
		to.ErrorCode, to.ErrorMessage = codeOf(failed), explain(failed)
		for _, e := range req.Entries[i].Entity {
			entity := kmsg.NewAlterClientQuotasResponseEntryEntity()
			entity.Type, entity.Name = e.Type, e.Name
			to.Entity = append(to.Entity, entity)
		}
		resp.Entries = append(resp.Entries, to)
	}
	r.answer(resp)
}

func quotaAlteration(q *kmsg.AlterClientQuotasRequestEntry) controller.QuotaAlteration {
	a := controller.QuotaAlteration{Values: map[string]*float64{}}
	for _, e := range q.Entity {
		entity := controller.QuotaEntity{Type: e.Type, Default: e.Name == nil}
		if e.Name != nil {
			entity.Name = *e.Name
		}
		a.Entity = append(a.Entity, entity)
	}
	for i := range q.Ops {
		op := &q.Ops[i]
		if _, twice := a.Values[op.Key]; twice {
			a.Twice = op.Key
		}
		a.Values[op.Key] = &op.Value
		if op.Remove {
			a.Values[op.Key] = nil
		}
	}
	return a
}
