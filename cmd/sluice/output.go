package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// withOutput gives cmd the flag -o and returns where its value will stand.
func withOutput(cmd *cobra.Command, forms ...string) *string {
	if len(forms) == 0 {
		forms = []string{"table", "json"}
	}
	form := cmd.Flags().StringP("output", "o", forms[0], "form of the output: "+strings.Join(forms, ", "))
	checkFirst(cmd, func() error {
		for _, f := range forms {
			if *form == f {
				return nil
			}
		}
		return &usageError{fmt.Errorf("-o %s: want one of %s", *form, strings.Join(forms, ", "))}
	})
	return form
}

// checkFirst runs check before the command does anything.
func checkFirst(cmd *cobra.Command, check func() error) {
	before := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if before != nil {
			if err := before(c, args); err != nil {
				return err
			}
		}
		return check()
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeJSONLine writes v as one line, for scripts that read line by line.
func writeJSONLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// table writes rows under a head, in columns. Nothing is cut.
func table(w io.Writer, head string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(head, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

// ago is how long t is past, for people: "3m12s".
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := time.Since(t)
	if d >= time.Minute {
		d = d.Round(time.Second)
	} else {
		d = d.Round(100 * time.Millisecond)
	}
	return max(d, 0).String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
