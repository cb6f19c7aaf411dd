package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newKafkaConsumerGroups() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-consumer-groups", "Groups, as kafka-consumer-groups.sh has them", `  sluice kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group billing
  sluice kafka-consumer-groups --group billing --topic orders --reset-offsets --to-earliest --execute`)
	f := cmd.Flags()
	f.Bool("list", false, "list groups")
	f.Bool("describe", false, "describe groups: offsets and lag")
	f.Bool("delete", false, "delete groups")
	f.Bool("delete-offsets", false, "delete what groups have committed for topics")
	f.Bool("reset-offsets", false, "move what a group has committed")
	names := f.StringArray("group", nil, "the group; may be repeated")
	every := f.Bool("all-groups", false, "all groups")
	only := f.StringArray("topic", nil, "the topic, or topic:0,1; may be repeated")
	f.Bool("all-topics", false, "all topics that the group has committed")
	f.Bool("members", false, "with --describe: the members")
	f.Bool("state", false, "with --describe and --list: the state")
	f.Bool("offsets", false, "with --describe: the offsets (the default)")
	f.Bool("verbose", false, "taken and not needed")
	execute := f.Bool("execute", false, "with --reset-offsets: do it")
	f.Bool("dry-run", false, "with --reset-offsets: only show (the default)")
	f.Bool("to-earliest", false, "to the first record")
	f.Bool("to-latest", false, "to the end")
	f.Bool("to-current", false, "to what is committed")
	f.Int64("to-offset", 0, "to this offset")
	f.Int64("shift-by", 0, "by so many, back when negative")
	f.String("to-datetime", "", "to the first record from YYYY-MM-DDTHH:mm:SS.sss on")
	f.String("by-duration", "", "back by a duration, P1DT2H3M4S")
	f.String("timeout", "", "taken and not needed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		action, err := oneAction(cmd, "list", "describe", "delete", "delete-offsets", "reset-offsets")
		if err != nil {
			return err
		}
		if action != "list" && len(*names) == 0 && !*every {
			return &usageError{fmt.Errorf("kafka-consumer-groups --%s: want --group or --all-groups", action)}
		}
		out := cmd.OutOrStdout()
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			if action == "list" || *every {
				listed, err := c.ListGroups(ctx)
				if err != nil {
					return refusal("list groups", err, "")
				}
				if action != "list" {
					*names = listed.Groups()
				} else {
					for _, g := range listed.Sorted() {
						fmt.Fprintln(out, strings.TrimSuffix(g.Group+"\t"+stateIf(cmd, g.State), "\t"))
					}
					return nil
				}
			}
			switch action {
			case "describe":
				return kafkaDescribeGroups(ctx, cmd, c, *names)
			case "delete":
				answers, err := c.DeleteGroups(ctx, *names...)
				if err == nil {
					err = answers.Error()
				}
				if err != nil {
					return refusal("delete groups", err, "")
				}
				fmt.Fprintf(out, "Deletion of requested consumer groups ('%s') was successful.\n", strings.Join(*names, "', '"))
				return nil
			case "delete-offsets":
				lines := "table"
				for _, t := range *only {
					if err := deleteOffsets(ctx, c, outcomes(cmd, &lines), t, *names); err != nil {
						return err
					}
				}
				return nil
			}
			return kafkaReset(ctx, cmd, c, *names, *only, *execute)
		})
	}
	return cmd
}

func stateIf(cmd *cobra.Command, state string) string {
	if cmd.Flags().Changed("state") {
		return state
	}
	return ""
}

func kafkaDescribeGroups(ctx context.Context, cmd *cobra.Command, c *kadm.Client, names []string) error {
	found, err := groups(ctx, c, names...)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	for _, g := range found {
		fmt.Fprintln(w)
		var rows [][]string
		head := "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID"
		switch {
		case cmd.Flags().Changed("members"):
			head = "GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS"
			for _, m := range g.Members {
				rows = append(rows, []string{g.Name, m.ID, m.Host, m.Client, fmt.Sprint(m.Parts)})
			}
		case cmd.Flags().Changed("state"):
			head = "GROUP COORDINATOR(ID) ASSIGNMENT-STRATEGY STATE #MEMBERS"
			rows = append(rows, []string{g.Name, fmt.Sprint(g.Coordinator), orDash(g.Protocol), g.State, fmt.Sprint(len(g.Members))})
		default:
			if len(g.Members) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "Consumer group '%s' has no active members.\n", g.Name)
			}
			for _, p := range g.Lag {
				rows = append(rows, []string{g.Name, p.Topic, fmt.Sprint(p.Partition), known(p.Committed), known(p.End), known(p.Lag),
					orDash(p.Member), orDash(p.Host), orDash(p.Client)})
			}
		}
		if err := table(w, head, rows); err != nil {
			return err
		}
	}
	return nil
}

func kafkaReset(ctx context.Context, cmd *cobra.Command, c *kadm.Client, names, only []string, execute bool) error {
	to, err := resetTarget(cmd)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("all-topics") && len(only) == 0 {
		return &usageError{fmt.Errorf("kafka-consumer-groups --reset-offsets: want --topic or --all-topics")}
	}
	var lines [][]string
	for _, g := range names {
		rows, err := seek(ctx, c, g, only, to, !execute)
		if err != nil {
			return err
		}
		for _, r := range rows {
			lines = append(lines, []string{g, r.Topic, fmt.Sprint(r.Partition), fmt.Sprint(r.After)})
		}
	}
	if !execute {
		fmt.Fprintln(cmd.ErrOrStderr(), "WARN: No action will be performed as the --execute option is missing.")
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return table(cmd.OutOrStdout(), "GROUP TOPIC PARTITION NEW-OFFSET", lines)
}

// resetTarget is where the flags of --reset-offsets say.
func resetTarget(cmd *cobra.Command) (target, error) {
	f := cmd.Flags()
	which, err := oneAction(cmd, "to-earliest", "to-latest", "to-current", "to-offset", "shift-by", "to-datetime", "by-duration")
	if err != nil {
		return target{}, err
	}
	switch which {
	case "to-earliest":
		return target{kind: toStart}, nil
	case "to-latest":
		return target{kind: toEnd}, nil
	case "to-current":
		return target{kind: fromCommitted}, nil
	case "to-offset":
		n, err := f.GetInt64("to-offset")
		return target{toOffset, n}, err
	case "shift-by":
		n, err := f.GetInt64("shift-by")
		return target{fromCommitted, n}, err
	case "by-duration":
		s, _ := f.GetString("by-duration")
		d, err := isoDuration(s)
		return target{atTime, time.Now().Add(-d).UnixMilli()}, err
	}
	s, _ := f.GetString("to-datetime")
	for _, layout := range []string{"2006-01-02T15:04:05.000", "2006-01-02T15:04:05", "2006-01-02T15:04:05.000Z07:00", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return target{atTime, t.UnixMilli()}, nil
		}
	}
	return target{}, &usageError{fmt.Errorf("--to-datetime %s: want YYYY-MM-DDTHH:mm:SS.sss", s)}
}

// isoDuration reads PnDTnHnMnS, as java.time.Duration does.
func isoDuration(s string) (time.Duration, error) {
	bad := &usageError{fmt.Errorf("--by-duration %s: want PnDTnHnMnS, such as PT1H30M", s)}
	rest, ok := strings.CutPrefix(strings.ToUpper(s), "P")
	if !ok || rest == "" {
		return 0, bad
	}
	days, clock, _ := strings.Cut(rest, "T")
	var sum time.Duration
	if days != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(days, "D"))
		if err != nil || !strings.HasSuffix(days, "D") {
			return 0, bad
		}
		sum = time.Duration(n) * 24 * time.Hour
	}
	if clock != "" {
		d, err := time.ParseDuration(strings.ToLower(clock))
		if err != nil {
			return 0, bad
		}
		sum += d
	}
	return sum, nil
}

func newKafkaGetOffsets() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-get-offsets", "Offsets of partitions, as kafka-get-offsets.sh has them", `  sluice kafka-get-offsets --bootstrap-server localhost:9092 --topic orders
  sluice kafka-get-offsets --topic orders --time earliest --partitions 0,1`)
	f := cmd.Flags()
	topic := f.String("topic", "", "the topics, as a regular expression")
	which := f.String("partitions", "", "only these partitions: 0,1")
	at := f.String("time", "latest", "latest (-1), earliest (-2), max-timestamp (-3) or ms since the epoch")
	topicPartitions := f.String("topic-partitions", "", "topic:0-3,other:1")
	noInternal := f.Bool("exclude-internal-topics", false, "leave internal topics out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			picked, expression, err := pickPartitions(*topic, *which, *topicPartitions)
			if err != nil {
				return err
			}
			found, err := matching(ctx, c, expression, "", *noInternal)
			if err != nil {
				return err
			}
			return writeOffsets(ctx, cmd.OutOrStdout(), c, found, picked, *at)
		})
	}
	return cmd
}

// pickPartitions answers which partitions are wanted, and an expression for
// their topics.
func pickPartitions(topic, partitions, both string) (picked func(topic string, p int32) bool, expression string, err error) {
	if both != "" && (topic != "" || partitions != "") {
		return nil, "", &usageError{fmt.Errorf("--topic-partitions excludes --topic and --partitions")}
	}
	if both == "" {
		wanted := map[string]bool{}
		for _, p := range strings.Split(partitions, ",") {
			wanted[strings.TrimSpace(p)] = true
		}
		return func(_ string, p int32) bool { return partitions == "" || wanted[fmt.Sprint(p)] }, topic, nil
	}
	type span struct{ from, to int }
	spans := map[string][]span{}
	var names []string
	for _, one := range strings.Split(both, ",") {
		name, list, some := strings.Cut(one, ":")
		s := span{0, 1 << 31}
		if some {
			from, to, ranged := strings.Cut(list, "-")
			if s.from, err = strconv.Atoi(from); err != nil {
				return nil, "", &usageError{fmt.Errorf("--topic-partitions %s: want topic:0 or topic:0-3", one)}
			}
			s.to = s.from + 1
			if ranged {
				if s.to, err = strconv.Atoi(to); err != nil {
					return nil, "", &usageError{fmt.Errorf("--topic-partitions %s: want topic:0 or topic:0-3", one)}
				}
			}
		}
		spans[name] = append(spans[name], s)
		names = append(names, name)
	}
	return func(topic string, p int32) bool {
		for _, s := range spans[topic] {
			if int(p) >= s.from && int(p) < s.to {
				return true
			}
		}
		return false
	}, strings.Join(names, ","), nil
}

func writeOffsets(ctx context.Context, w io.Writer, c *kadm.Client, found []topicRow, picked func(string, int32) bool, at string) error {
	var names []string
	for _, t := range found {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("could not match any topic-partitions with the specified filters")
	}
	var listed kadm.ListedOffsets
	var err error
	switch at {
	case "latest", "-1":
		listed, err = c.ListEndOffsets(ctx, names...)
	case "earliest", "-2":
		listed, err = c.ListStartOffsets(ctx, names...)
	case "max-timestamp", "-3":
		listed, err = c.ListMaxTimestampOffsets(ctx, names...)
	default:
		ms, bad := strconv.ParseInt(at, 10, 64)
		if bad != nil || ms < 0 {
			return &usageError{fmt.Errorf("--time %s: want latest, earliest, max-timestamp or ms since the epoch", at)}
		}
		listed, err = c.ListOffsetsAfterMilli(ctx, ms, names...)
	}
	if err != nil {
		return refusal("list offsets", err, "")
	}
	for _, t := range found {
		for _, p := range t.Partitions {
			o, ok := listed.Lookup(t.Name, p.Partition)
			if ok && picked(t.Name, p.Partition) && o.Err == nil {
				fmt.Fprintf(w, "%s:%d:%d\n", t.Name, p.Partition, o.Offset)
			}
		}
	}
	return nil
}
