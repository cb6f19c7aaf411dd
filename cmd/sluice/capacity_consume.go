package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consume reads a topic from its start, as far as there is something and a
// stage lasts.
func (k *kafkaCapacity) consume(ctx context.Context, topic string, records int64) (flow, error) {
	if records == 0 {
		return flow{}, errors.New("nothing was produced that could be read")
	}
	cl, err := k.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return flow{}, err
	}
	defer cl.Close()
	began := seen{at: time.Now(), cpu: processorTime()}
	var last arrivals
	first, cancel := context.WithTimeout(ctx, k.length()+firstMax)
	defer cancel()
	for last.now.done < records && (last.now.done == 0 || time.Since(last.first.at) < k.length()) {
		fs := cl.PollFetches(first)
		if err := fetchError(fs); err != nil {
			return flow{}, err
		}
		if err := first.Err(); err != nil && fs.NumRecords() == 0 {
			return flow{}, fmt.Errorf("read %s: %w", topic, err)
		}
		last.add(int64(fs.NumRecords()))
	}
	return last.flow(began, k.run.asked.Size), nil
}

// arrivals are what a consumer has got: by its first fetch, and by now.
type arrivals struct{ first, now seen }

func (a *arrivals) add(records int64) {
	if records == 0 {
		return
	}
	a.now = seen{time.Now(), processorTime(), a.now.done + records}
	if a.first.done == 0 {
		a.first = a.now
	}
}

// flow is what came after the first fetch, until which a client has to find its
// way; what came in few fetches counts from the beginning.
func (a *arrivals) flow(began seen, size int) flow {
	from := a.first
	if a.now.done-from.done < a.now.done/2 {
		from = began
	}
	return flow{a.now.done - from.done, size, a.now.at.Sub(from.at), a.now.cpu - from.cpu}
}

// both produces and consumes at the same time, and counts what arrives.
func (k *kafkaCapacity) both(ctx context.Context) (flow, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var arrived flow
	var readErr error
	began := seen{at: time.Now(), cpu: processorTime()}
	end := make(chan int64, 1) // how many records there are, once that is known
	read := make(chan struct{})
	go func() {
		defer close(read)
		arrived, readErr = k.follow(ctx, wholeTopic, began, end)
	}()
	written, err := k.produce(ctx, wholeTopic)
	if err != nil {
		cancel()
		<-read
		return flow{}, err
	}
	end <- written.records
	<-read
	return arrived, readErr
}

// follow reads a topic while it grows, until it has read as many records as
// end says.
func (k *kafkaCapacity) follow(ctx context.Context, topic string, began seen, end <-chan int64) (flow, error) {
	cl, err := k.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return flow{}, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*k.length()+firstMax)
	defer cancel()
	last, total := arrivals{}, int64(-1)
	for total < 0 || last.now.done < total {
		short, done := context.WithTimeout(ctx, 100*time.Millisecond)
		fs := cl.PollFetches(short)
		done()
		if err := fetchError(fs); err != nil {
			return flow{}, err
		}
		last.add(int64(fs.NumRecords()))
		if err := ctx.Err(); err != nil {
			return flow{}, fmt.Errorf("read %s: %w", topic, err)
		}
		select {
		case total = <-end:
		default:
		}
	}
	return last.flow(began, k.run.asked.Size), nil
}
