// Command brokers measures sluice's Kafka side beside others with the same
// client, in turn (A B A B …), and is the others: a minimal broker that only
// appends (raw-file), franz-go's kfake in memory and on disk, and JetStream.
//
//	brokers compare -work produce -size 1024 -partitions 12 -n 7 -sluice /tmp/sluice sluice raw-file kfake kfake-disk jetstream
//	brokers serve raw-file -addr 127.0.0.1:9092 -dir /tmp/raw
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "brokers:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: brokers compare [flags] TOOL... | brokers serve WHAT [flags]")

func run(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	f := flag.NewFlagSet("brokers", flag.ContinueOnError)
	dir := f.String("dir", "", "directory to work in; one below the temporary directory unless given")
	sync := f.Bool("sync", false, "acknowledge after fsync")
	switch args[0] {
	case "serve":
		addr := f.String("addr", "127.0.0.1:9092", "where to listen")
		if err := f.Parse(args[2:]); err != nil {
			return err
		}
		return serve(args[1], *addr, *dir, *sync)
	case "compare":
		c := comparison{}
		f.StringVar(&c.work, "work", "produce", "produce, consume or latency")
		f.IntVar(&c.size, "size", 1024, "bytes of a record's value")
		f.IntVar(&c.partitions, "partitions", 12, "partitions of the topic")
		mb := f.Int("mb", 300, "megabytes of values in a run")
		f.IntVar(&c.rate, "rate", 10_000, "latency: records a second")
		f.DurationVar(&c.span, "span", 6*time.Second, "latency: how long; the first second does not count")
		f.IntVar(&c.runs, "n", 7, "runs of each")
		f.StringVar(&c.sluice, "sluice", "sluice", "the binary")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		c.tools, c.sync, c.records = f.Args(), *sync, *mb*1_000_000/c.size
		if len(c.tools) == 0 {
			return errUsage
		}
		if *dir == "" {
			made, err := os.MkdirTemp("", "brokers-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(made)
			*dir = made
		}
		return c.run(*dir)
	}
	return errUsage
}
