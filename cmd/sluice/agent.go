package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/topologies"
)

// agentFlags are flume-ng's own, and a few of ours.
type agentFlags struct {
	name, confDir   string
	files, uris     []string
	properties      []string
	noReload        bool
	interval        int
	lenient, compat bool
	readyJSON       bool
	node            *nodeFlags
}

func newAgent() *cobra.Command {
	f := &agentFlags{}
	cmd := &cobra.Command{
		Use:   "agent -n NAME -f FILE",
		Short: "Run one Flume agent from its unchanged configuration",
		Long: `Agent takes flume-ng's command line. Its store lies where the configuration already keeps
state: in the first file channel's checkpointDir, else beside the TAILDIR position file,
else in ~/.flume/sluice/NAME. The first line it prints says where.

A changed file is deployed by difference: only components that differ are restarted. A
file that cannot run is refused with its reason, and the one before runs on.`,
		Example: `  sluice agent -n a1 -c conf -f flume.conf
  sluice agent -n a1 -f flume.conf -Dflume.monitoring.type=http -Dflume.monitoring.port=41414`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAgent(cmd, f) },
	}
	l := cmd.Flags()
	l.StringVarP(&f.name, "name", "n", "", "the agent to run")
	l.StringArrayVarP(&f.files, "conf-file", "f", nil, "configuration file; of several, later ones override earlier ones")
	l.StringArrayVarP(&f.uris, "conf-uri", "u", nil, "configuration as file:/path; when given, -f is not read")
	l.StringVarP(&f.confDir, "conf", "c", "", "Flume's configuration directory; relative files are looked for here too")
	withProperties(cmd, &f.properties)
	l.BoolVar(&f.noReload, "no-reload-conf", false, "do not look for changes of the configuration")
	l.IntVarP(&f.interval, "poll-interval", "i", 30, "seconds between looks at the configuration (changes are noticed at once where the system tells)")
	l.BoolVar(&f.lenient, "lenient", false, "drop faulty components and run the rest, as Flume does")
	l.BoolVar(&f.readyJSON, "ready-json", false, "print one JSON line on stdout when everything runs")
	withCompat(cmd, &f.compat)
	f.node = withNodeFlags(cmd, map[string]string{"allow-exec": "true"}, "data", "http",
		"kafka", "kafka-advertise", "auto-create-topics", "flush", "drain",
		"store-value-threshold", "store-min-free", "allow-chaos", "insecure-public", "log-level")
	withJavaFlags(cmd)
	return cmd
}

// withJavaFlags takes the flags of flume-ng that concern a JVM, without effect.
func withJavaFlags(cmd *cobra.Command) {
	l := cmd.Flags()
	for _, j := range []struct{ long, short, meaning string }{
		{"classpath", "C", "Java's; without effect"},
		{"plugins-path", "", "Java's; without effect"},
		{"java", "X", "Java's -X options; without effect"},
		{"backup-directory", "b", "without effect: the last good configuration runs on by itself"},
	} {
		l.StringArrayP(j.long, j.short, nil, j.meaning)
	}
}

// unsupported are flags of flume-ng that change where the configuration comes
// from: without them something else would run, so they are refused.
var unsupported = map[string]string{
	"-z": "configuration from ZooKeeper", "--zkConnString": "configuration from ZooKeeper",
	"-prov": "a configuration provider class", "--conf-provider": "a configuration provider class",
	"-a": "authentication for a configuration URI", "--auth-provider": "authentication for a configuration URI",
	"-user": "authentication for a configuration URI", "-pwd": "authentication for a configuration URI",
}

// flumeArgs looks through arguments in flume-ng's form for what pflag cannot
// read or sluice does not do.
func flumeArgs(args []string) error {
	for _, a := range args {
		if a == "--" {
			return nil
		}
		name, _, _ := strings.Cut(a, "=")
		if what, ok := unsupported[name]; ok {
			return &usageError{fmt.Errorf("%s: %s is not something sluice does; write the configuration to a file and name it with -f", name, what)}
		}
	}
	return nil
}

func runAgent(cmd *cobra.Command, f *agentFlags) error {
	if f.name == "" {
		return &usageError{fmt.Errorf("no agent named; want -n NAME\n%s", hint(cmd))}
	}
	paths, err := f.paths()
	if err != nil {
		return err
	}
	properties, err := parseProperties(f.properties)
	if err != nil {
		return err
	}
	if f.interval < 1 {
		return &usageError{fmt.Errorf("-i %d: want at least 1 second", f.interval)}
	}
	warnJava(cmd, f.confDir)
	def, err := admin.ReadDefinition(admin.Definition{Agent: f.name, Lenient: f.lenient, Compat: f.compat, Properties: properties}, paths...)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	cfg, err := f.node.read()
	if err != nil {
		return err
	}
	t, faults := runs(cfg.AllowExec)(def)
	if t == nil || len(t.Agents) == 0 || !(f.lenient || f.compat) && topologies.Failed(faults, f.name) {
		return &admin.ConfigError{Faults: faults}
	}
	why := "--data"
	if cfg.Dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("no --data, and no home directory: %w", err)
		}
		cfg.Dir, why = config.AgentDir(&t.Agents[0], home)
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return err
	}
	if !f.node.given("node") {
		cfg.Name = f.name
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "store: %s (%s)\n", cfg.Dir, why)
	tellFaults(cmd.ErrOrStderr(), faults, def)
	o := processOptions{config: cfg, load: runs(cfg.AllowExec), readyJSON: f.readyJSON, monitoring: properties,
		stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), log: newLogger(cmd.ErrOrStderr(), cfg.LogLevel)}
	if !f.noReload {
		o.reload = time.Duration(f.interval) * time.Second
	}
	return runProcess(cmd.Context(), o, def)
}

// paths are the files to read, with -c as a second place to look.
func (f *agentFlags) paths() ([]string, error) {
	var paths []string
	for _, u := range f.uris {
		path, ok := strings.CutPrefix(u, "file:")
		if !ok {
			return nil, &usageError{fmt.Errorf("-u %s: only file: URIs are read; fetch it to a file and name it with -f", u)}
		}
		paths = append(paths, "/"+strings.TrimLeft(path, "/"))
	}
	if len(paths) > 0 {
		return paths, nil
	}
	if len(f.files) == 0 {
		return nil, &usageError{fmt.Errorf("no configuration named; want -f FILE")}
	}
	for _, p := range f.files {
		if _, err := os.Stat(p); os.IsNotExist(err) && f.confDir != "" && !filepath.IsAbs(p) {
			if inDir := filepath.Join(f.confDir, p); fileText(inDir) != nil {
				p = inDir
			}
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// warnJava says of what was given for a JVM that it has no effect.
func warnJava(cmd *cobra.Command, confDir string) {
	for _, name := range []string{"classpath", "plugins-path", "java", "backup-directory"} {
		if cmd.Flags().Changed(name) {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: --%s has no effect here\n", name)
		}
	}
	if confDir != "" {
		env := filepath.Join(confDir, "flume-env.sh")
		if _, err := os.Stat(env); err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is not run; set what it exports before starting sluice\n", env)
		}
	}
}
