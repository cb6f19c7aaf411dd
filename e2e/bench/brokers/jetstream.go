package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The same loads on a JetStream stream, through its own client: file storage,
// one replica, published asynchronously.

const pendingMax = 4000

func (l load) jetCreate(ctx context.Context) error {
	_, err := l.stream(ctx, func(ctx context.Context, js jetstream.JetStream) (time.Duration, error) {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: l.topic, Subjects: []string{l.topic}, Storage: jetstream.FileStorage})
		return 0, err
	})
	return err
}

func (l load) stream(ctx context.Context, do func(context.Context, jetstream.JetStream) (time.Duration, error)) (time.Duration, error) {
	nc, err := nats.Connect("nats://" + l.addr)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(pendingMax))
	if err != nil {
		return 0, err
	}
	return do(ctx, js)
}

func (l load) jetProduce(ctx context.Context) (time.Duration, error) {
	values := l.payloads()
	return l.stream(ctx, func(ctx context.Context, js jetstream.JetStream) (time.Duration, error) {
		began := time.Now()
		for i := range l.records {
			for {
				_, err := js.PublishAsync(l.topic, values[i%len(values)])
				if errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					return 0, err
				}
				break
			}
		}
		select {
		case <-js.PublishAsyncComplete():
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		return time.Since(began), nil
	})
}

func (l load) jetConsume(ctx context.Context) (time.Duration, error) {
	return l.stream(ctx, func(ctx context.Context, js jetstream.JetStream) (time.Duration, error) {
		began := time.Now()
		c, err := js.OrderedConsumer(ctx, l.topic, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return 0, err
		}
		it, err := c.Messages(jetstream.PullMaxMessages(4000))
		if err != nil {
			return 0, err
		}
		defer it.Stop()
		for range l.records {
			if _, err := it.Next(); err != nil {
				return 0, err
			}
		}
		return time.Since(began), nil
	})
}
