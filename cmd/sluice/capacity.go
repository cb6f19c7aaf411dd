package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

// capacityFlags are the flags of sluice capacity.
type capacityFlags struct {
	seconds        float64
	rate           float64
	size, replicas int
	kafka          bool
	flush, dir     string
}

func newCapacity() *cobra.Command {
	f := &capacityFlags{}
	cmd := &cobra.Command{
		Use:   "capacity FILE",
		Short: "Measure each stage of a file on this machine, and say how much of what a load needs",
		Long: `Capacity runs every source, channel and sink of FILE on its own between cheap neighbours, then
the whole path, in a temporary directory: sources read generated lines, sinks write there. Where
FILE has topics, or with --kafka, it measures a partition, a broker, a producer and a consumer too.

It prints what the slowest stage of each path allows (the cores count as one, by what the records cost on
all stages) and what was measured of the whole, the room
that queueing needs (at 70 and 90 % of that rate a record is under way 3.3 and 10 times its service
time), the formulas channel x sink / source and partitions x broker / producer with what is
wrong with them, and how many partitions, sinks and nodes carry --rate records a second.`,
		Example: `  sluice capacity flume.conf
  sluice capacity --rate 50000 --size 1024 --replicas 3 orders.yaml -o json`,
		Args: cobra.ExactArgs(1),
	}
	form, def := withOutput(cmd), withDefinition(cmd)
	l := cmd.Flags()
	l.Float64Var(&f.seconds, "seconds", 1.5, "how long each stage is measured")
	l.Float64Var(&f.rate, "rate", 0, "records a second to plan for; 0: what FILE limits itself to, else 100000")
	l.IntVar(&f.size, "size", 0, "bytes of a record; 0: what FILE says, else 208")
	l.IntVar(&f.replicas, "replicas", 0, "copies of each record in a topic; 0: what FILE says, else 1")
	l.BoolVar(&f.kafka, "kafka", false, "measure topics even if FILE has none")
	l.StringVar(&f.flush, "flush", "always", "flush policy of the store")
	l.StringVar(&f.dir, "dir", "", "directory to work in; one below the temporary directory unless given")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !(f.seconds > 0 && f.seconds <= 600):
			return &usageError{fmt.Errorf("--seconds %v: want more than 0, at most 600", f.seconds)}
		case !(f.rate >= 0 && f.rate <= 1e12):
			return &usageError{fmt.Errorf("--rate %v: want records a second, from 0 on", f.rate)}
		case f.size != 0 && (f.size < 8 || f.size > capacitySizeMax):
			return &usageError{fmt.Errorf("--size %d: want 8 to %d bytes", f.size, capacitySizeMax)}
		case f.replicas < 0 || f.replicas > 1000:
			return &usageError{fmt.Errorf("--replicas %d: want 1 to 1000", f.replicas)}
		}
		d, err := def.read(args...)
		if err != nil {
			return err
		}
		t, faults := loader(false)(d)
		if t == nil || len(t.Agents)+len(t.Topics) == 0 || !(def.lenient || def.compat) && topologies.Failed(faults, d.Agent) {
			return &admin.ConfigError{Faults: faults}
		}
		return runCapacity(cmd, f, *form, t, args[0])
	}
	return cmd
}

// capacitySizeMax is the largest record: a source of lines takes some more, and
// a topic takes batches of a mebibyte.
const capacitySizeMax = 512 << 10

// capacityReport is everything that was found out.
type capacityReport struct {
	File     string         `json:"file"`
	Cores    int            `json:"cores"`
	Seconds  float64        `json:"secondsAStage"`
	Asked    capacityAsked  `json:"asked"`
	Stages   []capacityPart `json:"stages"`
	Paths    []capacityPath `json:"paths"`
	Needs    []need         `json:"needs"`
	Absent   []string       `json:"absent"` // what FILE does not have, or nobody could measure
	baseline capacityPart   // of the neighbours alone
}

// capacityPart is one stage as it was measured.
type capacityPart struct {
	Path      string  `json:"path"`
	Stage     string  `json:"stage"` // source, channel, sink, partition, broker, producer, consumer
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	PerSecond float64 `json:"recordsPerSecond"` // 0: not measured
	MBs       float64 `json:"mbPerSecond"`
	CPU       float64 `json:"cpuMicrosecondsPerRecord"` // of a core, neighbours included
	Why       string  `json:"notMeasured,omitempty"`
}

// capacityRun measures the stages of one file.
type capacityRun struct {
	f      *capacityFlags
	asked  capacityAsked
	dir    string
	feed   string // the file of generated lines; "" when no source reads any
	lines  int64  // in it
	stages int    // nodes started so far
}

// capacityJob measures one stage.
type capacityJob struct {
	part    capacityPart
	measure func(context.Context) (flow, error)
}

func runCapacity(cmd *cobra.Command, f *capacityFlags, form string, t *topologies.Topology, file string) (err error) {
	dir, err := os.MkdirTemp(f.dir, "sluice-capacity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	r := &capacityRun{f: f, asked: askedOf(f, t), dir: dir}
	report := &capacityReport{File: file, Cores: runtime.GOMAXPROCS(0), Seconds: f.seconds, Asked: r.asked,
		Stages: []capacityPart{}, Paths: []capacityPath{}, Needs: []need{}, Absent: []string{}}
	ways, absent := waysOf(t)
	report.Absent = append(report.Absent, absent...)
	if needsFeed(ways) {
		if err := r.writeFeed(); err != nil {
			return err
		}
	}
	jobs := r.agentJobs(ways)
	partitions, why := topicsOf(t, f.kafka)
	var k *kafkaCapacity
	if partitions > 0 {
		k = &kafkaCapacity{run: r, partitions: partitions}
		jobs = append(jobs, k.jobs()...)
		defer k.stop()
	} else {
		report.Absent = append(report.Absent, why)
	}
	done, err := measureAll(cmd.Context(), cmd.ErrOrStderr(), jobs)
	if err != nil {
		return err
	}
	report.conclude(ways, k, done)
	if len(report.Stages) > 0 && !report.anything() {
		err = &exitError{exitFailed, errors.New("nothing could be measured; the reasons are above")}
	}
	if form == "json" {
		return errors.Join(writeJSON(cmd.OutOrStdout(), report), err)
	}
	return errors.Join(report.write(cmd.OutOrStdout()), err)
}

// measureAll runs one job after the other. One that cannot be measured says why;
// only an interruption ends them all.
func measureAll(ctx context.Context, w io.Writer, jobs []capacityJob) ([]capacityPart, error) {
	progress := newProgress(w, int64(len(jobs)))
	defer progress.end()
	var done []capacityPart
	for _, j := range jobs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := j.part
		if p.Why == "" {
			fl, err := j.measure(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				p.Why = err.Error()
			} else {
				p.PerSecond, p.MBs, p.CPU = fl.perSecond(), fl.perSecond()*float64(fl.size)/1e6, fl.cpuEach()*1e6
			}
		}
		done = append(done, p)
		progress.add(1)
	}
	return done, nil
}

// anything says whether one stage at least has a rate.
func (r *capacityReport) anything() bool {
	for _, s := range r.Stages {
		if s.PerSecond > 0 {
			return true
		}
	}
	return false
}
