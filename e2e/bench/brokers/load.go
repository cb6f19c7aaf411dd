package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// load is what a client does.
type load struct {
	addr       string
	topic      string
	size       int // bytes of a value
	records    int
	partitions int
	rate       int           // records a second, for latency
	span       time.Duration // of a latency run
}

const (
	runMax    = 3 * time.Minute
	bufferMax = 64 << 20 // bytes of records on their way
)

// payloads are values that do not compress.
func (l load) payloads() [][]byte {
	r := rand.New(rand.NewPCG(42, 42))
	out := make([][]byte, 64)
	for i := range out {
		out[i] = make([]byte, l.size)
		for j := 0; j+8 <= l.size; j += 8 {
			binary.LittleEndian.PutUint64(out[i][j:], r.Uint64())
		}
	}
	return out
}

func (l load) create(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	answers, err := kadm.NewClient(cl).CreateTopics(ctx, int32(l.partitions), 1, nil, l.topic)
	if err == nil {
		err = answers.Error()
	}
	return err
}

// produce writes all records and waits for every acknowledgement.
func (l load) produce(ctx context.Context) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.DefaultProduceTopic(l.topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(max(bufferMax/l.size, 1000)), kgo.MaxBufferedBytes(bufferMax), kgo.RecordPartitioner(kgo.StickyPartitioner()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		return 0, err
	}
	values := l.payloads()
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	began := time.Now()
	for i := range l.records {
		cl.Produce(ctx, &kgo.Record{Value: values[i%len(values)]}, done)
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return took, nil
}

// consume reads all records from the start.
func (l load) consume(ctx context.Context) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	began := time.Now()
	for n := 0; n < l.records; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			return 0, fmt.Errorf("after %d of %d records: %w", n, l.records, err)
		}
		n += fs.NumRecords()
	}
	return time.Since(began), nil
}

// latency sends records at a rate, each alone, and measures until each has been
// consumed.
func (l load) latency(ctx context.Context) ([]time.Duration, error) {
	reader, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMinBytes(1), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	writer, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.DefaultProduceTopic(l.topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	if err := writer.Ping(ctx); err != nil {
		return nil, err
	}
	total := int(float64(l.rate) * l.span.Seconds())
	zero := time.Now()
	var took []time.Duration
	var reading sync.WaitGroup
	var failed error
	reading.Go(func() {
		for len(took) < total {
			fs := reader.PollFetches(ctx)
			if failed = fs.Err0(); failed != nil {
				return
			}
			now := time.Since(zero)
			fs.EachRecord(func(r *kgo.Record) {
				took = append(took, now-time.Duration(binary.LittleEndian.Uint64(r.Value)))
			})
		}
	})
	each := time.Second / time.Duration(l.rate)
	for i := range total {
		if early := time.Duration(i)*each - time.Since(zero); early > 0 {
			time.Sleep(early)
		}
		value := make([]byte, l.size)
		binary.LittleEndian.PutUint64(value, uint64(time.Since(zero)))
		writer.Produce(ctx, &kgo.Record{Value: value}, nil)
	}
	reading.Wait()
	took = took[min(len(took), l.rate):] // the first second warms up
	slices.Sort(took)
	return took, failed
}
