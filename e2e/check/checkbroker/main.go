// Command checkbroker writes transactions to any Kafka broker, reads them back,
// and says whether the broker kept its promises. Exit code 1: it did not.
//
//	go run ./e2e/check/checkbroker -bootstrap 127.0.0.1:9092 -transactions 10000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/e2e/check"
)

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:9092", "`HOST:PORT` of the broker, several with commas")
	transactions := flag.Int("transactions", 2000, "how many")
	writers := flag.Int("writers", 8, "producers at a time, each with a transactional id of its own")
	partitions := flag.Int("partitions", 6, "of the topic")
	records := flag.Int("records", 8, "of a transaction, at most")
	abort := flag.Float64("abort", 0.25, "share of transactions to abort")
	timeout := flag.Duration("timeout", 30*time.Second, "of a transaction")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of all choices")
	flag.Parse()
	ok, err := run(check.Workload{
		Seeds: strings.Split(*bootstrap, ","), Topic: fmt.Sprintf("check-%d", time.Now().UnixNano()),
		Partitions: int32(*partitions), Writers: *writers, Transactions: *transactions, RecordsMax: *records,
		Abort: *abort, Timeout: *timeout, Seed: *seed,
		Ended: func(n int) {
			if n%1000 == 0 {
				fmt.Fprintln(os.Stderr, n, "transactions")
			}
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "checkbroker:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(w check.Workload) (ok bool, err error) {
	ctx := context.Background()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Seeds...))
	if err != nil {
		return false, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, w.Partitions, -1, nil, w.Topic); err != nil {
		return false, fmt.Errorf("create topic %s: %w", w.Topic, err)
	}
	fmt.Println("seed", w.Seed, "topic", w.Topic)
	h, err := check.Run(ctx, w)
	if err != nil {
		return false, err
	}
	settle, cancel := context.WithTimeout(ctx, 2*w.Timeout+30*time.Second)
	defer cancel()
	if err := check.Settle(settle, w); err != nil {
		return false, fmt.Errorf("something hangs: %w", err)
	}
	read, done := context.WithTimeout(ctx, 5*time.Minute)
	defer done()
	reads, err := check.Read(read, w)
	if err != nil {
		return false, err
	}
	report := check.Judge(h, reads)
	fmt.Print(report)
	return report.OK(), nil
}
