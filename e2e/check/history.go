// Package check finds out whether a Kafka broker keeps its promises about
// transactions while things are done to it. Run writes stamped records in
// transactions, some of them aborted, and notes what the broker said of each;
// Read reads the topic, once with everything in it and once as read_committed;
// Judge compares. It knows any broker only by its protocol, so what it says of
// one can be held against what it says of another.
//
// The rules are numbered as in the reliability document: C1 lost, C2 phantom,
// C3 duplicate, C4 order, C5 offsets, C6 monotone, C7 transactions.
package check

import "fmt"

// Outcome is what a writer knows of its transaction.
type Outcome uint8

// The outcomes. Unknown is a transaction whose end was asked for and never
// answered: all of it or nothing.
const (
	Unknown Outcome = iota
	Committed
	Aborted
)

func (o Outcome) String() string { return [...]string{"unknown", "committed", "aborted"}[o] }

// Sent is a record as its writer knows it.
type Sent struct {
	Txn       uint32
	Partition int32
	Offset    int64 // where it was acknowledged; -1: it was not
}

// Txn is a transaction as its writer knows it: the records from First on.
type Txn struct {
	First   uint64
	Records int
	Outcome Outcome
}

// Writer is what one writer did: Sent is by the number of the record, Txns by
// that of the transaction.
type Writer struct {
	Sent []Sent
	Txns []Txn
}

// History is what all writers did, and what the readers of the time saw go
// wrong.
type History struct {
	Writers []*Writer
	// Live are violations that only show while it happens: a reader or a
	// watermark that went back.
	Live []Violation
}

// Violation is a promise that was not kept.
type Violation struct {
	Rule string // C1 to C7
	What string
}

func (v Violation) String() string { return v.Rule + " " + v.What }

// Entry is an offset of a partition as a reader saw it.
type Entry struct {
	Offset  int64
	Control bool // a marker
	Stamp   Stamp
	Sum     uint32 // of the bytes
	Bad     bool   // the bytes are no stamped record
}

// Partition is what was read of one partition in the end.
type Partition struct {
	Start, End, Stable int64   // as ListOffsets says: End is the high watermark
	All                []Entry // markers included
	Committed          []Entry // as read_committed
}

// Reads are the partitions by their index.
type Reads []Partition

// Report is what Judge found.
type Report struct {
	Transactions, Committed, Aborted, Unknown int
	Records, Visible                          int
	// Found counts the violations by rule; Examples holds the first of each.
	Found    map[string]int
	Examples []Violation
}

// examplesMax is how many violations of one rule are shown.
const examplesMax = 10

func (r *Report) add(rule, format string, args ...any) {
	if r.Found == nil {
		r.Found = map[string]int{}
	}
	r.Found[rule]++
	if r.Found[rule] <= examplesMax {
		r.Examples = append(r.Examples, Violation{rule, fmt.Sprintf(format, args...)})
	}
}

// OK says that every promise was kept.
func (r *Report) OK() bool { return len(r.Found) == 0 }

// String is the verdict, rule by rule, with the first violations of each.
func (r *Report) String() string {
	s := fmt.Sprintf("%d transactions: %d committed, %d aborted, %d unknown; %d records, %d visible\n",
		r.Transactions, r.Committed, r.Aborted, r.Unknown, r.Records, r.Visible)
	for _, rule := range [...]string{"C1 lost", "C2 phantom", "C3 duplicate", "C4 order", "C5 offsets", "C6 monotone", "C7 transactions"} {
		s += fmt.Sprintf("%-16s %d violations\n", rule, r.Found[rule[:2]])
		for _, v := range r.Examples {
			if v.Rule == rule[:2] {
				s += "    " + v.What + "\n"
			}
		}
	}
	return s
}
