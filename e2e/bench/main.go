// Bench measures sluice and its peers at the same work: it writes the input,
// sends it, runs a tool with a configuration, checks what came out and says what
// it cost. README.md tells how.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/sluicehq/sluice/e2e/gen"
)

var commands = map[string]struct {
	args string
	run  func(args []string) error
}{
	"gen":         {"[-lines N|full|quarter|1g] [-syslog] FILE", runGen},
	"send-syslog": {"[-connections 4] ADDRESS FILE", runSendSyslog},
	"send-http":   {"[-connections 4] [-events 100] [-form flume|otlp] URL FILE", runSendHTTP},
	"check":       {"[-form equal|ids|matching] [-split 4] INPUT OUTPUT", runCheck},
	"run":         {"-tool NAME -workload a..e -config FILE -input FILE -dir DIR [flags] -- COMMAND…", runTool},
	"compare":     {"FILE…: medians of the results that run wrote", runCompare},
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]].run == nil {
		fmt.Fprintln(os.Stderr, "usage: bench COMMAND …")
		for _, name := range []string{"gen", "send-syslog", "send-http", "check", "run", "compare"} {
			fmt.Fprintf(os.Stderr, "  %s %s\n", name, commands[name].args)
		}
		os.Exit(2)
	}
	if err := commands[os.Args[1]].run(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ExitOnError) }

func runGen(args []string) error {
	f := flags("gen")
	form := f.String("lines", "full", "how many lines: a number, full, quarter or 1g")
	syslog := f.Bool("syslog", false, "as a syslog sender writes them")
	_ = f.Parse(args)
	count, err := lineCount(*form)
	if err != nil || f.NArg() != 1 {
		return fmt.Errorf("want the name of a file and a number of lines: %v", err)
	}
	out, err := os.Create(f.Arg(0))
	if err != nil {
		return err
	}
	defer out.Close()
	l := gen.New(gen.Seed)
	l.Syslog = *syslog
	if err := l.WriteTo(out, count); err != nil {
		return err
	}
	return out.Close()
}

func lineCount(form string) (int, error) {
	switch strings.ToLower(form) {
	case "full":
		return gen.Full, nil
	case "quarter":
		return gen.Quarter, nil
	case "1g":
		return gen.Gig, nil
	}
	var n int
	if _, err := fmt.Sscan(form, &n); err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no number of lines", form)
	}
	return n, nil
}
