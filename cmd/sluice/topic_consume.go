package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies/clientprops"
)

func newTopicConsume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consume NAME...",
		Short: "Read records",
		Long: `Reads records and prints one a line.

--offset says where to begin: start, end, an offset, -N for the last N records of
each partition, or @TIME (RFC 3339, or milliseconds since the epoch).
--format says what to print: %v value, %k key, %h headers, %t topic, %p partition,
%o offset, %T timestamp in ms, %s size of the value, %% a percent sign, \n and \t.`,
		Example: `  sluice topic consume orders --offset -10 --exit
  sluice topic consume orders --group billing --format '%t/%p@%o %k %v\n'`,
		Args: cobra.MinimumNArgs(1),
	}
	broker := withBroker(cmd).withConfig(cmd, "config", "property")
	offset := cmd.Flags().String("offset", "start", "where to begin: start, end, N, -N or @TIME")
	group := cmd.Flags().StringP("group", "g", "", "consume as a member of this group, and commit")
	partition := cmd.Flags().Int32("partition", -1, "only this partition; -1 is all")
	most := cmd.Flags().Int64P("num", "n", 0, "end after this many records; 0 is without end")
	exit := cmd.Flags().BoolP("exit", "e", false, "end when everything that was there at the start has been read")
	format := cmd.Flags().StringP("format", "f", "", `what to print of a record; the default is '%v\n'`)
	form := withOutput(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		print, err := printer(*form, *format)
		if err != nil {
			return err
		}
		at, err := parseOffset(*offset)
		if err != nil {
			return err
		}
		r := reading{broker: broker, topics: args, group: *group, partition: *partition, at: at, most: *most, exit: *exit, print: print}
		_, err = r.run(cmd)
		return err
	}
	return cmd
}

// printFunc prints a record.
type printFunc = func(w *bufio.Writer, r *kgo.Record) error

func printer(form, format string) (printFunc, error) {
	if form == "json" {
		return func(w *bufio.Writer, r *kgo.Record) error { return writeJSONLine(w, recordJSON(r)) }, nil
	}
	if format == "" {
		format = `%v\n`
	}
	f, err := kgo.NewRecordFormatter(kcatFormat.Replace(format))
	if err != nil {
		return nil, &usageError{fmt.Errorf("--format %q: %w", format, err)}
	}
	var line []byte
	return func(w *bufio.Writer, r *kgo.Record) error {
		line = f.AppendRecord(line[:0], r)
		_, err := w.Write(line)
		return err
	}, nil
}

// kcatFormat writes what this command promises in franz-go's words.
var kcatFormat = strings.NewReplacer("%h", "%h{%k=%v,}", "%T", "%d", "%s", "%V")

// jsonRecord is a record as -o json prints it, one a line.
type jsonRecord struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      time.Time         `json:"time"`
	Key       *string           `json:"key"`
	Value     *string           `json:"value"`
	Headers   map[string]string `json:"headers,omitempty"`
}

func recordJSON(r *kgo.Record) jsonRecord {
	j := jsonRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UTC(), Key: optional(r.Key), Value: optional(r.Value)}
	for _, h := range r.Headers {
		if j.Headers == nil {
			j.Headers = map[string]string{}
		}
		j.Headers[h.Key] = string(h.Value)
	}
	return j
}

func optional(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// parseOffset reads start, end, N, -N and @TIME.
func parseOffset(s string) (kgo.Offset, error) {
	at := kgo.NewOffset()
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "@"), 10, 64)
	switch {
	case s == "start" || s == "earliest" || s == "beginning":
		return at.AtStart(), nil
	case s == "end" || s == "latest":
		return at.AtEnd(), nil
	case strings.HasPrefix(s, "@") && err == nil:
		return at.AfterMilli(n), nil
	case strings.HasPrefix(s, "@"):
		t, err := time.Parse(time.RFC3339, s[1:])
		if err != nil {
			return at, &usageError{fmt.Errorf("--offset %s: want @2026-11-22T10:00:00Z or @milliseconds", s)}
		}
		return at.AfterMilli(t.UnixMilli()), nil
	case err == nil && n < 0:
		return at.AtEnd().Relative(n), nil
	case err == nil:
		return at.At(n), nil
	}
	return at, &usageError{fmt.Errorf("--offset %s: want start, end, N, -N or @TIME", s)}
}

// reading is one run of a consumer.
type reading struct {
	broker    *brokerFlags
	topics    []string
	pattern   bool // the topics are regular expressions
	group     string
	partition int32
	at        kgo.Offset
	most      int64
	idle      time.Duration // ends when nothing has come for so long; 0 is never
	exit      bool
	print     printFunc
}

