package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies/clientprops"
)

// rateRow is what a client reached.
type rateRow struct {
	Records   int64   `json:"records"`
	Bytes     int64   `json:"bytes"` // of values
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"recordsPerSecond"`
	MBs       float64 `json:"mbPerSecond"` // 10^6 bytes
	P50       float64 `json:"p50Ms,omitempty"`
	P99       float64 `json:"p99Ms,omitempty"`
	Max       float64 `json:"maxMs,omitempty"`
}

func rate(records, bytes int64, took time.Duration) rateRow {
	s := took.Seconds()
	return rateRow{Records: records, Bytes: bytes, Seconds: s, PerSecond: float64(records) / s, MBs: float64(bytes) / 1e6 / s}
}

// latencies sets the quantiles of sorted times.
func (r *rateRow) latencies(sorted []time.Duration) {
	if n := len(sorted); n > 0 {
		ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
		r.P50, r.P99, r.Max = ms(sorted[n/2]), ms(sorted[n*99/100]), ms(sorted[n-1])
	}
}

func (r rateRow) row() []string {
	f := func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	row := []string{fmt.Sprint(r.Records), f(r.Seconds, 2), f(r.PerSecond, 0), f(r.MBs, 1)}
	if r.Max > 0 {
		return append(row, f(r.P50, 2), f(r.P99, 2), f(r.Max, 2))
	}
	return append(row, "-", "-", "-")
}

const rateHead = "RECORDS SECONDS RECORDS/S MB/S P50-MS P99-MS MAX-MS"

func newBenchProduce() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "produce",
		Short: "Measure how fast records are acknowledged",
		Long: `Writes records of random bytes to a topic and prints records and megabytes a second, and how
long acknowledgements took. A topic that is not there is made, and deleted afterwards unless --keep.
With --rate records go out evenly, each on its own (linger 0): that is the way to measure latency.`,
		Example: `  sluice bench produce --records 1000000 --size 1024 --partitions 12
  sluice bench produce --rate 10000 --records 60000 --partitions 1 -o json`,
		Args: cobra.NoArgs,
	}
	broker, form := withBroker(cmd).withConfig(cmd, "config", "property"), withOutput(cmd)
	l := cmd.Flags()
	b := &benchProduce{}
	l.StringVarP(&b.topic, "topic", "t", "sluice-bench", "the topic")
	l.Int32VarP(&b.partitions, "partitions", "p", 12, "partitions of a topic that is made")
	l.Int64Var(&b.records, "records", 500_000, "how many records")
	l.IntVar(&b.size, "size", 1024, "bytes of a value")
	l.Float64Var(&b.rate, "rate", 0, "records a second; 0 is as fast as it goes")
	keep := l.Bool("keep", false, "keep a topic that was made, for sluice bench consume")
	acks := l.String("acks", "all", "all, 1 or 0")
	compression := l.String("compression", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if b.records < 1 || b.size < 8 || b.size > 8<<20 || b.partitions < 1 {
			return &usageError{errors.New("want --records and --partitions above 0 and --size from 8 to 8388608")}
		}
		broker.extra = append([]string{"acks=" + *acks, "compression.type=" + *compression}, broker.extra...)
		c, err := broker.read(cmd, clientprops.Producer)
		if err != nil {
			return err
		}
		made, err := b.create(cmd, broker)
		if err != nil {
			return err
		}
		if made && !*keep {
			defer func() {
				_ = broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
					_, err := c.DeleteTopics(ctx, b.topic)
					return err
				})
			}()
		}
		r, err := b.run(cmd, c)
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), r)
		}
		return table(cmd.OutOrStdout(), rateHead, [][]string{r.row()})
	}
	return cmd
}

type benchProduce struct {
	topic      string
	partitions int32
	records    int64
	size       int
	rate       float64
}

func (b *benchProduce) create(cmd *cobra.Command, broker *brokerFlags) (made bool, err error) {
	err = broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
		answers, err := c.CreateTopics(ctx, b.partitions, -1, nil, b.topic)
		if err != nil {
			return refusal("create topic "+b.topic, err, "")
		}
		a, err := answers.On(b.topic, nil)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		made = err == nil
		return refusal("create topic "+b.topic, err, a.ErrMessage)
	})
	return made, err
}

func (b *benchProduce) run(cmd *cobra.Command, c *clientprops.Client) (rateRow, error) {
	options := append(c.Options, kgo.DefaultProduceTopic(b.topic), kgo.MaxBufferedBytes(64<<20), kgo.MaxBufferedRecords(max(64<<20/b.size, 1000)))
	if b.rate == 0 && c.Value("linger.ms") == "" {
		options = append(options, kgo.ProducerLinger(5*time.Millisecond))
	}
	cl, err := dial(cmd.Context(), c.Servers, options...)
	if err != nil {
		return rateRow{}, err
	}
	defer cl.Close()
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	values := randomValues(b.size)
	progress := newProgress(cmd.ErrOrStderr(), b.records)
	defer progress.end()
	var mu sync.Mutex
	var took []time.Duration
	every := max(b.records/100_000, 1) // as many times as memory is for
	began := time.Now()
	for i := range b.records {
		if b.rate > 0 {
			at := began.Add(time.Duration(float64(i) / b.rate * 1e9))
			if early := time.Until(at); early > 0 {
				select {
				case <-time.After(early):
				case <-ctx.Done():
				}
			}
		}
		sent := time.Now()
		cl.Produce(ctx, &kgo.Record{Value: values[i%int64(len(values))]}, func(r *kgo.Record, err error) {
			if err != nil {
				cancel(refusal("produce to "+r.Topic, err, ""))
				return
			}
			progress.add(1)
			if i%every == 0 {
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	err = cl.Flush(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return rateRow{}, cause
	}
	if err != nil {
		return rateRow{}, err
	}
	r := rate(b.records, b.records*int64(b.size), time.Since(began))
	slices.Sort(took)
	r.latencies(took)
	return r, nil
}

// randomValues are some values that do not compress.
func randomValues(size int) [][]byte {
	source := rand.New(rand.NewPCG(42, 42))
	out := make([][]byte, 64)
	for i := range out {
		out[i] = make([]byte, size)
		for j := 0; j+8 <= size; j += 8 {
			binary.LittleEndian.PutUint64(out[i][j:], source.Uint64())
		}
	}
	return out
}

func newBenchConsume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consume",
		Short: "Measure how fast a topic is read",
		Long:  `Reads a topic from its start to the end it has now, and prints records and megabytes a second.`,
		Example: `  sluice bench consume
  sluice bench consume --topic orders -o json`,
		Args: cobra.NoArgs,
	}
	broker, form := withBroker(cmd).withConfig(cmd, "config", "property"), withOutput(cmd)
	topic := cmd.Flags().StringP("topic", "t", "sluice-bench", "the topic")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := benchConsume(cmd, broker, *topic)
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), r)
		}
		return table(cmd.OutOrStdout(), rateHead, [][]string{r.row()})
	}
	return cmd
}

func benchConsume(cmd *cobra.Command, broker *brokerFlags, topic string) (rateRow, error) {
	var total int64
	err := broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
		found, err := topics(ctx, c, topic)
		if err == nil {
			total = found[0].records()
		}
		return err
	})
	if err != nil || total == 0 {
		if err == nil {
			err = fmt.Errorf("topic %s is empty; fill it: sluice bench produce --keep", topic)
		}
		return rateRow{}, err
	}
	c, err := broker.read(cmd, clientprops.Consumer)
	if err != nil {
		return rateRow{}, err
	}
	cl, err := dial(cmd.Context(), c.Servers, append(c.Options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())...)
	if err != nil {
		return rateRow{}, err
	}
	defer cl.Close()
	progress := newProgress(cmd.ErrOrStderr(), total)
	defer progress.end()
	began := time.Now()
	var records, bytes int64
	for records < total {
		fs := cl.PollFetches(cmd.Context())
		if err := fetchError(fs); err != nil {
			return rateRow{}, err
		}
		if err := cmd.Context().Err(); err != nil {
			return rateRow{}, err
		}
		fs.EachRecord(func(r *kgo.Record) { bytes += int64(len(r.Value)) })
		records += int64(fs.NumRecords())
		progress.add(int64(fs.NumRecords()))
	}
	return rate(records, bytes, time.Since(began)), nil
}
