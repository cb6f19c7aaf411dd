package main

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/runtime/admin"
)

func TestAnActorIsNamedAsShortlyAsIsClear(t *testing.T) {
	at := func(path string, children ...admin.ActorNode) admin.ActorNode {
		return admin.ActorNode{Path: path, Children: children}
	}
	tree := at("",
		at("agent/a1", at("agent/a1/sink/k1"), at("agent/a1/sink/k2"), at("agent/a1/source/r1")),
		at("agent/a2", at("agent/a2/sink/k1")))
	for name, want := range map[string]string{
		"agent/a1/sink/k1": "agent/a1/sink/k1",
		"a2/sink/k1":       "agent/a2/sink/k1",
		"a2/k1":            "agent/a2/sink/k1",
		"k2":               "agent/a1/sink/k2",
		"sink/k2":          "agent/a1/sink/k2",
		"a2":               "agent/a2",
	} {
		if got, err := actorPath(tree, name); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"k1":      "may be any of agent/a1/sink/k1, agent/a2/sink/k1",
		"sink/k1": "may be any of agent/a1/sink/k1, agent/a2/sink/k1",
		"1":       "there are: agent/a1, agent/a1/sink/k1, ",
		"":        "there are: agent/a1",
		"a1/k9":   "not found",
	} {
		if got, err := actorPath(tree, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want an error with %q", name, got, err, want)
		}
	}
}
