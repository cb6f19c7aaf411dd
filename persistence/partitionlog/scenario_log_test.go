package partitionlog_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// doLog runs the commands about the batches of the log.
func (w *world) doLog(command string, args []string) error {
	switch command {
	case "fill": // "fill 3 1000 k": three batches of some 1000 bytes with one record, by default with keys of their own
		count, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(args[1])
		for n := range count {
			key := fmt.Sprintf("k%03d", int(w.log.next)+n)
			if len(args) > 2 {
				key = args[2]
			}
			w.propose(batchOf(nobody, pair{key: []byte(key), value: make([]byte, size-record.HeaderSize-11), time: w.now}), partitionlog.Client)
		}
		return w.commitAll(err)
	case "no-time": // a batch whose record carries no time
		w.propose(batchOf(nobody, pair{key: []byte("k"), time: -1}), partitionlog.Client)
		return w.commit(nil)
	case "log":
		return w.showLog()
	case "size":
		w.say("%d bytes from %d to %d", w.index.Size(), w.log.start, w.log.next)
	case "at":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		return w.found(w.index.OffsetAt(&w.log, d.Milliseconds(), w.state.LastStable(w.log.next)))
	case "latest":
		return w.found(w.index.MaxTime(&w.log, w.log.next))
	case "retain":
		return w.retain(settings(args))
	case "delete-to":
		low, err := partitionlog.DeleteTo(w.offset(args[0]), w.log.start, w.log.next)
		if err != nil {
			w.say("refused: %v", err)
			return nil
		}
		w.trim(low)
		w.say("begins at %d", low)
	case "compaction":
		return w.configure(settings(args))
	case "compact":
		return w.compact()
	default:
		return fmt.Errorf("no such command: %s", command)
	}
	return nil
}

func (w *world) commitAll(err error) error {
	if err != nil {
		return err
	}
	return w.commit(nil)
}

func (w *world) found(f partitionlog.Found, ok bool, err error) error {
	if ok {
		w.say("%d of %s, epoch %d", f.Offset, time.Duration(f.Time)*time.Millisecond, f.Epoch)
	} else {
		w.say("none")
	}
	return err
}

func (w *world) retain(set map[string]string) error {
	r := partitionlog.Retention{Bytes: partitionlog.Unlimited, Age: partitionlog.Unlimited}
	hw := w.log.next
	for k, v := range set {
		var err error
		switch k {
		case "bytes":
			r.Bytes, err = strconv.ParseInt(v, 10, 64)
		case "age":
			r.Age, err = time.ParseDuration(v)
		case "hw":
			hw = w.offset(v)
		default:
			err = fmt.Errorf("no setting %s", k)
		}
		if err != nil {
			return err
		}
	}
	start, err := w.index.Retain(&w.log, r, hw, w.now)
	if err != nil {
		return err
	}
	w.trim(start)
	w.say("begins at %d", start)
	return nil
}

func (w *world) configure(set map[string]string) error {
	for k, v := range set {
		var err error
		switch k {
		case "ratio":
			w.compaction.DirtyRatio, err = strconv.ParseFloat(v, 64)
		case "min-lag":
			w.compaction.MinLag, err = time.ParseDuration(v)
		case "max-lag":
			w.compaction.MaxLag, err = time.ParseDuration(v)
		case "tombstones":
			w.compaction.DeleteRetention, err = time.ParseDuration(v)
		case "segment-age":
			w.compaction.SegmentAge, err = time.ParseDuration(v)
		case "segment-bytes":
			w.compaction.SegmentBytes, err = strconv.ParseInt(v, 10, 64)
		case "map":
			w.compaction.MapBytes, err = strconv.Atoi(v)
		default:
			err = fmt.Errorf("no setting %s", k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compact does what a pass does, in memory.
func (w *world) compact() error {
	r, ok, err := w.compaction.Plan(&w.log, w.index, w.dirty, w.state.LastStable(w.log.next), w.log.next, w.now)
	if err != nil || !ok {
		w.say("nothing to do: from %d, new from %d to %d", r.From, r.Dirty, r.To)
		return err
	}
	c := partitionlog.NewCleaner(w.compaction.MapBytes, w.state.Producers(), w.state.Aborted(r.From, r.To), w.compaction.DeleteRetention, w.now)
	c.Begin(r.Dirty)
	for i, e := range w.log.entries {
		if e.Base < r.Dirty || e.Last >= r.To {
			continue
		}
		taken, err := c.Learn(w.log.batches[i])
		if err != nil {
			return err
		}
		if !taken {
			r.To = e.Base
		}
	}
	var entries []persistence.Entry
	var batches []record.Batch
	c.Begin(r.From)
	base := record.Offset(-1)
	for i, e := range w.log.entries {
		b := w.log.batches[i]
		if e.Last < r.To {
			out, err := c.Clean(b, e.Last+1 == r.To, nil)
			if err != nil {
				return err
			}
			if base < 0 {
				base = e.Base
			}
			if out == nil {
				continue
			}
			b, e.Base, e.Bytes, e.MaxTime = out, base, len(out), record.Batch(out).MaxTimestamp()
			if err := b.Validate(); err != nil {
				return err
			}
			base = -1
		}
		entries, batches = append(entries, e), append(batches, b)
	}
	w.log.entries, w.log.batches, w.dirty = entries, batches, r.To
	w.state.DropAborted(c.Gone)
	w.say("from %d, new from %d to %d; markers gone: %v", r.From, r.Dirty, r.To, c.Gone)
	if err := w.index.Recount(&w.log, r.From, r.To); err != nil {
		return err
	}
	return w.showLog()
}

// showLog prints every batch of the log with its records.
func (w *world) showLog() error {
	for i, e := range w.log.entries {
		b := w.log.batches[i]
		var line strings.Builder
		fmt.Fprintf(&line, "%d to %d", b.BaseOffset(), e.Last)
		if b.ProducerID() >= 0 {
			fmt.Fprintf(&line, " producer %d/%d", b.ProducerID(), b.ProducerEpoch())
		}
		if at, ok := b.DeleteHorizon(); ok {
			fmt.Fprintf(&line, " horizon %s", time.Duration(at)*time.Millisecond)
		}
		line.WriteString(":")
		records, _, err := b.Payload(record.DefaultLimits)
		if err != nil {
			return err
		}
		if m, err := partitionlog.ParseMarker(b); err == nil {
			fmt.Fprintf(&line, " %s", map[bool]string{true: "commit", false: "abort"}[m.Commit])
			w.say("%s", line.String())
			continue
		}
		it := record.Iterate(records, b.Count())
		for it.Next() {
			fmt.Fprintf(&line, " %d %s", b.BaseOffset()+record.Offset(it.OffsetDelta()), it.Key())
			if v := it.Value(); len(v) > 50 {
				fmt.Fprintf(&line, "=(%d bytes)", len(v))
			} else if v != nil {
				fmt.Fprintf(&line, "=%s", v)
			}
			if at := b.BaseTimestamp() + it.TimestampDelta(); at != b.MaxTimestamp() {
				fmt.Fprintf(&line, " (%s)", time.Duration(at)*time.Millisecond)
			}
		}
		w.say("%s", line.String())
	}
	return nil
}
