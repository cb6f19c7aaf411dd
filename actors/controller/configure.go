package controller

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/topologies/configs"
)

// TableOf is the table of a resource's configs.
func TableOf(kind ResourceKind) configs.Table {
	switch kind {
	case TopicResource:
		return configs.Topic
	case BrokerResource:
		return configs.Broker
	}
	return configs.Group
}

func (m *machine) alterConfigs(q AlterConfigs) []Result {
	results := make([]Result, len(q.Resources))
	double := twice(q.Resources, func(a Alteration) string { return string(a.Kind) + "/" + a.Name })
	alter := func() {
		for n, a := range q.Resources {
			if double[string(a.Kind)+"/"+a.Name] {
				results[n].Err = refuse(kerr.InvalidRequest, "%s %q stands in the request twice", a.Kind, a.Name)
				continue
			}
			results[n].Err = m.alter(a)
		}
	}
	if q.ValidateOnly {
		m.trial(alter)
	} else {
		alter()
	}
	return results
}

func (m *machine) alter(a Alteration) error {
	if err := m.checkResource(a.Resource); err != nil {
		return err
	}
	table, old := TableOf(a.Kind), m.now().Configs(a.Resource)
	next := map[string]string{}
	if !a.Full {
		next = cloned(old)
	}
	named := map[string]bool{}
	for _, op := range a.Ops {
		if named[op.Name] {
			return refuse(kerr.InvalidRequest, "config %s stands in the request twice", op.Name)
		}
		named[op.Name] = true
		if err := applyOp(table, next, op); err != nil {
			return err
		}
	}
	if err := table.CheckAll(next); err != nil {
		return refuse(kerr.InvalidConfig, "%s", err)
	}
	if maps.Equal(old, next) {
		return nil
	}
	if len(next) == 0 {
		next = nil
	}
	m.stage(change{Configs: &configsSet{a.Resource, next}})
	return nil
}

// checkResource says why there is no such resource to have configs.
func (m *machine) checkResource(r Resource) error {
	switch r.Kind {
	case TopicResource:
		if err := CheckName(r.Name); err != nil {
			return err
		}
		_, err := m.topic(r.Name)
		return err
	case BrokerResource:
		return m.checkBroker(r.Name)
	case GroupResource:
		if r.Name == "" {
			return refuse(kerr.InvalidRequest, "a group without a name")
		}
		return nil
	}
	return refuse(kerr.InvalidRequest, "nothing of the kind %q has configs", r.Kind)
}

func (m *machine) checkBroker(name string) error {
	if name == "" {
		return nil // all of them
	}
	node, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return refuse(kerr.InvalidRequest, "%q is no number of a broker", name)
	}
	if _, ok := m.now().Broker(int32(node)); !ok || strconv.FormatInt(node, 10) != name {
		return refuse(kerr.InvalidRequest, "there is no broker %s", name)
	}
	return nil
}

// applyOp changes next as op wants it.
func applyOp(table configs.Table, next map[string]string, op ConfigOp) error {
	c, known := table.Find(op.Name)
	switch {
	case !known:
		return refuse(kerr.InvalidConfig, "%s", table.Check(op.Name, ""))
	case c.ReadOnly:
		return refuse(kerr.InvalidRequest, "config %s cannot be changed while the node runs", op.Name)
	case op.Op < Set || op.Op > Remove:
		return refuse(kerr.InvalidRequest, "config %s: there is no operation %d", op.Name, op.Op)
	case op.Op == Delete:
		delete(next, op.Name)
		return nil
	case op.Value == nil:
		return refuse(kerr.InvalidRequest, "config %s has no value", op.Name)
	case op.Op == Set:
		next[op.Name] = *op.Value
		return nil
	case c.Type != configs.List:
		return refuse(kerr.InvalidConfig, "config %s is no list: it has no members to add or remove", op.Name)
	}
	text, ok := next[op.Name]
	if !ok {
		text = c.Default
	}
	members := configs.Members(text)
	for _, v := range configs.Members(*op.Value) {
		at := slices.Index(members, v)
		switch {
		case op.Op == Add && at < 0:
			members = append(members, v)
		case op.Op == Remove && at >= 0:
			members = slices.Delete(members, at, at+1)
		}
	}
	next[op.Name] = strings.Join(members, ",")
	return nil
}

