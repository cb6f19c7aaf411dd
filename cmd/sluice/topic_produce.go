package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies/clientprops"
)

// lineMax bounds a line of input; a longer one is an error that names it.
const lineMax = 16 << 20

// lineFormat says how a line becomes a record.
type lineFormat struct {
	keySeparator     string // "": the whole line is the value
	headersDelimiter string // "": lines hold no headers
	headersSeparator string
	headerSeparator  string
	nullMarker       string // "": there is none
	ignoreError      bool
}

// record reads a line; number is for errors.
func (f lineFormat) record(line []byte, number int) (*kgo.Record, error) {
	r := &kgo.Record{}
	rest := line
	if f.headersDelimiter != "" {
		head, after, ok := bytes.Cut(rest, []byte(f.headersDelimiter))
		if !ok && !f.ignoreError {
			return nil, fmt.Errorf("line %d: no headers delimiter %q in %.80q", number, f.headersDelimiter, line)
		}
		if ok {
			rest = after
			for _, h := range strings.Split(string(head), f.headersSeparator) {
				k, v, ok := strings.Cut(h, f.headerSeparator)
				if !ok && h != "" {
					return nil, fmt.Errorf("line %d: header %.80q: want key%svalue", number, h, f.headerSeparator)
				}
				if h != "" {
					r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: f.bytes([]byte(v))})
				}
			}
		}
	}
	if f.keySeparator != "" {
		key, after, ok := bytes.Cut(rest, []byte(f.keySeparator))
		switch {
		case ok:
			r.Key, rest = f.bytes(key), after
		case !f.ignoreError:
			return nil, fmt.Errorf("line %d: no key separator %q in %.80q", number, f.keySeparator, line)
		}
	}
	r.Value = f.bytes(rest)
	return r, nil
}

func (f lineFormat) bytes(b []byte) []byte {
	if f.nullMarker != "" && string(b) == f.nullMarker {
		return nil
	}
	return append([]byte{}, b...)
}

func newTopicProduce() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "produce NAME",
		Short: "Write each line of standard input as a record",
		Example: `  sluice topic produce orders
  sluice topic produce orders --key-separator : --compression lz4`,
		Args: cobra.ExactArgs(1),
	}
	broker := withBroker(cmd).withConfig(cmd, "config", "property")
	var f lineFormat
	cmd.Flags().StringVar(&f.keySeparator, "key-separator", "", "what stands between key and value; without it a line is a value")
	cmd.Flags().StringVar(&f.nullMarker, "null", "", "a key or value that is this text is null")
	key := cmd.Flags().StringP("key", "k", "", "the key of every record")
	headers := cmd.Flags().StringArrayP("header", "H", nil, "a header of every record, name=value")
	partition := cmd.Flags().Int32("partition", -1, "the partition of every record; -1 is by key")
	compression := cmd.Flags().String("compression", "none", "none, gzip, snappy, lz4 or zstd")
	acks := cmd.Flags().String("acks", "all", "all, 1 or 0")
	form := withOutput(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// What the flags say stands before the file, so that -X and files win.
		if cmd.Flags().Changed("compression") || broker.file == "" {
			broker.extra = append([]string{"compression.type=" + *compression}, broker.extra...)
		}
		if cmd.Flags().Changed("acks") || broker.file == "" {
			broker.extra = append([]string{"acks=" + *acks}, broker.extra...)
		}
		each, err := headersOf(*headers)
		if err != nil {
			return err
		}
		n, err := produceLines(cmd, broker, args[0], *partition, cmd.InOrStdin(), f, func(r *kgo.Record) {
			if *key != "" && r.Key == nil {
				r.Key = []byte(*key)
			}
			r.Headers = append(r.Headers, each...)
		}, nil)
		if *form == "json" {
			return errors.Join(err, writeJSON(cmd.OutOrStdout(), map[string]int64{"acknowledged": n}))
		}
		if n > 0 || err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s acknowledged\n", plural(int(n), "record"))
		}
		return err
	}
	return cmd
}

func headersOf(given []string) (out []kgo.RecordHeader, err error) {
	for _, h := range given {
		k, v, ok := strings.Cut(h, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("--header %s: want name=value", h)}
		}
		out = append(out, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	return out, nil
}

// produceLines writes in's lines to topic and answers how many were
// acknowledged. The first refusal ends it. prompt, when given, is called
// before each line.
func produceLines(cmd *cobra.Command, broker *brokerFlags, topic string, partition int32, in io.Reader, f lineFormat,
	dress func(*kgo.Record), prompt func()) (acknowledged int64, err error) {
	c, err := broker.read(cmd, clientprops.Producer)
	if err != nil {
		return 0, err
	}
	options := append(c.Options, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(4))
	if partition >= 0 {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	cl, err := dial(cmd.Context(), c.Servers, options...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if c.TransactionalID != "" {
		if err := cl.BeginTransaction(); err != nil {
			return 0, fmt.Errorf("begin transaction %s: %w", c.TransactionalID, err)
		}
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	var counting sync.Mutex
	answered := func(r *kgo.Record, err error) {
		counting.Lock()
		defer counting.Unlock()
		if err == nil {
			acknowledged++
		} else if !errors.Is(err, context.Canceled) {
			cancel(refusal("produce to "+r.Topic, err, ""))
		}
	}
	readErr := eachLine(ctx, in, prompt, func(line []byte, number int) error {
		r, err := f.record(line, number)
		if err != nil {
			return err
		}
		r.Partition = max(partition, 0)
		if dress != nil {
			dress(r)
		}
		cl.Produce(ctx, r, answered)
		return nil
	})
	flushErr := cl.Flush(ctx)
	counting.Lock()
	n := acknowledged
	counting.Unlock()
	if cause := context.Cause(ctx); cause != nil {
		return n, cause
	}
	if readErr == nil {
		readErr = flushErr
	}
	if c.TransactionalID != "" {
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(readErr == nil)); err != nil && readErr == nil {
			return 0, refusal("end transaction "+c.TransactionalID, err, "")
		}
	}
	return n, readErr
}

// eachLine calls fn for every line, numbered from 1, until ctx ends.
func eachLine(ctx context.Context, in io.Reader, prompt func(), fn func(line []byte, number int) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), lineMax)
	n := 0
	for {
		if prompt != nil {
			prompt()
		}
		if !lines.Scan() {
			break
		}
		n++
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(lines.Bytes(), n); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than %d bytes", n+1, lineMax)
	} else if err != nil {
		return fmt.Errorf("read line %d: %w", n+1, err)
	}
	return nil
}
