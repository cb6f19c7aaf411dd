package kafka

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/topologies/configs"
)

// DescribeConfigs (32), versions 0 to 4: the configs of topics, brokers and
// groups, with where each value comes from. From version 1 on also every other
// place that gives a value, the strongest first; from 3 on types and what each
// config means. A broker without a name is all of them: only what was set for all
// at run time.
func (s *Server) describeConfigs(r *request) {
	req := r.body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	image := s.image()
	for i := range req.Resources {
		q := &req.Resources[i]
		to := kmsg.NewDescribeConfigsResponseResource()
		to.ResourceType, to.ResourceName = q.ResourceType, q.ResourceName
		if err := s.describable(image, q); err != nil {
			to.ErrorCode, to.ErrorMessage = codeOf(err), explain(err)
		} else {
			to.Configs = s.configsOf(image, q, req)
		}
		resp.Resources = append(resp.Resources, to)
	}
	r.answer(resp)
}

// describable says why there are no configs of a resource to be seen.
func (s *Server) describable(image *controller.Image, q *kmsg.DescribeConfigsRequestResource) error {
	switch q.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := controller.CheckName(q.ResourceName); err != nil {
			return err
		}
		if _, ok := image.Topic(q.ResourceName); !ok {
			return kerr.UnknownTopicOrPartition
		}
		return nil
	case kmsg.ConfigResourceTypeBroker:
		own := strconv.Itoa(int(s.broker.Node()))
		if q.ResourceName != "" && q.ResourceName != own {
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: fmt.Sprintf("this is broker %s, not %q", own, q.ResourceName)}
		}
		return nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if q.ResourceName == "" {
			return &controller.Refusal{Code: kerr.InvalidRequest, Why: "a group without a name"}
		}
		return nil
	}
	return &controller.Refusal{Code: kerr.InvalidRequest, Why: fmt.Sprintf("resources of type %d have no configs here", q.ResourceType)}
}

func (s *Server) configsOf(image *controller.Image, q *kmsg.DescribeConfigsRequestResource, req *kmsg.DescribeConfigsRequest) []kmsg.DescribeConfigsResponseResourceConfig {
	kind := resourceKinds[q.ResourceType]
	table := controller.TableOf(kind)
	list := []kmsg.DescribeConfigsResponseResourceConfig{}
	for n := range table {
		c := &table[n]
		if !asked(q.ConfigNames, c.Name) {
			continue
		}
		values := image.Values(controller.Resource{Kind: kind, Name: q.ResourceName}, c, s.broker.Node(), s.settings(image))
		if len(values) == 0 {
			continue // nothing is set for all brokers
		}
		list = append(list, describedConfig(c, values, req))
	}
	return list
}

// settings are the configs that the node was started with.
func (s *Server) settings(image *controller.Image) map[string]string {
	settings := s.broker.Settings().Configs
	self, ok := image.Broker(s.broker.Node())
	if !ok || self.Host == "" {
		return settings
	}
	with := map[string]string{"advertised.listeners": fmt.Sprintf("PLAINTEXT://%s:%d", self.Host, self.Port)}
	for name, v := range settings {
		with[name] = v
	}
	return with
}

func describedConfig(c *configs.Config, values []controller.Value, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	to := kmsg.NewDescribeConfigsResponseResourceConfig()
	to.Name, to.Value, to.ReadOnly, to.IsSensitive = c.Name, shown(c, values[0].Text), c.ReadOnly, c.Sensitive
	to.Source = kmsg.ConfigSource(values[0].Source)
	to.IsDefault = values[0].Source == controller.FromTable
	to.ConfigType = configTypes[c.Type]
	if req.IncludeDocumentation {
		to.Documentation = &c.Doc
	}
	if !req.IncludeSynonyms {
		return to
	}
	for _, v := range values {
		synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		synonym.Name, synonym.Value, synonym.Source = v.Name, shown(c, v.Text), kmsg.ConfigSource(v.Source)
		to.ConfigSynonyms = append(to.ConfigSynonyms, synonym)
	}
	return to
}

// shown is a value as clients see it: none where there is none, and never a
// secret.
func shown(c *configs.Config, text string) *string {
	if c.Sensitive || text == "" && c.Type != configs.List {
		return nil
	}
	return &text
}

var configTypes = map[configs.Type]kmsg.ConfigType{
	configs.Boolean: kmsg.ConfigTypeBoolean, configs.String: kmsg.ConfigTypeString, configs.Int: kmsg.ConfigTypeInt,
	configs.Short: kmsg.ConfigTypeShort, configs.Long: kmsg.ConfigTypeLong, configs.Double: kmsg.ConfigTypeDouble,
	configs.List: kmsg.ConfigTypeList,
}