// quotaTypes are the properties of clients that a quota may name.
var quotaTypes = []string{"client-id", "ip", "user"}

// What a quota may bound: the connections of an ip, and the bytes and time of
// users and clients.
var (
	ipQuotas     = []string{"connection_creation_rate"}
	clientQuotas = []string{"consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"}
)

func (m *machine) alterQuotas(q AlterQuotas) []Result {
	results := make([]Result, len(q.Quotas))
	for n := range q.Quotas {
		slices.SortFunc(q.Quotas[n].Entity, func(a, b QuotaEntity) int { return strings.Compare(a.Type, b.Type) })
	}
	double := twice(q.Quotas, func(a QuotaAlteration) string { return quotaKey(a.Entity) })
	for n, a := range q.Quotas {
		if double[quotaKey(a.Entity)] {
			results[n].Err = refuse(kerr.InvalidRequest, "a quota stands in the request twice")
			continue
		}
		if results[n].Err = checkQuota(a); results[n].Err == nil && !q.ValidateOnly {
			m.alterQuota(a)
		}
	}
	return results
}

func (m *machine) alterQuota(a QuotaAlteration) {
	old := m.now().quotas[quotaKey(a.Entity)].Values
	next := cloned(old)
	for name, v := range a.Values {
		if v == nil {
			delete(next, name)
		} else {
			next[name] = *v
		}
	}
	if !maps.Equal(old, next) {
		m.stage(change{Quota: &Quota{Entity: a.Entity, Values: next}})
	}
}

func checkQuota(a QuotaAlteration) error {
	if len(a.Entity) == 0 {
		return refuse(kerr.InvalidRequest, "a quota without clients")
	}
	allowed := clientQuotas
	for n, e := range a.Entity {
		switch {
		case !slices.Contains(quotaTypes, e.Type):
			return refuse(kerr.InvalidRequest, "quotas are for %s, not for %q", listed(quotaTypes), e.Type)
		case n > 0 && a.Entity[n-1].Type == e.Type:
			return refuse(kerr.InvalidRequest, "a quota with two of %s", e.Type)
		case !e.Default && e.Name == "":
			return refuse(kerr.InvalidRequest, "a quota for a %s without a name", e.Type)
		case e.Type == "ip" && len(a.Entity) > 1:
			return refuse(kerr.InvalidRequest, "a quota of an ip is for nothing else")
		case e.Type == "ip":
			allowed = ipQuotas
		}
	}
	if a.Twice != "" {
		return refuse(kerr.InvalidRequest, "%s stands in a quota twice", a.Twice)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Values)) {
		v := a.Values[name]
		switch {
		case !slices.Contains(allowed, name):
			return refuse(kerr.InvalidRequest, "a quota bounds %s, not %q", listed(allowed), name)
		case v != nil && !(*v > 0) || v != nil && math.IsInf(*v, 0):
			return refuse(kerr.InvalidRequest, "%s is above 0, not %v", name, *v)
		}
	}
	return nil
}

// Quota is what bounds name ("producer_byte_rate") for a client, as Kafka
// chooses it: the quota that says most of the client.
func (i *Image) Quota(name, user, client string) (float64, bool) {
	if len(i.quotas) == 0 {
		return 0, false
	}
	u, anyUser := QuotaEntity{Type: "user", Name: user}, QuotaEntity{Type: "user", Default: true}
	c, anyClient := QuotaEntity{Type: "client-id", Name: client}, QuotaEntity{Type: "client-id", Default: true}
	for _, entity := range [][]QuotaEntity{
		{c, u}, {anyClient, u}, {u}, {c, anyUser}, {anyClient, anyUser}, {anyUser}, {c}, {anyClient},
	} {
		if v, ok := i.quotas[quotaKey(entity)].Values[name]; ok {
			return v, true
		}
	}
	return 0, false
}
