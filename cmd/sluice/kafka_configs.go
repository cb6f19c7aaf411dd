package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newKafkaConfigs() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-configs", "Configs of topics, brokers and groups, as kafka-configs.sh has them", `  sluice kafka-configs --bootstrap-server localhost:9092 --entity-type topics --entity-name orders --describe
  sluice kafka-configs --entity-type topics --entity-name orders --alter --add-config retention.ms=3600000,cleanup.policy=[compact,delete]`)
	f := cmd.Flags()
	f.Bool("describe", false, "show")
	f.Bool("alter", false, "change")
	kind := f.String("entity-type", "", "topics, brokers or groups")
	name := f.String("entity-name", "", "the topic, the broker's id or the group")
	topic := f.String("topic", "", "short for --entity-type topics --entity-name")
	broke := f.String("broker", "", "short for --entity-type brokers --entity-name")
	group := f.String("group", "", "short for --entity-type groups --entity-name")
	defaults := f.Bool("entity-default", false, "the default of all brokers")
	all := f.Bool("all", false, "with --describe: defaults too")
	add := f.String("add-config", "", "k1=v1,k2=[v1,v2]")
	remove := f.String("delete-config", "", "k1,k2")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		action, err := oneAction(cmd, "describe", "alter")
		if err != nil {
			return err
		}
		for short, value := range map[string]string{"topics": *topic, "brokers": *broke, "groups": *group} {
			if value != "" {
				*kind, *name = short, value
			}
		}
		resource, ok := map[string]kmsg.ConfigResourceType{"topics": kmsg.ConfigResourceTypeTopic, "brokers": kmsg.ConfigResourceTypeBroker,
			"groups": kmsg.ConfigResourceTypeGroupConfig}[*kind]
		if !ok {
			return &usageError{fmt.Errorf("--entity-type %q: want topics, brokers or groups", *kind)}
		}
		if *name == "" && !*defaults && action == "alter" {
			return &usageError{fmt.Errorf("kafka-configs --alter: want --entity-name or --entity-default")}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			r, err := broker.raw(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			k := configs{cl: r, kind: *kind, resource: resource, out: cmd.OutOrStdout()}
			if action == "alter" {
				return k.alter(ctx, *name, splitConfigs(*add), splitConfigs(*remove))
			}
			names := []string{*name}
			if *name == "" && *kind == "topics" {
				names = nil
				found, err := topics(ctx, c)
				if err != nil {
					return err
				}
				for _, t := range found {
					names = append(names, t.Name)
				}
			}
			for _, n := range names {
				if err := k.describe(ctx, n, *all); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// splitConfigs splits at the commas outside of brackets.
func splitConfigs(s string) (out []string) {
	depth, from := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',' && depth == 0:
			if one := strings.TrimSpace(s[from:i]); one != "" {
				out = append(out, one)
			}
			from = i + 1
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		}
	}
	return out
}

// configs asks about one kind of entity.
type configs struct {
	cl       kmsg.Requestor
	kind     string
	resource kmsg.ConfigResourceType
	out      io.Writer
}

func (k configs) describe(ctx context.Context, name string, all bool) error {
	q := kmsg.NewPtrDescribeConfigsRequest()
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = k.resource, name
	q.Resources, q.IncludeSynonyms = append(q.Resources, one), true
	answer, err := q.RequestWith(ctx, k.cl)
	if err != nil {
		return refusal("describe configs", err, "")
	}
	for _, r := range answer.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return refusal("describe configs of "+name, err, deref(r.ErrorMessage))
		}
		which := "Dynamic"
		if all {
			which = "All"
		}
		fmt.Fprintf(k.out, "%s configs for %s %s are:\n", which, strings.TrimSuffix(k.kind, "s"), name)
		for _, c := range r.Configs {
			if !all && !strings.HasPrefix(c.Source.String(), "DYNAMIC") {
				continue
			}
			var synonyms []string
			for _, s := range c.ConfigSynonyms {
				synonyms = append(synonyms, fmt.Sprintf("%s:%s=%s", s.Source, s.Name, deref(s.Value)))
			}
			fmt.Fprintf(k.out, "  %s=%s sensitive=%s synonyms={%s}\n", c.Name, deref(c.Value), strconv.FormatBool(c.IsSensitive), strings.Join(synonyms, ", "))
		}
	}
	return nil
}

func (k configs) alter(ctx context.Context, name string, add, remove []string) error {
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = k.resource, name
	values, err := pairs("add-config", add)
	if err != nil {
		return err
	}
	change := func(op kmsg.IncrementalAlterConfigOp, name string, value *string) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Op, c.Name, c.Value = op, name, value
		one.Configs = append(one.Configs, c)
	}
	for name, value := range values {
		change(kmsg.IncrementalAlterConfigOpSet, name, value)
	}
	for _, name := range remove {
		change(kmsg.IncrementalAlterConfigOpDelete, name, nil)
	}
	if len(one.Configs) == 0 {
		return &usageError{fmt.Errorf("kafka-configs --alter: want --add-config or --delete-config")}
	}
	q.Resources = append(q.Resources, one)
	answer, err := q.RequestWith(ctx, k.cl)
	if err != nil {
		return refusal("alter configs", err, "")
	}
	for _, r := range answer.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return refusal("alter configs of "+name, err, deref(r.ErrorMessage))
		}
	}
	fmt.Fprintf(k.out, "Completed updating config for %s %s.\n", strings.TrimSuffix(k.kind, "s"), name)
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
