// Package load reads topologies from files of any form: Flume's properties,
// the block dialect of articles, and YAML.
package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// Options say what files may refer to and how they are judged.
type Options struct {
	// The options of Flume's forms. YAML takes Agent, Env, Sys and Compat.
	flume.Options
	// File reads what ${file:PATH} names, at most secretMax bytes. Nil reads
	// from this machine.
	File func(path string) ([]byte, error)
}

// pathsMax bounds the files of one topology, fileMax the bytes of one file.
const (
	pathsMax = 1000
	fileMax  = 16 << 20
)

// Load reads the files at paths as one topology; of a folder those that end in
// .yaml, .yml, .conf or .properties. The faults are all that is wrong with
// them; the error is for a path that cannot be read.
func Load(paths []string, o Options) (*topologies.Topology, []topologies.Fault, error) {
	files, err := Files(paths)
	if err != nil {
		return nil, nil, err
	}
	return Read(files, o)
}

// Files reads the texts of the files at paths, as Load does.
func Files(paths []string) ([]flume.File, error) {
	var files []flume.File
	for _, path := range paths {
		inside, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range inside {
			text, err := readFile(name, fileMax)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if files = append(files, flume.File{Name: name, Data: text}); len(files) > pathsMax {
				return nil, fmt.Errorf("read %s: more than %d files", path, pathsMax)
			}
		}
	}
	return files, nil
}

// expand is path, or what lies in it when it is a folder.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read a topology: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read a topology: %w", err)
	}
	var out []string
	for _, e := range entries {
		known := slices.Contains([]string{".yaml", ".yml", ".conf", ".properties"}, strings.ToLower(filepath.Ext(e.Name())))
		if known && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read %s: the folder holds no file that ends in .yaml, .yml, .conf or .properties", path)
	}
	return out, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeNamedPipe == 0 && !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, err
}

// IsYAML says whether a file's name tells that it is a topology in YAML.
func IsYAML(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// Read is Load for texts that are at hand. All files are YAML, or none is.
func Read(files []flume.File, o Options) (*topologies.Topology, []topologies.Fault, error) {
	if len(files) == 0 {
		return nil, nil, errors.New("read a topology: no file given")
	}
	for _, f := range files {
		if IsYAML(f.Name) != IsYAML(files[0].Name) {
			return &topologies.Topology{Name: baseName(files[0].Name)}, []topologies.Fault{{
				Code: "SL0155", Severity: topologies.Error, Pos: topologies.Pos{File: f.Name},
				Message: fmt.Sprintf("%s and %s are of two forms, and one topology has one", files[0].Name, f.Name),
				Hint:    "turn the other with: sluice convert",
			}}, nil
		}
	}
	if IsYAML(files[0].Name) {
		t, faults := readYAML(files, o)
		return t, faults, nil
	}
	parsed, err := flume.Read(files, o.Options)
	if err != nil {
		return nil, nil, err
	}
	faults := judged(parsed.Faults, topologies.Validate(&parsed.Topology))
	return &parsed.Topology, faults, nil
}

// judged adds what Validate says about values to what the reader of Flume's
// forms has said, once each. The wiring is the reader's: it also saw what it has
// dropped.
func judged(read, validated []topologies.Fault) []topologies.Fault {
	type at struct {
		code, agent, file string
		line              int
	}
	said := map[at]bool{}
	for _, f := range read {
		said[at{f.Code, f.Agent, f.Pos.File, f.Pos.Line}] = true
	}
	for _, f := range validated {
		if strings.HasPrefix(f.Code, "SL03") && !said[at{f.Code, f.Agent, f.Pos.File, f.Pos.Line}] {
			read = append(read, f)
		}
	}
	topologies.SortFaults(read)
	return read
}

func baseName(name string) string {
	base := filepath.Base(filepath.ToSlash(name))
	return strings.TrimSuffix(base, filepath.Ext(base))
}
