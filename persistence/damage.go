package persistence

import (
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/persistence/record"
)

// Doubt is one thing that was promised and is not there, or not whole.
type Doubt struct {
	Log         string // empty when it concerns the store
	First, Next record.Offset
	What        string
}

func (d Doubt) String() string {
	switch {
	case d.Log == "":
		return d.What
	case d.First == d.Next:
		return fmt.Sprintf("log %s: %s", d.Log, d.What)
	}
	return fmt.Sprintf("log %s, offsets %d to %d: %s", d.Log, d.First, d.Next-1, d.What)
}

// ErrDamaged says that the disk has not kept what was written, and exactly
// what is in doubt. Nothing was changed.
type ErrDamaged struct {
	Dir    string
	Doubts []Doubt
}

func (e *ErrDamaged) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the store in %s is damaged", e.Dir)
	for i, d := range e.Doubts {
		if i == 20 {
			fmt.Fprintf(&b, "; and %d more", len(e.Doubts)-i)
			break
		}
		b.WriteString("; ")
		b.WriteString(d.String())
	}
	return b.String()
}

func (l *Log) damaged(first, next record.Offset, what string) error {
	l.s.doubted.Store(true)
	return &ErrDamaged{Dir: l.s.dir, Doubts: []Doubt{{Log: l.name, First: first, Next: next, What: what}}}
}
