package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/persistence"
)

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Read a whole store and say whether everything that was promised is there",
		Long: `Check reads every batch of the store in DIR and its checksum, and changes nothing. The node
must be stopped. With damage it exits with 74 and says exactly what is in doubt. Ranges without records
that are no damage (lost under a lazy flush policy when the machine stopped, or given up in a
repair) are named too.`,
		Example: `  sluice check /var/lib/sluice
  sluice check ~/.flume/sluice/a1 -o json`,
		Args: cobra.ExactArgs(1),
	}
	form := withOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := persistence.Check(args[0], persistence.Options{Log: newLogger(cmd.ErrOrStderr(), "warn")})
		if err != nil {
			return err
		}
		if err := writeReport(cmd.OutOrStdout(), *form, args[0], r); err != nil {
			return err
		}
		if len(r.Doubts) > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "to go on from what is left: sluice repair %s --accept-loss\n", args[0])
			return &exitError{exitDisk, nil}
		}
		return nil
	}
	return cmd
}

// reportJSON is a persistence.Report for scripts.
type reportJSON struct {
	Dir      string      `json:"dir"`
	Sequence uint64      `json:"sequence"`
	Logs     []logJSON   `json:"logs"`
	Doubts   []doubtJSON `json:"doubts"`
	Remarks  []doubtJSON `json:"remarks"` // ranges without records that are no damage
	Kept     string      `json:"kept,omitempty"`
}

type logJSON struct {
	Name    string `json:"name"`
	Start   int64  `json:"start"`
	Next    int64  `json:"next"`
	Batches int    `json:"batches"`
	Bytes   int64  `json:"bytes"`
}

type doubtJSON struct {
	Log   string `json:"log,omitempty"`
	First int64  `json:"first"`
	Next  int64  `json:"next"`
	What  string `json:"what"`
}

func writeReport(w io.Writer, form, dir string, r persistence.Report) error {
	if form == "json" {
		out := reportJSON{Dir: dir, Sequence: r.Sequence, Logs: []logJSON{}, Doubts: []doubtJSON{}, Remarks: []doubtJSON{}, Kept: r.Kept}
		for _, l := range r.Logs {
			out.Logs = append(out.Logs, logJSON{l.Name, int64(l.Start), int64(l.Next), l.Batches, l.Bytes})
		}
		for _, d := range r.Doubts {
			out.Doubts = append(out.Doubts, doubtJSON{d.Log, int64(d.First), int64(d.Next), d.What})
		}
		for _, d := range r.Remarks {
			out.Remarks = append(out.Remarks, doubtJSON{d.Log, int64(d.First), int64(d.Next), d.What})
		}
		return writeJSON(w, out)
	}
	var rows [][]string
	for _, l := range r.Logs {
		rows = append(rows, []string{l.Name, fmt.Sprint(l.Start), fmt.Sprint(l.Next), fmt.Sprint(int64(l.Next - l.Start)), fmt.Sprint(l.Batches), fmt.Sprint(l.Bytes)})
	}
	if err := table(w, "LOG START NEXT RECORDS BATCHES BYTES", rows); err != nil {
		return err
	}
	for _, d := range r.Remarks {
		fmt.Fprintf(w, "no records: %s\n", d)
	}
	for _, d := range r.Doubts {
		fmt.Fprintf(w, "in doubt: %s\n", d)
	}
	if len(r.Doubts) == 0 {
		fmt.Fprintf(w, "%s: whole, up to transaction %d\n", dir, r.Sequence)
	}
	return nil
}
