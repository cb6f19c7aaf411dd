package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFinalizedFeaturesAreAdvertised(t *testing.T) {
	w := startWhole(t)
	level := func() int16 {
		resp := ask[*kmsg.ApiVersionsResponse](w, 4, versions(4))
		at := slices.IndexFunc(resp.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool { return f.Name == "transaction.version" })
		if at < 0 {
			return 0
		}
		return resp.FinalizedFeatures[at].MaxVersionLevel
	}
	if got := level(); got != 2 {
		t.Errorf("transaction.version is %d", got)
	}
	update := func(v int16, feature string, to int16, kind int8) int16 {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis = 10_000
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = feature, to, kind, kind > 1
		req.FeatureUpdates = append(req.FeatureUpdates, f)
		resp := ask[*kmsg.UpdateFeaturesResponse](w, v, req)
		if v < 2 && resp.ErrorCode == 0 {
			return resp.Results[0].ErrorCode
		}
		return resp.ErrorCode
	}
	for v := int16(0); v <= 2; v++ {
		wantCode(t, "a level that is not served", update(v, "transaction.version", 3, 1), kerr.InvalidUpdateVersion)
		wantCode(t, "a feature that is not there", update(v, "none.version", 1, 1), kerr.InvalidUpdateVersion)
		wantCode(t, "down without saying so", update(v, "transaction.version", 1, 1), kerr.InvalidUpdateVersion)
		wantCode(t, "down", update(v, "transaction.version", 1, 2), nil)
		if got := level(); got != 1 {
			t.Errorf("v%d: after going down it is %d", v, got)
		}
		wantCode(t, "up", update(v, "transaction.version", 2, 1), nil)
	}
	wantCode(t, "neither up nor down", update(2, "transaction.version", 1, 7), kerr.InvalidRequest)
}

// describe are the configs of a resource by name.
func describe(w *whole, version int16, kind kmsg.ConfigResourceType, name string, only ...string) (map[string]kmsg.DescribeConfigsResponseResourceConfig, int16) {
	w.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	q := kmsg.NewDescribeConfigsRequestResource()
	q.ResourceType, q.ResourceName, q.ConfigNames = kind, name, only
	req.Resources = append(req.Resources, q)
	resp := ask[*kmsg.DescribeConfigsResponse](w, version, req)
	all := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, c := range resp.Resources[0].Configs {
		all[c.Name] = c
	}
	return all, resp.Resources[0].ErrorCode
}

func TestDescribeConfigsOfATopicHasWhatConsolesNeed(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1, "retention.ms", "1000")
	for v := int16(0); v <= 4; v++ {
		all, code := describe(w, v, kmsg.ConfigResourceTypeTopic, "orders")
		wantCode(t, fmt.Sprintf("v%d", v), code, nil)
		for name, want := range map[string]string{
			"cleanup.policy": "delete", "retention.ms": "1000", "retention.bytes": "-1", "segment.bytes": "1073741824",
			"max.message.bytes": "1048588", "min.insync.replicas": "1", "compression.type": "producer",
			"message.timestamp.type": "CreateTime", "delete.retention.ms": "86400000",
		} {
			c, ok := all[name]
			if !ok || c.Value == nil || *c.Value != want {
				t.Errorf("v%d: %s is %v, want %q", v, name, c.Value, want)
				continue
			}
			own := name == "retention.ms"
			if v == 0 && c.IsDefault == own {
				t.Errorf("v0: %s is said to be a default: %v", name, c.IsDefault)
			}
			if v >= 1 && (c.Source == kmsg.ConfigSourceDynamicTopicConfig) != own {
				t.Errorf("v%d: %s comes from %v", v, name, c.Source)
			}
			if v >= 3 && (c.ConfigType == 0 || c.Documentation == nil || *c.Documentation == "") {
				t.Errorf("v%d: %s has type %v and no word on what it means", v, name, c.ConfigType)
			}
		}
		if c := all["retention.ms"]; v >= 1 && (len(c.ConfigSynonyms) < 2 || c.ConfigSynonyms[0].Name != "retention.ms" || *c.ConfigSynonyms[0].Value != "1000") {
			t.Errorf("v%d: synonyms of retention.ms: %+v", v, c.ConfigSynonyms)
		}
	}
	some, _ := describe(w, 4, kmsg.ConfigResourceTypeTopic, "orders", "retention.ms", "no.such")
	if len(some) != 1 {
		t.Errorf("asked for one config that is there: got %d", len(some))
	}
	_, code := describe(w, 4, kmsg.ConfigResourceTypeTopic, "none")
	wantCode(t, "an unknown topic", code, kerr.UnknownTopicOrPartition)
	_, code = describe(w, 4, kmsg.ConfigResourceTypeTopic, "a/b")
	wantCode(t, "an impossible topic", code, kerr.InvalidTopicException)
	_, code = describe(w, 4, kmsg.ConfigResourceType(77), "x")
	wantCode(t, "an unknown type", code, kerr.InvalidRequest)
}

