package configs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies/configs"
)

var tables = map[string]configs.Table{"topic": configs.Topic, "broker": configs.Broker, "group": configs.Group}

// A table is searched by name, shown to people, and its defaults are used.
func TestEveryTableIsWellFormed(t *testing.T) {
	for what, table := range tables {
		if names := table.Names(); !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%s: the names are not sorted, or one stands twice", what)
		}
		for _, c := range table {
			if c.Doc == "" || !strings.HasSuffix(c.Doc, ".") {
				t.Errorf("%s %s: says %q of itself", what, c.Name, c.Doc)
			}
			if c.Default != "" {
				if err := c.Check(c.Default); err != nil {
					t.Errorf("%s %s: its default is refused: %v", what, c.Name, err)
				}
			}
		}
	}
}

func TestEverySynonymIsAConfigOfBrokers(t *testing.T) {
	for _, c := range configs.Topic {
		for _, s := range c.Synonyms {
			b, ok := configs.Broker.Find(s.Name)
			if !ok {
				t.Errorf("%s: brokers have no %s", c.Name, s.Name)
				continue
			}
			if b.Default != "" && s.Value(b.Default) != c.Default {
				t.Errorf("%s is %q by default, and %s means %q", c.Name, c.Default, s.Name, s.Value(b.Default))
			}
		}
	}
}

func TestValuesAreCheckedByTheirTypes(t *testing.T) {
	for _, c := range []struct{ name, value, why string }{
		{"retention.ms", "-1", ""},
		{"retention.ms", " 5 ", ""},
		{"retention.ms", "9223372036854775807", ""},
		{"retention.ms", "9223372036854775808", "64 bits"},
		{"retention.ms", "-2", "at least -1"},
		{"retention.ms", "", "whole number"},
		{"max.message.bytes", "2147483648", "32 bits"},
		{"max.message.bytes", "-1", "at least 0"},
		{"min.insync.replicas", "0", "at least 1"},
		{"cleanup.policy", "compact, delete", ""},
		{"cleanup.policy", "", "at least one"},
		{"cleanup.policy", "compact,compact", "twice"},
		{"cleanup.policy", "compact,burn", "none of them"},
		{"message.timestamp.type", "LogAppendTime", ""},
		{"message.timestamp.type", "logappendtime", "one of CreateTime"},
		{"preallocate", "TRUE", ""},
		{"preallocate", "yes", "true or false"},
		{"min.cleanable.dirty.ratio", "0.3", ""},
		{"min.cleanable.dirty.ratio", "1.5", "from 0 to 1"},
		{"min.cleanable.dirty.ratio", "NaN", "from 0 to 1"},
		{"remote.storage.enable", "true", "no remote storage"},
		{"leader.replication.throttled.replicas", "", ""},
		{"compression.gzip.level", "10", "at most 9"},
		{"flush", "", ""},
		{"flush", "interval:10ms", ""},
		{"flush", "interval:0s", "always, os or interval:D"},
		{"flush", "sometimes", "always, os or interval:D"},
		{"retention.mss", "1", `did you mean "retention.ms"?`},
		{"something.else.altogether", "1", "unknown config"},
	} {
		err := configs.Topic.Check(c.name, c.value)
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.why)
		}
	}
}

func TestWhereAShareGroupBeginsIsCheckedByItsForm(t *testing.T) {
	for value, good := range map[string]bool{
		"earliest": true, "latest": true, "by_duration:PT1H": true, "by_duration:P2DT1.5S": true,
		"by_duration:P": false, "by_duration:PT": false, "by_duration:1h": false, "middle": false, "": false,
	} {
		if err := configs.Group.Check("share.auto.offset.reset", value); (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestASynonymInAnotherUnitIsTurned(t *testing.T) {
	hours := configs.Synonym{Name: "log.retention.hours", Times: 3_600_000}
	for text, want := range map[string]string{"1": "3600000", "-1": "-1", "9999999999999999": "9223372036854775807", "x": "x"} {
		if got := hours.Value(text); got != want {
			t.Errorf("%q hours are %q ms, want %q", text, got, want)
		}
	}
}
