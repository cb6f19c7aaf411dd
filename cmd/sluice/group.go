package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newGroup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Look at consumer groups, and move what they have committed",
		Example: `  sluice group list
  sluice group describe billing`,
	}
	cmd.AddCommand(newGroupList(), newGroupDescribe(), newGroupSeek(), newGroupDelete())
	return cmd
}

func newGroupList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List groups",
		Example: `  sluice group list
  sluice group list --state Empty -o json`,
		Args: cobra.NoArgs,
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	states := cmd.Flags().StringArray("state", nil, "only groups in this state (Stable, Empty, …)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			listed, err := c.ListGroups(ctx, *states...)
			if err != nil {
				return refusal("list groups", err, "")
			}
			all := listed.Sorted()
			if *form == "json" {
				return writeJSON(cmd.OutOrStdout(), all)
			}
			var rows [][]string
			for _, g := range all {
				rows = append(rows, []string{g.Group, orDash(g.State), orDash(g.ProtocolType), fmt.Sprint(g.Coordinator)})
			}
			return table(cmd.OutOrStdout(), "NAME STATE TYPE COORDINATOR", rows)
		})
	}
	return cmd
}

// groupRow is a group as describe shows it.
type groupRow struct {
	Name        string      `json:"name"`
	State       string      `json:"state"`
	Protocol    string      `json:"protocol"`
	Coordinator int32       `json:"coordinator"`
	Members     []memberRow `json:"members"`
	Lag         []lagRow    `json:"partitions"`
	Total       int64       `json:"lag"`
}

type memberRow struct {
	ID       string `json:"id"`
	Instance string `json:"instance,omitempty"`
	Client   string `json:"client"`
	Host     string `json:"host"`
	Parts    int    `json:"partitions"`
}

type lagRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: nothing is committed
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"`
	Host      string `json:"host,omitempty"`
	Client    string `json:"client,omitempty"`
	Error     string `json:"error,omitempty"`
}

// groups describes the groups named.
func groups(ctx context.Context, c *kadm.Client, names ...string) ([]groupRow, error) {
	lags, err := c.Lag(ctx, names...)
	if err != nil {
		return nil, refusal("describe groups", err, "")
	}
	var rows []groupRow
	var errs []error
	for _, l := range lags.Sorted() {
		if err := l.Error(); err != nil {
			errs = append(errs, refusal("group "+l.Group, err, ""))
			continue
		}
		if l.State == "Dead" {
			errs = append(errs, fmt.Errorf("group %s: there is no such group", l.Group))
			continue
		}
		g := groupRow{Name: l.Group, State: l.State, Protocol: l.Protocol, Coordinator: l.Coordinator.NodeID, Members: []memberRow{}, Lag: []lagRow{}}
		for i := range l.Members {
			g.Members = append(g.Members, memberOf(&l.Members[i]))
		}
		for _, p := range l.Lag.Sorted() {
			row := lagRow{Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, End: p.End.Offset, Lag: p.Lag}
			if p.Member != nil {
				row.Member, row.Host, row.Client = p.Member.MemberID, p.Member.ClientHost, p.Member.ClientID
			}
			if p.Err != nil {
				row.Error = p.Err.Error()
			}
			g.Total += max(p.Lag, 0)
			g.Lag = append(g.Lag, row)
		}
		rows = append(rows, g)
	}
	return rows, errors.Join(errs...)
}

func memberOf(m *kadm.DescribedGroupMember) memberRow {
	row := memberRow{ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost}
	if m.InstanceID != nil {
		row.Instance = *m.InstanceID
	}
	if a, ok := m.Assigned.AsConsumer(); ok {
		for _, t := range a.Topics {
			row.Parts += len(t.Partitions)
		}
	}
	return row
}

func newGroupDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show a group's members, offsets and lag",
		Example: `  sluice group describe billing
  sluice group describe billing -o json`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			found, err := groups(ctx, c, args...)
			if *form == "json" && err == nil {
				return writeJSON(cmd.OutOrStdout(), found)
			}
			for i, g := range found {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := writeGroup(cmd.OutOrStdout(), g); err != nil {
					return err
				}
			}
			return err
		})
	}
	return cmd
}

func writeGroup(w io.Writer, g groupRow) error {
	fmt.Fprintf(w, "group %s, %s, protocol %s, coordinator %d, %s, lag %d\n", g.Name, g.State, orDash(g.Protocol), g.Coordinator,
		plural(len(g.Members), "member"), g.Total)
	var rows [][]string
	for _, p := range g.Lag {
		rows = append(rows, []string{p.Topic, fmt.Sprint(p.Partition), known(p.Committed), known(p.End), known(p.Lag), orDash(p.Member), orDash(p.Host), orDash(p.Error)})
	}
	return table(w, "TOPIC PARTITION COMMITTED END LAG MEMBER HOST ERROR", rows)
}