func TestDescribeConfigsOfABroker(t *testing.T) {
	w := startWhole(t)
	all, code := describe(w, 4, kmsg.ConfigResourceTypeBroker, "1")
	wantCode(t, "this broker", code, nil)
	for _, name := range []string{"num.partitions", "auto.create.topics.enable", "log.retention.ms", "message.max.bytes", "advertised.listeners", "node.id"} {
		if _, ok := all[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	if c := all["node.id"]; !c.ReadOnly {
		t.Error("node.id can be changed")
	}
	if c := all["advertised.listeners"]; c.Value == nil || *c.Value != "PLAINTEXT://"+w.addr {
		t.Errorf("advertised.listeners is %v", c.Value)
	}
	if c := all["log.retention.minutes"]; c.Value != nil {
		t.Errorf("what has no value is %q", *c.Value)
	}
	_, code = describe(w, 4, kmsg.ConfigResourceTypeBroker, "2")
	wantCode(t, "another broker", code, kerr.InvalidRequest)
	all, code = describe(w, 4, kmsg.ConfigResourceTypeBroker, "")
	wantCode(t, "all brokers", code, nil)
	if len(all) != 0 {
		t.Errorf("for all brokers %d configs are set", len(all))
	}
	wantCode(t, "set", incremental(w, kmsg.ConfigResourceTypeBroker, "", "log.retention.ms", kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr("5000")), nil)
	all, _ = describe(w, 4, kmsg.ConfigResourceTypeBroker, "")
	if c := all["log.retention.ms"]; len(all) != 1 || *c.Value != "5000" || c.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("for all brokers: %+v", all)
	}
	// What brokers have holds for topics that do not say.
	w.topic("orders", 1)
	topic, _ := describe(w, 4, kmsg.ConfigResourceTypeTopic, "orders")
	if c := topic["retention.ms"]; *c.Value != "5000" || c.ConfigSynonyms[0].Name != "log.retention.ms" {
		t.Errorf("retention.ms of a topic: %q, %+v", *c.Value, c.ConfigSynonyms)
	}
	group, code := describe(w, 4, kmsg.ConfigResourceTypeGroupConfig, "g1")
	wantCode(t, "a group", code, nil)
	if c := group["consumer.session.timeout.ms"]; c.Value == nil || *c.Value != "45000" {
		t.Errorf("consumer.session.timeout.ms of a group: %v", c.Value)
	}
}

func incremental(w *whole, kind kmsg.ConfigResourceType, resource, name string, op kmsg.IncrementalAlterConfigOp, value *string) int16 {
	w.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q := kmsg.NewIncrementalAlterConfigsRequestResource()
	q.ResourceType, q.ResourceName = kind, resource
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = name, op, value
	q.Configs = append(q.Configs, c)
	req.Resources = append(req.Resources, q)
	return ask[*kmsg.IncrementalAlterConfigsResponse](w, 1, req).Resources[0].ErrorCode
}

func TestConfigsAreAlteredOneByOneOrAllAtOnce(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	const topic = kmsg.ConfigResourceTypeTopic
	value := func(name string) string {
		all, _ := describe(w, 4, topic, "orders")
		return *all[name].Value
	}
	text := kmsg.StringPtr
	for _, c := range []struct {
		what  string
		name  string
		op    kmsg.IncrementalAlterConfigOp
		value *string
		want  *kerr.Error
		is    string
	}{
		{"set", "retention.ms", kmsg.IncrementalAlterConfigOpSet, text("1000"), nil, "1000"},
		{"append to a list", "cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, text("compact"), nil, "delete,compact"},
		{"subtract from a list", "cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, text("delete"), nil, "compact"},
		{"append to a number", "retention.ms", kmsg.IncrementalAlterConfigOpAppend, text("1"), kerr.InvalidConfig, "1000"},
		{"set to nothing", "retention.ms", kmsg.IncrementalAlterConfigOpSet, nil, kerr.InvalidRequest, "1000"},
		{"set to what is no number", "retention.ms", kmsg.IncrementalAlterConfigOpSet, text("soon"), kerr.InvalidConfig, "1000"},
		{"delete", "retention.ms", kmsg.IncrementalAlterConfigOpDelete, nil, nil, "604800000"},
		{"an operation that is none", "retention.ms", 9, text("1"), kerr.InvalidRequest, "604800000"},
	} {
		wantCode(t, c.what, incremental(w, topic, "orders", c.name, c.op, c.value), c.want)
		if got := value(c.name); got != c.is {
			t.Errorf("%s: %s is %q, want %q", c.what, c.name, got, c.is)
		}
	}
	wantCode(t, "an unknown config", incremental(w, topic, "orders", "no.such", 0, text("1")), kerr.InvalidConfig)
	wantCode(t, "an unknown topic", incremental(w, topic, "none", "retention.ms", 0, text("1")), kerr.UnknownTopicOrPartition)
	wantCode(t, "a read-only config", incremental(w, kmsg.ConfigResourceTypeBroker, "1", "node.id", 0, text("1")), kerr.InvalidRequest)
	wantCode(t, "a logger", incremental(w, kmsg.ConfigResourceTypeBrokerLogger, "1", "root", 0, text("INFO")), kerr.InvalidRequest)

	// The old request replaces everything.
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrAlterConfigsRequest()
		q := kmsg.NewAlterConfigsRequestResource()
		q.ResourceType, q.ResourceName = topic, "orders"
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "retention.bytes", text(fmt.Sprint(v))
		q.Configs = append(q.Configs, c)
		req.Resources = append(req.Resources, q)
		wantCode(t, "alter", ask[*kmsg.AlterConfigsResponse](w, v, req).Resources[0].ErrorCode, nil)
		if policy, bytes := value("cleanup.policy"), value("retention.bytes"); policy != "delete" || bytes != fmt.Sprint(v) {
			t.Errorf("v%d: cleanup.policy %q, retention.bytes %q", v, policy, bytes)
		}
	}
}

// A batch above the topic's limit is refused as soon as the limit is answered.
func TestMaxMessageBytesIsEnforcedPerTopic(t *testing.T) {
	w := startWhole(t)
	w.topic("small", 1, "max.message.bytes", "100")
	w.topic("large", 1)
	big := batchOf(string(make([]byte, 200)))
	produce := func(topic string) int16 {
		return ask[*kmsg.ProduceResponse](w, 9, produceRequest(topic, [16]byte{}, 0, big)).Topics[0].Partitions[0].ErrorCode
	}
	wantCode(t, "above the limit", produce("small"), kerr.MessageTooLarge)
	wantCode(t, "below the limit", produce("large"), nil)
	wantCode(t, "alter", incremental(w, kmsg.ConfigResourceTypeTopic, "large", "max.message.bytes", 0, kmsg.StringPtr("150")), nil)
	wantCode(t, "after the limit was lowered", produce("large"), kerr.MessageTooLarge)
}

func TestListConfigResourcesListsWhatCanBeDescribed(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	wantCode(t, "a group", incremental(w, kmsg.ConfigResourceTypeGroupConfig, "g1", "consumer.session.timeout.ms", 0, kmsg.StringPtr("60000")), nil)
	list := func(v int16, kinds ...int8) (names []string, code int16) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = kinds
		resp := ask[*kmsg.ListConfigResourcesResponse](w, v, req)
		for _, r := range resp.ConfigResources {
			names = append(names, fmt.Sprintf("%d %s", r.Type, r.Name))
		}
		return names, resp.ErrorCode
	}
	if got, _ := list(0); len(got) != 0 {
		t.Errorf("v0 lists %v", got)
	}
	if got, _ := list(1); !slices.Equal(got, []string{"2 orders", "4 1", "32 g1"}) {
		t.Errorf("all: %v", got)
	}
	if got, _ := list(1, 2); !slices.Equal(got, []string{"2 orders"}) {
		t.Errorf("topics: %v", got)
	}
	_, code := list(1, 99)
	wantCode(t, "an unknown type", code, kerr.UnsupportedVersion)
}
