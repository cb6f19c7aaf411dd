package admin

import (
	"time"
)

// Deployed is a definition that runs.
type Deployed struct {
	Name   string    `json:"name"`
	Files  []string  `json:"files,omitempty"` // where it was read from
	Agents []string  `json:"agents"`
	Since  time.Time `json:"since"`
	// ReloadError is why a newer form of it was refused; the one before runs
	// on. ReloadFailed is when.
	ReloadError  string    `json:"reloadError,omitempty"`
	ReloadFailed time.Time `json:"reloadFailed,omitzero"`
}

// Definition is a topology as its files tell it. Texts travel and not parsed
// topologies, so that places in messages stay those of the user's files.
type Definition struct {
	Name  string `json:"name"` // empty: the base name of the first file
	Files []File `json:"files"`
	// Agent is the one to run of those in the files; empty: all of them.
	Agent   string `json:"agent,omitempty"`
	Lenient bool   `json:"lenient,omitempty"` // drop what is faulty, as Flume does
	Compat  bool   `json:"compat,omitempty"`  // keep Flume's defects too
	// Properties are Java's system properties (-Dkey=value), for substitution.
	Properties map[string]string `json:"properties,omitempty"`
}

// File is one file of a definition.
type File struct {
	Name string `json:"name"`
	Text string `json:"text"`
}
