package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies/clientprops"
)

const (
	defaultBroker = "127.0.0.1:9092"
	reachMax      = 5 * time.Second  // until somebody must have answered
	adminMax      = 30 * time.Second // for one question
)

// brokerFlags are the flags of a command that speaks Kafka's protocol.
type brokerFlags struct {
	servers string
	file    string   // of client properties
	extra   []string // -X name=value
	asking  bool     // for administration: settings of other clients are no news
}

// withBroker gives cmd the flag --bootstrap-server.
func withBroker(cmd *cobra.Command) *brokerFlags {
	standard := defaultBroker
	if s := os.Getenv("SLUICE_BOOTSTRAP_SERVER"); s != "" {
		standard = s
	}
	f := &brokerFlags{}
	cmd.Flags().StringVar(&f.servers, "bootstrap-server", standard, "the brokers: HOST:PORT,… (SLUICE_BOOTSTRAP_SERVER)")
	return f
}

// withConfig adds a file of Kafka client properties, under the name given, and
// single ones under the other.
func (f *brokerFlags) withConfig(cmd *cobra.Command, file, single string) *brokerFlags {
	cmd.Flags().StringVar(&f.file, file, "", "file of Kafka client properties, plain or in blocks producer.properties { … }")
	cmd.Flags().StringArrayVar(&f.extra, single, nil, "a Kafka client property, name=value")
	return f
}

// read collects the properties; later ones win: the file, then the flags.
func (f *brokerFlags) read(cmd *cobra.Command, side clientprops.Side) (*clientprops.Client, error) {
	var settings []clientprops.Setting
	if f.file != "" {
		read, err := clientprops.ReadFile(f.file, side)
		if err != nil {
			return nil, &exitError{exitConfig, err}
		}
		settings = read
	}
	known := false
	for _, s := range settings {
		known = known || s.Name == "bootstrap.servers"
	}
	if !known || cmd.Flags().Changed("bootstrap-server") {
		settings = append(settings, clientprops.Setting{Name: "bootstrap.servers", Value: f.servers})
	}
	for _, x := range f.extra {
		name, value, ok := strings.Cut(x, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("%q: want name=value", x)}
		}
		settings = append(settings, clientprops.Setting{Name: name, Value: value})
	}
	c, err := clientprops.Read(side, settings)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	if !f.asking {
		for _, r := range c.Remarks {
			fmt.Fprintln(cmd.ErrOrStderr(), "remark:", r)
		}
	}
	return c, nil
}

// dial makes a client and waits until a broker answers.
func dial(ctx context.Context, servers []string, options ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(options...)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	reach, cancel := context.WithTimeout(ctx, reachMax)
	defer cancel()
	if err := cl.Ping(reach); err != nil {
		cl.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &exitError{exitUnreachable, fmt.Errorf("no Kafka broker answers at %s (%w); start one: sluice serve",
			strings.Join(servers, ","), lastOf(err))}
	}
	return cl, nil
}

// lastOf is the innermost reason, which is what a person needs.
func lastOf(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer within " + reachMax.String())
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// raw connects for administration.
func (f *brokerFlags) raw(cmd *cobra.Command) (*kgo.Client, error) {
	quiet := *f
	quiet.asking = true
	c, err := quiet.read(cmd, clientprops.Consumer)
	if err != nil {
		return nil, err
	}
	return dial(cmd.Context(), c.Servers, c.Options...)
}

// admin is raw with franz-go's administrative calls.
func (f *brokerFlags) admin(cmd *cobra.Command) (*kadm.Client, error) {
	cl, err := f.raw(cmd)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// asked runs one administrative question with its time limit.
func (f *brokerFlags) asked(cmd *cobra.Command, ask func(ctx context.Context, c *kadm.Client) error) error {
	c, err := f.admin(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), adminMax)
	defer cancel()
	return ask(ctx, c)
}

// outcome tells what came of one thing of several: with -o json as a value, else
// as a line.
type outcome struct {
	form *string
	out  io.Writer
	done []any
	errs []error
}

func outcomes(cmd *cobra.Command, form *string) *outcome {
	return &outcome{form: form, out: cmd.OutOrStdout(), done: []any{}}
}

func (o *outcome) failed(err error) { o.errs = append(o.errs, err) }

func (o *outcome) did(value any, format string, args ...any) {
	if o.done = append(o.done, value); *o.form != "json" {
		fmt.Fprintf(o.out, format+"\n", args...)
	}
}

// end is the command's error, after the values.
func (o *outcome) end() error {
	if *o.form == "json" {
		if err := writeJSON(o.out, o.done); err != nil {
			return err
		}
	}
	return together(o.errs)
}

// refusal is a broker's answer in one sentence: what was asked, the code, what
// it means, and what else the broker said.
func refusal(what string, err error, more string) error {
	if err == nil {
		return nil
	}
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if more == "" {
		more = ke.Description
	}
	return fmt.Errorf("%s: %s: %s", what, ke.Message, strings.TrimSuffix(more, "."))
}

// together is all the errors as one, each on its line.
func together(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// pairs reads k=v pairs. A value may be in brackets: [a,b].
func pairs(flag string, given []string) (map[string]*string, error) {
	m := map[string]*string{}
	for _, g := range given {
		k, v, ok := strings.Cut(g, "=")
		if !ok || k == "" {
			return nil, &usageError{fmt.Errorf("--%s %s: want name=value", flag, g)}
		}
		v = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
		m[strings.TrimSpace(k)] = &v
	}
	return m, nil
}
