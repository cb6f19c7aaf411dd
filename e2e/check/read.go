package check

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Settle waits until no transaction is under way any more: each partition is
// stable up to its end, and no transactional id is in a state that is not final.
// It answers what still hangs when ctx ends.
func Settle(ctx context.Context, w Workload) error {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.Seeds...), kgo.ClientID("check-settle")}, w.Options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var hangs error
	for {
		if hangs = hanging(ctx, admin, w); hangs == nil {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return hangs
		}
	}
}

func hanging(ctx context.Context, admin *kadm.Client, w Workload) error {
	ends, err := admin.ListEndOffsets(ctx, w.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	stable, err := admin.ListCommittedOffsets(ctx, w.Topic)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return err
	}
	var errs []error
	ends.Each(func(o kadm.ListedOffset) {
		if s, ok := stable.Lookup(o.Topic, o.Partition); !ok || s.Offset != o.Offset {
			errs = append(errs, fmt.Errorf("%s-%d: stable up to %d of %d", o.Topic, o.Partition, s.Offset, o.Offset))
		}
	})
	list, err := admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		return err
	}
	for _, t := range list.Sorted() {
		errs = append(errs, fmt.Errorf("transactional id %s is %s", t.TxnID, t.State))
	}
	return errors.Join(errs...)
}

// Read reads the topic to its end, twice.
func Read(ctx context.Context, w Workload) (Reads, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.Seeds...), kgo.ClientID("check-ends")}, w.Options...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	reads := make(Reads, w.Partitions)
	for _, list := range []struct {
		ask  func(context.Context, ...string) (kadm.ListedOffsets, error)
		note func(*Partition, int64)
	}{
		{admin.ListStartOffsets, func(p *Partition, o int64) { p.Start = o }},
		{admin.ListEndOffsets, func(p *Partition, o int64) { p.End = o }},
		{admin.ListCommittedOffsets, func(p *Partition, o int64) { p.Stable = o }},
	} {
		offsets, err := list.ask(ctx, w.Topic)
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("list offsets: %w", err)
		}
		for p := range reads {
			o, ok := offsets.Lookup(w.Topic, int32(p))
			if !ok {
				return nil, fmt.Errorf("list offsets: nothing about partition %d", p)
			}
			list.note(&reads[p], o.Offset)
		}
	}
	if err := readAll(ctx, w, reads, kgo.ReadUncommitted(), func(p *Partition) *[]Entry { return &p.All }); err != nil {
		return reads, fmt.Errorf("read everything: %w", err)
	}
	if err := readAll(ctx, w, reads, kgo.ReadCommitted(), func(p *Partition) *[]Entry { return &p.Committed }); err != nil {
		return reads, fmt.Errorf("read what is committed: %w", err)
	}
	return reads, nil
}

// readAll reads every partition up to its end. Markers are read too, so that a
// partition which ends with one has an end that can be seen.
func readAll(ctx context.Context, w Workload, reads Reads, level kgo.IsolationLevel, into func(*Partition) *[]Entry) error {
	committed := level == kgo.ReadCommitted()
	end := func(p *Partition) int64 {
		if committed {
			return p.Stable
		}
		return p.End
	}
	from := map[int32]kgo.Offset{}
	left := 0
	for p := range reads {
		if reads[p].Start < end(&reads[p]) {
			from[int32(p)] = kgo.NewOffset().At(reads[p].Start)
			left++
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.Seeds...), kgo.ClientID("check-read"), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.Topic: from}),
	}, w.Options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d partitions are not at their end: %w", left, err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			p := &reads[f.Partition]
			for _, r := range f.Records {
				list := into(p)
				if !committed || !r.Attrs.IsControl() {
					*list = append(*list, entryOf(r))
				}
				if r.Offset == end(p)-1 {
					left--
				}
			}
		})
	}
	return nil
}

func entryOf(r *kgo.Record) Entry {
	e := Entry{Offset: r.Offset, Control: r.Attrs.IsControl(), Sum: crc32.Checksum(r.Value, castagnoli)}
	if !e.Control {
		var err error
		e.Stamp, err = ParseStamp(r.Value)
		e.Bad = err != nil
	}
	return e
}