// run reads until it has what it wants or is interrupted, which is no error,
// and answers how many records it has printed.
func (r reading) run(cmd *cobra.Command) (n int64, err error) {
	c, err := r.broker.read(cmd, clientprops.Consumer)
	if err != nil {
		return 0, err
	}
	if r.group != "" {
		c.Group = r.group
	}
	options, err := r.options(c)
	if err != nil {
		return 0, err
	}
	cl, err := dial(cmd.Context(), c.Servers, options...)
	if err != nil {
		return 0, err
	}
	defer cl.CloseAllowingRebalance()
	var left map[string]map[int32]int64
	if r.exit {
		if left, err = r.ends(cmd.Context(), cl, c.Value("isolation.level") == "read_committed"); err != nil || len(left) == 0 {
			return 0, err
		}
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	defer out.Flush()
	for {
		ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
		if r.idle > 0 {
			ctx, cancel = context.WithTimeout(ctx, r.idle)
		}
		fetches := cl.PollRecords(ctx, c.MaxPoll)
		over := ctx.Err() != nil
		cancel()
		if err := fetchError(fetches); err != nil {
			return n, err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			read(left, rec)
			if rec.Attrs.IsControl() {
				continue
			}
			if err := r.print(out, rec); err != nil {
				return n, err
			}
			n++
			cl.MarkCommitRecords(rec)
			if r.most > 0 && n >= r.most {
				return n, r.commit(cl, c)
			}
		}
		if err := out.Flush(); err != nil {
			return n, err
		}
		if over || r.exit && len(left) == 0 {
			return n, r.commit(cl, c)
		}
	}
}

func (r reading) options(c *clientprops.Client) ([]kgo.Opt, error) {
	options := append(c.Options, kgo.ConsumeResetOffset(r.at))
	if c.Value("auto.offset.reset") != "" {
		options = c.Options
	}
	if r.pattern {
		options = append(options, kgo.ConsumeRegex())
	}
	if r.exit {
		// The end of a partition may be the marker of a transaction.
		options = append(options, kgo.KeepControlRecords())
	}
	switch {
	case r.partition >= 0 && c.Group != "":
		return nil, &usageError{errors.New("--partition and a group exclude each other: a group deals out its partitions itself")}
	case r.partition >= 0:
		parts := map[string]map[int32]kgo.Offset{}
		for _, t := range r.topics {
			parts[t] = map[int32]kgo.Offset{r.partition: r.at}
		}
		return append(options, kgo.ConsumePartitions(parts)), nil
	case c.Group != "":
		options = append(options, kgo.ConsumerGroup(c.Group), kgo.ConsumeStartOffset(r.at))
		if c.AutoCommit {
			options = append(options, kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second))
		} else {
			options = append(options, kgo.DisableAutoCommit())
		}
	}
	return append(options, kgo.ConsumeTopics(r.topics...)), nil
}

// commit commits what was printed.
func (r reading) commit(cl *kgo.Client, c *clientprops.Client) error {
	if c.Group == "" || !c.AutoCommit {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), reachMax)
	defer cancel()
	return refusal("commit to group "+c.Group, cl.CommitMarkedOffsets(ctx), "")
}

// ends are the ends of all partitions that are to be read and hold something.
func (r reading) ends(ctx context.Context, cl *kgo.Client, committed bool) (map[string]map[int32]int64, error) {
	ac := kadm.NewClient(cl)
	starts, err := ac.ListStartOffsets(ctx, r.topics...)
	if err != nil {
		return nil, refusal("list offsets", err, "")
	}
	list := ac.ListEndOffsets
	if committed {
		list = ac.ListCommittedOffsets
	}
	ends, err := list(ctx, r.topics...)
	if err != nil {
		return nil, refusal("list offsets", err, "")
	}
	left := map[string]map[int32]int64{}
	err = ends.Error()
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		if o.Err == nil && o.Offset > start.Offset && (r.partition < 0 || o.Partition == r.partition) {
			if left[o.Topic] == nil {
				left[o.Topic] = map[int32]int64{}
			}
			left[o.Topic][o.Partition] = o.Offset
		}
	})
	return left, refusal("list offsets", err, "")
}

// read takes a record off what is left to be read.
func read(left map[string]map[int32]int64, r *kgo.Record) {
	parts := left[r.Topic]
	if end, wanted := parts[r.Partition]; wanted && r.Offset+1 >= end {
		delete(parts, r.Partition)
	}
	if len(parts) == 0 {
		delete(left, r.Topic)
	}
}

// fetchError is the first error that will not pass by itself.
func fetchError(fs kgo.Fetches) error {
	for _, e := range fs.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		return refusal(fmt.Sprintf("consume %s", e.Topic), e.Err, "")
	}
	return nil
}
