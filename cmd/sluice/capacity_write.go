package main

import (
	"fmt"
	"io"
	"strconv"
)

// figure is a rate for people: three digits say more than a machine can repeat.
func figure(v float64) string {
	switch {
	case v <= 0:
		return "?"
	case v >= 999.5e6:
		return strconv.FormatFloat(v/1e9, 'f', 2, 64) + "G"
	case v >= 999.5e3:
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + "M"
	case v >= 9_999.5:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	case v < 100:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func (r *capacityReport) write(w io.Writer) error {
	fmt.Fprintf(w, "%s: records of %d bytes (%s), %s, %v s a stage\n\n", r.File, r.Asked.Size, r.Asked.SizeFrom, plural(r.Cores, "core"), r.Seconds)
	var rows [][]string
	for _, s := range r.Stages {
		row := []string{s.Path, s.Stage, s.Name, s.Kind}
		if s.Why != "" {
			rows = append(rows, append(row, "-", "-", "-"))
			continue
		}
		rows = append(rows, append(row, figure(s.PerSecond), strconv.FormatFloat(s.MBs, 'f', 1, 64), strconv.FormatFloat(s.CPU, 'f', 2, 64)))
	}
	if err := table(w, "PATH STAGE NAME KIND RECORDS/S MB/S CPU-US/RECORD", rows); err != nil {
		return err
	}
	for _, p := range r.Paths {
		fmt.Fprintln(w)
		if err := p.write(w); err != nil {
			return err
		}
	}
	if err := r.writeNeeds(w); err != nil {
		return err
	}
	if len(r.Absent) > 0 {
		fmt.Fprintln(w)
	}
	for _, a := range r.Absent {
		fmt.Fprintln(w, "not here:", a)
	}
	return nil
}

func (p *capacityPath) write(w io.Writer) error {
	fmt.Fprintf(w, "path %s\n", p.Path)
	var rows [][]string
	row := func(what, format string, args ...any) {
		rows = append(rows, []string{"  " + what, fmt.Sprintf(format, args...)})
	}
	pools := ""
	for i, l := range p.Pools {
		if i > 0 {
			pools += ", "
		}
		pools += l.Kind + " " + figure(l.Rate)
	}
	row("stages", "%s records/s", pools)
	if p.Slowest.Rate == 0 {
		row("bottleneck", "not known: no stage was measured")
	} else {
		row("bottleneck", "%s: %s records/s, the slowest", p.Slowest.Kind, figure(p.Slowest.Rate))
	}
	switch {
	case p.Measured > 0 && p.Ratio > 0:
		row("measured", "%s records/s of the whole: %.2f of what the stages predict%s", figure(p.Measured), p.Ratio, p.sharing())
	case p.NoWhole != "":
		row("measured", "not the whole: %s", p.NoWhole)
	default:
		row("measured", "not the whole: there is a part without the others")
	}
	for _, h := range p.Headroom {
		row(fmt.Sprintf("at %.0f %%", 100*h.Utilisation), "%s records/s; with queueing a record is under way %.1f times its service time", figure(h.PerSecond), h.Waiting)
	}
	if p.Article.Unknown != "" {
		row("article", "%s: not known, %s", p.Article.Formula, p.Article.Unknown)
	} else {
		row("article", "%s = %s", p.Article.Formula, figure(p.Article.Value))
	}
	row("differs", "%s", p.Article.Differs)
	for _, l := range rows {
		if _, err := fmt.Fprintf(w, "%-14s%s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

func (r *capacityReport) writeNeeds(w io.Writer) error {
	if len(r.Needs) == 0 {
		return nil
	}
	a := r.Asked
	fmt.Fprintf(w, "\nfor %s records/s (%s) of %d bytes (%s), %s of each in topics (%s):\n",
		strconv.FormatFloat(a.Rate, 'f', -1, 64), a.RateFrom, a.Size, a.SizeFrom, copies(a.Replicas), a.ReplicasFrom)
	var rows [][]string
	for _, n := range r.Needs {
		rows = append(rows, []string{n.Path, n.What, figure(n.One), orUnknown(n.Calm), orUnknown(n.Busy)})
	}
	if err := table(w, "PATH NEEDS ONE-DOES AT-70% AT-90%", rows); err != nil {
		return err
	}
	if a.Replicas > 1 {
		_, err := fmt.Fprintf(w, "the copies count as writes of %d nodes; what the network between them costs was not measured\n", a.Replicas)
		return err
	}
	return nil
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

func orUnknown(n int) string {
	if n == 0 {
		return "?"
	}
	return strconv.Itoa(n)
}

// sharing is the reason where the whole is much slower than its stages.
func (p *capacityPath) sharing() string {
	if p.Ratio >= 0.8 {
		return ""
	}
	return "; alone each stage had the disk and the cores to itself, together they wait for each other"
}
