package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
)

func newActor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "actor",
		Short: "Look at a node's actors, and disturb them",
		Example: `  sluice actor tree
  sluice actor kill agent/a1/sink/k1`,
	}
	cmd.AddCommand(
		newActorTree(), newActorInspect(),
		newDisturb("restart", "Make an actor start anew", (*admin.Client).RestartActor),
		newDisturb("kill", "Make an actor fail, to see its supervisor heal it", (*admin.Client).KillActor),
	)
	return cmd
}

func newActorTree() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tree",
		Short: "Show the supervision tree: state, restarts, mailbox, last failure",
		Example: `  sluice actor tree
  sluice actor tree --server /var/lib/sluice -o json`,
		Args: cobra.NoArgs,
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		tree, err := c.ActorTree(cmd.Context())
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), tree)
		}
		return writeTree(cmd.OutOrStdout(), tree)
	}
	return cmd
}

func writeTree(w io.Writer, tree admin.ActorNode) error {
	var rows [][]string
	tree.Walk(func(n admin.ActorNode, depth int) {
		why := n.Reason
		if why == "" && n.Failure != "" {
			why = "last failure: " + n.Failure
		}
		if !n.RetryAt.IsZero() {
			why += fmt.Sprintf(" (again in %s)", max(time.Until(n.RetryAt), 0).Round(100*time.Millisecond))
		}
		rows = append(rows, []string{strings.Repeat("  ", depth) + n.Name, n.Kind, string(n.State),
			ago(n.Since), fmt.Sprint(n.Restarts), fmt.Sprint(n.Mailbox), orDash(n.Path), firstLine(why)})
	})
	return table(w, "ACTOR KIND STATE SINCE RESTARTS MAILBOX PATH REASON", rows)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// findActor is the path of the one actor that name means.
func findActor(ctx context.Context, c *admin.Client, name string) (string, error) {
	tree, err := c.ActorTree(ctx)
	if err != nil {
		return "", err
	}
	return actorPath(tree, name)
}

// actorPath is the path in tree that is name or ends with it: agent/a1/sink/k1
// is also a1/sink/k1, a1/k1, sink/k1 and k1, where no other is.
func actorPath(tree admin.ActorNode, name string) (string, error) {
	if _, ok := tree.Find(name); ok && name != "" {
		return name, nil
	}
	var meant, all []string
	tree.Walk(func(n admin.ActorNode, _ int) {
		if n.Path == "" {
			return // the node itself
		}
		all = append(all, n.Path)
		if isCalled(n.Path, name) {
			meant = append(meant, n.Path)
		}
	})
	switch len(meant) {
	case 1:
		return meant[0], nil
	case 0:
		return "", fmt.Errorf("actor %s: %w; there are: %s", name, admin.ErrNotFound, orDash(strings.Join(all, ", ")))
	}
	return "", &usageError{fmt.Errorf("actor %s may be any of %s", name, strings.Join(meant, ", "))}
}

func isCalled(path, name string) bool {
	if name == "" {
		return false
	}
	if strings.HasSuffix(path, "/"+name) {
		return true
	}
	parts := strings.Split(path, "/") // agent, its name, sink, its name
	return len(parts) == 4 && name == parts[1]+"/"+parts[3]
}

func newActorInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show one actor, with the whole of its last failure",
		Example: `  sluice actor inspect agent/a1/source/r1
  sluice actor inspect agent/a1 -o json`,
		Args: cobra.ExactArgs(1),
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		path, err := findActor(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		n, err := c.InspectActor(cmd.Context(), path)
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), n)
		}
		return writeActor(cmd.OutOrStdout(), n)
	}
	return cmd
}

func writeActor(w io.Writer, n admin.ActorNode) error {
	rows := [][]string{
		{"path", n.Path}, {"kind", n.Kind},
		{"state", fmt.Sprintf("%s for %s", n.State, ago(n.Since))},
		{"reason", orDash(n.Reason)},
		{"restarts", fmt.Sprint(n.Restarts)},
		{"mailbox", fmt.Sprint(n.Mailbox)},
	}
	if !n.RetryAt.IsZero() {
		rows = append(rows, []string{"again at", n.RetryAt.Format(time.RFC3339)})
	}
	for _, c := range n.Children {
		rows = append(rows, []string{"child", fmt.Sprintf("%s %s", c.Path, c.State)})
	}
	if err := table(w, "FIELD VALUE", rows); err != nil {
		return err
	}
	if n.Failure == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nlast failure, %s ago:\n%s\n", ago(n.FailedAt), n.Failure)
	return err
}

func newDisturb(verb, short string, do func(*admin.Client, context.Context, string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " PATH",
		Short: short + " (only where the node runs with --allow-chaos)",
		Example: fmt.Sprintf(`  sluice actor %s agent/a1/sink/k1
  sluice actor %s agent/a1/channel/c1 --server /var/lib/sluice`, verb, verb),
		Args: cobra.ExactArgs(1),
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		path, err := findActor(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if err := do(c, cmd.Context(), path); err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), map[string]string{verb: path})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: done; `sluice actor tree` shows it come back\n", verb, path)
		return err
	}
	return cmd
}
