package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Workload says what Run does.
type Workload struct {
	Seeds        []string // of the broker
	Topic        string   // exists and is empty
	Partitions   int32
	Writers      int
	Transactions int // of all writers together
	RecordsMax   int // of a transaction
	// Abort is the share of the transactions that are to be aborted.
	Abort   float64
	Timeout time.Duration // of a transaction
	Seed    uint64
	// Ended is called after every transaction with the number of those that have
	// ended; from many goroutines.
	Ended func(n int)
	// Options are added to those of every client.
	Options []kgo.Opt
}

// Run writes the transactions and reads along. It goes on whatever the broker
// does, until every transaction has ended or ctx has.
func Run(ctx context.Context, w Workload) (*History, error) {
	h := &History{}
	readers, stop := context.WithCancel(ctx)
	defer stop()
	var reading, writing sync.WaitGroup
	live := make([][]Violation, 2)
	for i, level := range []kgo.IsolationLevel{kgo.ReadUncommitted(), kgo.ReadCommitted()} {
		reading.Go(func() { live[i] = follow(readers, w, level) })
	}
	var left, ended atomic.Int64
	left.Store(int64(w.Transactions))
	errs := make([]error, w.Writers)
	for i := range w.Writers {
		writer := &Writer{}
		h.Writers = append(h.Writers, writer)
		s := scribe{w: w, n: uint32(i), writer: writer, rnd: rand.New(rand.NewPCG(w.Seed, uint64(i)))}
		writing.Go(func() {
			defer s.close()
			for ctx.Err() == nil && left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = s.transaction(ctx)
				if n := ended.Add(1); w.Ended != nil {
					w.Ended(int(n))
				}
			}
		})
	}
	writing.Wait()
	stop()
	reading.Wait()
	for _, l := range live {
		h.Live = append(h.Live, l...)
	}
	return h, errors.Join(append(errs, ctx.Err())...)
}

// scribe is one writer with a transactional id of its own.
type scribe struct {
	w      Workload
	n      uint32
	writer *Writer
	rnd    *rand.Rand
	client *kgo.Client
}

func (s *scribe) close() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// open makes the client anew, which fences the one before: its transaction is
// aborted, unless it was decided.
func (s *scribe) open() error {
	s.close()
	options := append([]kgo.Opt{
		kgo.SeedBrokers(s.w.Seeds...),
		kgo.ClientID(fmt.Sprintf("check-%d", s.n)),
		kgo.TransactionalID(fmt.Sprintf("check-%s-%d", s.w.Topic, s.n)),
		kgo.TransactionTimeout(s.w.Timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(s.w.Topic),
		kgo.ProducerLinger(0),
		kgo.RequestRetries(1 << 20),
		kgo.RetryTimeout(s.w.Timeout),
	}, s.w.Options...)
	client, err := kgo.NewClient(options...)
	s.client = client
	return err
}

// transaction writes one transaction and notes what became of it. Its error is
// one of the set-up: nothing can be checked any more.
func (s *scribe) transaction(ctx context.Context) error {
	if s.client == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	for s.client.BeginTransaction() != nil { // the client is beyond recovery
		if err := s.open(); err != nil {
			return err
		}
	}
	t := Txn{First: uint64(len(s.writer.Sent)), Records: 1 + s.rnd.IntN(s.w.RecordsMax)}
	number := uint32(len(s.writer.Txns))
	abort := s.rnd.Float64() < s.w.Abort
	flushed := s.rnd.IntN(2) == 0 // of an aborted one
	for i := range t.Records {
		s.writer.Sent = append(s.writer.Sent, Sent{Txn: number, Partition: s.rnd.Int32N(s.w.Partitions), Offset: -1})
		if i > 0 && s.rnd.IntN(8) == 0 { // in several requests
			s.writer.Sent[len(s.writer.Sent)-1].Partition = s.writer.Sent[len(s.writer.Sent)-2].Partition
		}
	}
	sent := s.writer.Sent[t.First:]
	var failed atomic.Bool
	for i := range sent {
		seq := t.First + uint64(i)
		value := Stamp{Writer: s.n, Txn: number, Seq: seq}.Append(nil)
		s.client.Produce(ctx, &kgo.Record{Partition: sent[i].Partition, Value: value}, func(r *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
				return
			}
			sent[i].Offset = r.Offset
		})
		if s.rnd.IntN(4) == 0 {
			s.client.Flush(ctx)
		}
	}
	if !abort || flushed {
		s.client.Flush(ctx)
	}
	t.Outcome = Aborted
	if !abort && !failed.Load() {
		switch err := s.client.EndTransaction(ctx, kgo.TryCommit); {
		case err == nil:
			t.Outcome = Committed
		case errors.Is(err, kerr.OperationNotAttempted), errors.Is(err, kerr.TransactionAbortable):
			s.abort(ctx)
		default:
			t.Outcome = Unknown
			s.abort(ctx)
		}
	} else {
		s.abort(ctx)
	}
	s.writer.Txns = append(s.writer.Txns, t)
	return nil
}

// abort ends the transaction, if need be with a new client.
func (s *scribe) abort(ctx context.Context) {
	if s.client.AbortBufferedRecords(ctx) != nil || s.client.EndTransaction(ctx, kgo.TryAbort) != nil {
		s.close()
	}
}

// follow reads the topic while it is written, and notes what goes back: the
// offsets of a partition, its high watermark, its last stable offset.
func follow(ctx context.Context, w Workload, level kgo.IsolationLevel) (found []Violation) {
	from := map[int32]kgo.Offset{}
	for p := range w.Partitions {
		from[p] = kgo.NewOffset().At(0)
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.Seeds...), kgo.ClientID("check-reader"), kgo.FetchIsolationLevel(level),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.Topic: from}), kgo.FetchMaxWait(500 * time.Millisecond),
	}, w.Options...)...)
	if err != nil {
		return []Violation{{"C6", fmt.Sprintf("the reader did not start: %v", err)}}
	}
	defer client.Close()
	type marks struct{ next, high, stable int64 }
	last := make([]marks, w.Partitions)
	back := func(p int32, what string, from, to int64) {
		if len(found) < examplesMax {
			found = append(found, Violation{"C6", fmt.Sprintf("partition %d: %s went back from %d to %d", p, what, from, to)})
		}
	}
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachPartition(func(f kgo.FetchTopicPartition) {
			if f.Err != nil { // of the whole client, too
				return
			}
			m := &last[f.Partition]
			for _, r := range f.Records {
				if r.Offset < m.next {
					back(f.Partition, "what a reader gets", m.next-1, r.Offset)
				}
				m.next = max(m.next, r.Offset+1)
			}
			if f.HighWatermark < m.high {
				back(f.Partition, "the high watermark", m.high, f.HighWatermark)
			}
			if f.LastStableOffset < m.stable {
				back(f.Partition, "the last stable offset", m.stable, f.LastStableOffset)
			}
			m.high, m.stable = max(m.high, f.HighWatermark), max(m.stable, f.LastStableOffset)
		})
	}
	return found
}
