package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// AgentDir is where the store of an agent lies when nothing else is said: where
// its configuration already keeps state, so that a switch from Flume needs no
// new place. why says it for people.
func AgentDir(a *topologies.Agent, home string) (dir, why string) {
	for _, c := range a.Channels {
		if c.Kind != nil && c.Kind.Name == "file" {
			if v, ok := c.Settings.Value("checkpointDir"); ok && v.Text != "" {
				return filepath.Join(underHome(v.Text, home), "sluice"), fmt.Sprintf("in checkpointDir of channel %s", c.Name)
			}
		}
	}
	for _, s := range a.Sources {
		if s.Kind != nil && strings.EqualFold(s.Kind.Name, "taildir") {
			if v, ok := s.Settings.Value("positionFile"); ok && v.Text != "" {
				return filepath.Join(filepath.Dir(underHome(v.Text, home)), "sluice-"+a.Name),
					fmt.Sprintf("beside positionFile of source %s", s.Name)
			}
		}
	}
	return filepath.Join(home, ".flume", "sluice", a.Name), "the configuration names no place for state"
}

// underHome reads a leading ~ as Flume does.
func underHome(path, home string) string {
	if path == "~" || len(path) > 1 && path[:2] == "~/" {
		return filepath.Join(home, path[1:])
	}
	return path
}