// known is a number, or a dash for one that is not known.
func known(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func newGroupDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete groups without members, and what they have committed",
		Example: `  sluice group delete billing --yes
  sluice group delete billing --topic orders --yes`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	topic := cmd.Flags().String("topic", "", "only what is committed for this topic")
	yes := cmd.Flags().Bool("yes", false, "do it; without it nothing is deleted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return &usageError{fmt.Errorf("group delete forgets what %s committed; say so with --yes", strings.Join(args, ", "))}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			if *topic != "" {
				return deleteOffsets(ctx, c, outcomes(cmd, form), *topic, args)
			}
			answers, err := c.DeleteGroups(ctx, args...)
			if err != nil {
				return refusal("delete groups", err, "")
			}
			o := outcomes(cmd, form)
			for _, a := range answers.Sorted() {
				if a.Err != nil {
					o.failed(refusal("delete group "+a.Group, a.Err, ""))
					continue
				}
				o.did(map[string]any{"group": a.Group}, "%s deleted", a.Group)
			}
			return o.end()
		})
	}
	return cmd
}

func deleteOffsets(ctx context.Context, c *kadm.Client, o *outcome, topic string, groups []string) error {
	found, err := topics(ctx, c, topic)
	if err != nil {
		return err
	}
	set := kadm.TopicsSet{}
	for _, p := range found[0].Partitions {
		set.Add(topic, p.Partition)
	}
	for _, g := range groups {
		answers, err := c.DeleteOffsets(ctx, g, set)
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			o.failed(refusal("delete offsets of group "+g, err, ""))
			continue
		}
		o.did(map[string]any{"group": g, "topic": topic}, "%s: offsets of %s deleted", g, topic)
	}
	return o.end()
}

func newGroupSeek() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seek NAME --to WHERE",
		Short: "Move what a group has committed; nobody may be consuming",
		Long: `Moves what a group has committed. WHERE is start, end, an offset, -N (N records
back from the end), +N or ~N (forth or back from what is committed), or @TIME
(RFC 3339, or milliseconds since the epoch).`,
		Example: `  sluice group seek billing --to @2026-11-22T10:00:00Z --dry-run
  sluice group seek billing --topic orders --to start`,
		Args: cobra.ExactArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	to := cmd.Flags().String("to", "", "where to: start, end, N, -N, +N, ~N or @TIME")
	only := cmd.Flags().StringArray("topic", nil, "this topic, or TOPIC:0,1 for some of its partitions; without it, all that the group has committed")
	dry := cmd.Flags().Bool("dry-run", false, "only show what would be committed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := parseTarget(*to)
		if err != nil {
			return err
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			rows, err := seek(ctx, c, args[0], *only, target, *dry)
			if err != nil {
				return err
			}
			if *form == "json" {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			var lines [][]string
			for _, r := range rows {
				lines = append(lines, []string{r.Topic, fmt.Sprint(r.Partition), known(r.Before), fmt.Sprint(r.After)})
			}
			return table(cmd.OutOrStdout(), "TOPIC PARTITION BEFORE AFTER", lines)
		})
	}
	return cmd
}

// seekRow is one partition's move.
type seekRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"before"` // -1: nothing was committed
	After     int64  `json:"after"`
}

// seek moves a group's offsets, within what the partitions hold.
func seek(ctx context.Context, c *kadm.Client, group string, only []string, to target, dry bool) ([]seekRow, error) {
	described, err := c.DescribeGroups(ctx, group)
	if err == nil && len(described[group].Members) > 0 {
		return nil, fmt.Errorf("seek group %s: it has %s; stop the consumers first", group, plural(len(described[group].Members), "member"))
	}
	if err != nil {
		return nil, refusal("describe group "+group, err, "")
	}
	committed, err := c.FetchOffsets(ctx, group)
	if err != nil {
		return nil, refusal("fetch offsets of group "+group, err, "")
	}
	rows, err := wanted(ctx, c, committed, only)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("seek group %s: it has committed nothing; name a --topic", group)
	}
	if err := to.place(ctx, c, rows); err != nil {
		return nil, err
	}
	if dry {
		return rows, nil
	}
	offsets := kadm.Offsets{}
	for _, r := range rows {
		offsets.AddOffset(r.Topic, r.Partition, r.After, -1)
	}
	return rows, refusal("seek group "+group, c.CommitAllOffsets(ctx, group, offsets), "")
}

// wanted lists the partitions that are to move.
func wanted(ctx context.Context, c *kadm.Client, committed kadm.OffsetResponses, only []string) (rows []seekRow, err error) {
	before := func(topic string, p int32) int64 {
		if o, ok := committed.Lookup(topic, p); ok && o.Err == nil {
			return o.At
		}
		return -1
	}
	if len(only) == 0 {
		for _, o := range committed.Sorted() {
			rows = append(rows, seekRow{o.Topic, o.Partition, o.At, 0})
		}
		return rows, nil
	}
	for _, one := range only {
		name, list, some := strings.Cut(one, ":")
		found, err := topics(ctx, c, name)
		if err != nil {
			return nil, err
		}
		picked := strings.Split(list, ",")
		for _, p := range found[0].Partitions {
			if !some || slices.Contains(picked, fmt.Sprint(p.Partition)) {
				rows = append(rows, seekRow{name, p.Partition, before(name, p.Partition), 0})
			}
		}
	}
	return rows, nil
}
