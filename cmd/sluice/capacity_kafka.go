package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/runtime/node"
)

// kafkaCapacity measures a broker of its own: by its actors, and by franz-go
// over loopback.
type kafkaCapacity struct {
	run        *capacityRun
	partitions int
	node       *node.Node // nil before the first stage
	addr       string     // where it listens
	dir        string
	filled     int64 // records that the producer stage left behind
}

// The topics of the stages.
const (
	oneTopic   = "capacity-partition"
	brokTopic  = "capacity-broker"
	clientName = "capacity-clients"
	wholeTopic = "capacity-whole"
	feedTopic  = "capacity-feed" // of Kafka sources
)

// topicsPath is what the topics of a file are called in the report.
const topicsPath = "topics"

func (k *kafkaCapacity) jobs() []capacityJob {
	job := func(stage, name, kind string, measure func(context.Context) (flow, error)) capacityJob {
		return capacityJob{capacityPart{Path: topicsPath, Stage: stage, Name: name, Kind: kind}, func(ctx context.Context) (flow, error) {
			if err := k.start(ctx); err != nil {
				return flow{}, err
			}
			return measure(ctx)
		}}
	}
	all := plural(k.partitions, "partition")
	return []capacityJob{
		job("partition", "one", "actor", func(ctx context.Context) (flow, error) { return k.append(ctx, oneTopic, 1) }),
		job("broker", all, "actors", func(ctx context.Context) (flow, error) { return k.append(ctx, brokTopic, k.partitions) }),
		job("producer", all, "franz-go", func(ctx context.Context) (flow, error) {
			fl, err := k.produce(ctx, clientName)
			k.filled = fl.records
			return fl, err
		}),
		job("consumer", all, "franz-go", func(ctx context.Context) (flow, error) { return k.consume(ctx, clientName, k.filled) }),
		job("whole", all, "-", k.both),
	}
}

func (k *kafkaCapacity) start(ctx context.Context) error {
	if k.node != nil {
		return nil
	}
	n, dir, err := k.run.start(k.partitions, true)
	if err != nil {
		return err
	}
	k.node, k.dir, k.addr = n, dir, n.KafkaAddr()
	cl, err := k.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	for topic, partitions := range map[string]int{oneTopic: 1, brokTopic: k.partitions, clientName: k.partitions, wholeTopic: k.partitions} {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, int32(partitions), 1, nil, topic); err != nil {
			return refusal("create topic "+topic, err, "")
		}
	}
	return n.Broker().AwaitTopics(ctx, oneTopic, brokTopic, clientName, wholeTopic)
}

func (k *kafkaCapacity) stop() {
	if k.node != nil {
		end(k.node, k.dir)
	}
}

func (k *kafkaCapacity) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.addr), kgo.AllowAutoTopicCreation()}, more...)...)
}

func (k *kafkaCapacity) length() time.Duration {
	return time.Duration(k.run.f.seconds * float64(time.Second))
}

// most is how many records a stage moves at most.
func (k *kafkaCapacity) most() int64 {
	return max(capacityBytesMax/int64(k.run.asked.Size), usualBatch)
}

const (
	appendBytes  = 512 << 10 // of a batch, as clients under load send them
	appendFlight = 4         // batches on their way to a partition
)

// append hands batches to partitions as the gateway does, without a socket.
func (k *kafkaCapacity) append(ctx context.Context, topic string, partitions int) (flow, error) {
	var b record.Builder
	b.At = time.Now().UnixMilli()
	values := randomValues(k.run.asked.Size)
	for b.Count() == 0 || b.Size()+k.run.asked.Size <= appendBytes {
		b.Add(nil, values[b.Count()%len(values)])
	}
	var refs []partition.Ref
	for i := range partitions {
		ref, err := k.node.Broker().Partition(partition.ID{Topic: topic, Index: int32(i)})
		if err != nil {
			return flow{}, err
		}
		refs = append(refs, ref)
	}
	each := int64(b.Count())
	left, done := atomic.Int64{}, atomic.Int64{}
	left.Store(k.most() / each)
	began := seen{at: time.Now(), cpu: processorTime()}
	until, cancel := context.WithTimeout(ctx, k.length())
	defer cancel()
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for _, ref := range refs {
		wg.Go(func() {
			free := make(chan partition.Append, appendFlight)
			for range appendFlight {
				a := partition.Append{Batch: b.Batch(), LeaderEpoch: -1, MarkerCoordinatorEpoch: -1}
				a.Done = func(got partition.Appended) {
					if got.Err != nil {
						failed.CompareAndSwap(nil, &got.Err)
					} else {
						done.Add(each)
					}
					free <- a
				}
				free <- a
			}
			for failed.Load() == nil && until.Err() == nil && left.Add(-1) >= 0 {
				ref.Append(<-free)
			}
			for range appendFlight { // the batches are the partition's until then
				<-free
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return flow{}, fmt.Errorf("append to %s: %w", topic, *err)
	}
	return k.since(began, done.Load()), ctx.Err()
}

func (k *kafkaCapacity) since(began seen, records int64) flow {
	return flow{records, k.run.asked.Size, time.Since(began.at), processorTime() - began.cpu}
}

// produce writes records for as long as a stage lasts, and until they are
// acknowledged.
func (k *kafkaCapacity) produce(ctx context.Context, topic string) (flow, error) {
	cl, err := k.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedBytes(32<<20), kgo.MaxBufferedRecords(max(32<<20/k.run.asked.Size, usualBatch)))
	if err != nil {
		return flow{}, err
	}
	defer cl.Close()
	values := randomValues(k.run.asked.Size)
	// One record finds out what a client asks for only once.
	if err := cl.ProduceSync(ctx, &kgo.Record{Value: values[0]}).FirstErr(); err != nil {
		return flow{}, refusal("produce to "+topic, err, "")
	}
	var done atomic.Int64
	var failed atomic.Pointer[error]
	began := seen{at: time.Now(), cpu: processorTime()}
	until, cancel := context.WithTimeout(ctx, k.length())
	defer cancel()
	for i := int64(0); i < k.most() && until.Err() == nil && failed.Load() == nil; i++ {
		cl.Produce(ctx, &kgo.Record{Value: values[i%int64(len(values))]}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			done.Add(1)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return flow{}, err
	}
	if err := failed.Load(); err != nil {
		return flow{}, refusal("produce to "+topic, *err, "")
	}
	return k.since(began, done.Load()), nil
}
