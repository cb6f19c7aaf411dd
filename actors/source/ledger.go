package source

import "sync"

// Tally is where the records of a source are, at one moment:
// Received + Copied = Dropped + Held + Put.
type Tally struct {
	Received int64
	Copied   int64 // further copies for further channels; negative for records that a channel had already
	Dropped  int64 // by interceptors and selector
	Held     int64 // on the way to a channel
	Put      int64 // into channels
}

// ledger keeps a Tally whose numbers always fit each other.
type ledger struct {
	mu    sync.Mutex
	tally Tally
}

func (l *ledger) change(fn func(t *Tally)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.tally)
}

// begin counts n records that came in.
func (l *ledger) begin(n int) {
	l.change(func(t *Tally) { t.Received += int64(n); t.Held += int64(n) })
}

// undo counts n records that were not taken in after all.
func (l *ledger) undo(n int) {
	l.change(func(t *Tally) { t.Received -= int64(n); t.Held -= int64(n) })
}

// route counts that of n records dropped go nowhere and the others make copies.
func (l *ledger) route(n, dropped, copies int) {
	l.change(func(t *Tally) {
		t.Dropped += int64(dropped)
		t.Copied += int64(copies - (n - dropped))
		t.Held += int64(copies - n)
	})
}

// arrive counts copies that are in their channels.
func (l *ledger) arrive(copies int) {
	l.change(func(t *Tally) { t.Held -= int64(copies); t.Put += int64(copies) })
}

// lose counts copies, in as many shares of a batch, that no channel took.
func (l *ledger) lose(copies, shares int) {
	l.change(func(t *Tally) {
		received := 0
		if shares > 0 {
			received = copies / shares
		}
		t.Received -= int64(received)
		t.Copied -= int64(copies - received)
		t.Held -= int64(copies)
	})
}

func (l *ledger) refuse(shares []share) { l.lose(copiesOf(shares), len(shares)) }

func (l *ledger) now() (t Tally) {
	l.change(func(now *Tally) { t = *now })
	return t
}
