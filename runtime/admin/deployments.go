package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/load"
)

// Definition is a topology as its files tell it. Texts travel and not parsed
// topologies, so that places in messages stay those of the user's files.
type Definition struct {
	Name  string `json:"name"` // empty: the base name of the first file
	Files []File `json:"files"`
	// Paths are where they were read from: files and folders.
	Paths []string `json:"paths,omitempty"`
	// Agent is the one to run of those in the files; empty: all of them.
	Agent   string `json:"agent,omitempty"`
	Lenient bool   `json:"lenient,omitempty"` // drop what is faulty, as Flume does
	Compat  bool   `json:"compat,omitempty"`  // keep Flume's defects too
	// Properties are Java's system properties (-Dkey=value), for substitution.
	Properties map[string]string `json:"properties,omitempty"`
}

// File is one file of a definition; a later one overrides the properties of
// those before it.
type File struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Source is the text of the file called name, for RenderFaults.
func (d Definition) Source(name string) []byte {
	for _, f := range d.Files {
		if f.Name == name {
			return []byte(f.Text)
		}
	}
	return nil
}

// ReadDefinition reads the files of a definition from this machine. A folder
// stands for the files in it.
func ReadDefinition(d Definition, paths ...string) (Definition, error) {
	files, err := load.Files(paths)
	if err != nil {
		return d, err
	}
	d.Paths, d.Files = paths, nil
	for _, f := range files {
		d.Files = append(d.Files, File{Name: f.Name, Text: string(f.Data)})
	}
	if d.Name == "" {
		base := filepath.Base(paths[0])
		d.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return d, nil
}

// Loader makes a topology of a definition. It finds all faults at once; the
// topology is nil when they leave nothing that could run.
type Loader func(Definition) (*topologies.Topology, []topologies.Fault)

// ConfigError is a definition that cannot run, with all of its faults.
type ConfigError struct {
	Faults []topologies.Fault
	Why    string // where the faults alone do not tell
}

func (e *ConfigError) Error() string {
	var lines []string
	if e.Why != "" {
		lines = append(lines, e.Why)
	}
	for _, f := range e.Faults {
		if f.Severity == topologies.Error {
			lines = append(lines, f.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap is ErrBadConfig.
func (e *ConfigError) Unwrap() error { return ErrBadConfig }

// Deployed is a definition that runs.
type Deployed struct {
	Name   string    `json:"name"`
	Files  []string  `json:"files,omitempty"` // where it was read from
	Agents []string  `json:"agents"`
	Topics []string  `json:"topics,omitempty"`
	Since  time.Time `json:"since"`
	// ReloadError is why a newer form of it was refused; the one before runs
	// on. ReloadFailed is when.
	ReloadError  string    `json:"reloadError,omitempty"`
	ReloadFailed time.Time `json:"reloadFailed,omitzero"`
}

// Deployments are the definitions that run on a node. Those that came over the
// API are kept in a folder and come back with the node.
type Deployments struct {
	node Node
	load Loader
	dir  string // "" keeps nothing
	log  *slog.Logger

	changing sync.Mutex // one change at a time; guards no data
	mu       sync.Mutex // guards running
	running  map[string]*running
}

type running struct {
	def      Definition
	topology *topologies.Topology
	Deployed
	watched bool // its files are looked at for changes
}

// NewDeployments are none so far.
func NewDeployments(node Node, load Loader, dir string, log *slog.Logger) *Deployments {
	return &Deployments{node: node, load: load, dir: dir, log: log, running: map[string]*running{}}
}

// List is what runs, by name.
func (d *Deployments) List() []Deployed {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Deployed, 0, len(d.running))
	for _, name := range slices.Sorted(maps.Keys(d.running)) {
		out = append(out, d.running[name].Deployed)
	}
	return out
}

func (d *Deployments) get(name string) (running, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.running[name]
	if !ok {
		return running{}, false
	}
	return *r, true
}

// Plan says what Deploy would do, and what there is to say about the files.
func (d *Deployments) Plan(def Definition) (topologies.Plan, []topologies.Fault, error) {
	t, faults, err := d.read(def)
	if err != nil {
		return topologies.Plan{}, faults, err
	}
	plan, err := d.node.Plan(t)
	return plan, faults, err
}

func (d *Deployments) read(def Definition) (*topologies.Topology, []topologies.Fault, error) {
	if len(def.Files) == 0 {
		return nil, nil, &ConfigError{Why: "the definition has no file"}
	}
	t, faults := d.load(def)
	if t == nil || !def.Lenient && topologies.Failed(faults, def.Agent) {
		return nil, faults, &ConfigError{Faults: faults}
	}
	if len(t.Agents)+len(t.Topics) == 0 {
		return nil, faults, &ConfigError{Faults: faults, Why: "the definition leaves no agent to run and no topic to make"}
	}
	if def.Name != "" {
		t.Name = def.Name
	}
	if err := d.free(t); err != nil {
		return nil, faults, err
	}
	return t, faults, nil
}

// free refuses agents that another definition already runs: they would share
// their state.
func (d *Deployments) free(t *topologies.Topology) error {
	for _, other := range d.List() {
		if other.Name == t.Name {
			continue
		}
		for _, a := range t.Agents {
			if slices.Contains(other.Agents, a.Name) {
				return &ConfigError{Why: fmt.Sprintf("agent %q already runs, deployed by %q; undeploy that first", a.Name, other.Name)}
			}
		}
		for _, topic := range t.Topics {
			if slices.Contains(other.Topics, topic.Name) {
				return &ConfigError{Why: fmt.Sprintf("topic %q is in topology %q; undeploy that first, the topic stays", topic.Name, other.Name)}
			}
		}
	}
	return nil
}

// How tells Deploy where a definition came from.
type How int

// The ways.
const (
	FromAPI   How = iota // kept with the node
	FromFiles            // named at the start; read again when they change
	restored
)

// Deploy runs def: all of it or nothing. On an error what ran before runs on.
func (d *Deployments) Deploy(ctx context.Context, def Definition, how How) (topologies.Plan, []topologies.Fault, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	plan, faults, err := d.deploy(ctx, def, how)
	if err != nil {
		d.refused(def.Name, err)
	}
	return plan, faults, err
}

func (d *Deployments) deploy(ctx context.Context, def Definition, how How) (topologies.Plan, []topologies.Fault, error) {
	t, faults, err := d.read(def)
	if err != nil {
		return topologies.Plan{}, faults, err
	}
	plan, err := d.node.Deploy(ctx, t)
	if err != nil {
		return plan, faults, fmt.Errorf("deploy %s: %w", t.Name, err)
	}
	def.Name = t.Name
	r := &running{def: def, topology: t, watched: how == FromFiles, Deployed: Deployed{Name: t.Name, Since: time.Now()}}
	r.Files = def.Paths
	for _, a := range t.Agents {
		r.Agents = append(r.Agents, a.Name)
	}
	for _, topic := range t.Topics {
		r.Topics = append(r.Topics, topic.Name)
	}
	d.mu.Lock()
	d.running[t.Name] = r
	d.mu.Unlock()
	if how == FromAPI {
		if err := d.keep(def); err != nil {
			return plan, faults, fmt.Errorf("%s runs, but will not come back with the node: %w", t.Name, err)
		}
	}
	return plan, faults, nil
}

// refused notes why a newer form of a running definition does not run.
func (d *Deployments) refused(name string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.running[name]; ok {
		r.ReloadError, r.ReloadFailed = err.Error(), time.Now()
		d.log.Warn("new form refused, the one before runs on", "topology", name, "err", err)
	}
}

// Undeploy stops the definition called name and forgets it.
func (d *Deployments) Undeploy(ctx context.Context, name string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if _, ok := d.get(name); !ok {
		return fmt.Errorf("topology %q: %w", name, ErrNotFound)
	}
	if err := d.node.Undeploy(ctx, name); err != nil {
		return fmt.Errorf("undeploy %s: %w", name, err)
	}
	d.mu.Lock()
	delete(d.running, name)
	d.mu.Unlock()
	if d.dir == "" {
		return nil
	}
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(d.dir)
}

// Reload reads the files of the definition called name again and deploys what
// they say now.
func (d *Deployments) Reload(ctx context.Context, name string) (topologies.Plan, error) {
	r, ok := d.get(name)
	if !ok {
		return topologies.Plan{}, fmt.Errorf("topology %q: %w", name, ErrNotFound)
	}
	if !r.watched {
		return topologies.Plan{}, fmt.Errorf("topology %q was deployed over the API; deploy it again to change it", name)
	}
	def, err := ReadDefinition(r.def, r.def.Paths...)
	if err != nil {
		d.refused(name, err)
		return topologies.Plan{}, err
	}
	plan, _, err := d.Deploy(ctx, def, FromFiles)
	return plan, err
}

// Watched are the definitions whose files are on this machine, with the paths
// that were named.
func (d *Deployments) Watched() map[string][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]string{}
	for name, r := range d.running {
		if r.watched {
			out[name] = r.def.Paths
		}
	}
	return out
}

// Restore deploys what came over the API before the node was last stopped. One
// that no longer runs does not keep the others from it.
func (d *Deployments) Restore(ctx context.Context) error {
	if d.dir == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*.json"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range files {
		var def Definition
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &def)
		}
		if err == nil {
			_, _, err = d.Deploy(ctx, def, restored)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func (d *Deployments) path(name string) string {
	return filepath.Join(d.dir, url.PathEscape(name)+".json")
}

// keep writes def so that a crash leaves the old or the new form.
func (d *Deployments) keep(def Definition) error {
	if d.dir == "" {
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(def)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), d.path(def.Name)); err != nil {
		return err
	}
	return syncDir(d.dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
