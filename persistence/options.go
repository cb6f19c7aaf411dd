package persistence

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/segment"
)

// Options of a store. The zero value is what production uses.
type Options struct {
	Flush Policy // of logs that name none; zero: Always
	// Threshold is in bytes: larger payloads go into segments, and so do those
	// behind twice as much of the same log that is still on its way. 0: 16 KiB.
	Threshold    int
	SegmentBytes int64 // 0: 128 MiB
	SyncWorkers  int   // segments synced at the same time; 0: 16
	OpenFiles    int   // segments kept open; 0: 256
	// MinFree is how much of the volume must stay free for writes to be
	// taken. 0: 500 MiB as Flume has it, less on a small volume.
	MinFree int64

	Log *slog.Logger
	// Fatal is told the one error that stops the store for good. The default
	// prints it and ends the process with exit code 74: a store that failed to
	// write is never asked to go on.
	Fatal  func(error)
	Faults Faults // nil in production
	// SkipChild opens Badger in this process even after an unclean stop.
	SkipChild bool
	// BootID names the run of the machine; empty: the kernel's.
	BootID string
}

// Faults is asked before everything that changes the disk, with the names of
// the steps below and in persistence/segment.
type Faults = segment.Faults

// The steps of the store besides those of its segments.
const (
	OpCommit  = "commit"
	OpWitness = "witness.sync"
)

const (
	// Of the memory that Badger needs, most is a multiple of these two: it keeps
	// up to eight builders of tables for good, each twice as large as a memtable,
	// or six times when the entries are larger than a block.
	memtableBytes = 8 << 20
	blockBytes    = 32 << 10
	txnBytes      = 1 << 20 // below the 15 % of a memtable that Badger takes
	txnKeys       = 10_000
	// What an entry and a change count for, at least: Badger bounds the number
	// of keys as well.
	entryBytes      = 256
	changeBytes     = 128
	valueMax        = 1 << 20 // Badger would put larger values into its value log
	lazyBytes       = 1 << 20 // of changes per transaction under a lazy policy
	lazySyncBytes   = 64 << 20
	groupBytes      = 16 << 20 // written before one sync
	thresholdNormal = 16 << 10
)

func (o Options) withDefaults() Options {
	if o.Flush == (Policy{}) {
		o.Flush = Always
	}
	if o.Threshold == 0 {
		o.Threshold = thresholdNormal
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 128 << 20
	}
	if o.SyncWorkers == 0 {
		o.SyncWorkers = 16
	}
	if o.OpenFiles == 0 {
		o.OpenFiles = 256
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) {
			fmt.Fprintln(os.Stderr, "sluice: the store stopped:", err)
			os.Exit(74)
		}
	}
	return o
}

// Policy says when a write is acknowledged.
type Policy struct {
	kind  policyKind
	every time.Duration
}

type policyKind uint8

const (
	policyUnset policyKind = iota
	policyAlways
	policyLazy
)

// Always acknowledges what is on disk.
var Always = Policy{kind: policyAlways}

// Interval acknowledges what the operating system has taken, and brings it to
// disk at most d later.
func Interval(d time.Duration) Policy { return Policy{kind: policyLazy, every: d} }

// ParsePolicy reads "always", "interval:D" or "os" (interval:1s).
func ParsePolicy(s string) (Policy, error) {
	switch d, lazy := strings.CutPrefix(s, "interval:"); {
	case s == "always":
		return Always, nil
	case s == "os":
		return Interval(time.Second), nil
	case lazy:
		every, err := time.ParseDuration(d)
		if err != nil || every <= 0 {
			return Policy{}, fmt.Errorf("flush policy %q: want a duration above zero after interval:", s)
		}
		return Interval(every), nil
	}
	return Policy{}, fmt.Errorf("flush policy %q: want always, interval:D or os", s)
}

func (p Policy) String() string {
	switch p.kind {
	case policyAlways:
		return "always"
	case policyLazy:
		return "interval:" + p.every.String()
	}
	return ""
}

func (p Policy) lazy() bool { return p.kind == policyLazy }

// LogOptions of one log.
type LogOptions struct {
	Flush Policy // zero: the store's
	// State are key prefixes: the values below them are part of the log. A
	// state frame carries them, and under a lazy policy they reach the disk in
	// order with its batches.
	State [][]byte
	// Raft: the appends are raft entries; see raft.go.
	Raft bool
}
