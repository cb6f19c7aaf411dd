package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Scripts that call kafka-topics.sh or flume-ng go on through links.
func TestTheNameOfALinkIsItsCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		want string
	}{
		{"/usr/bin/kafka-topics.sh", "--list", "kafka-topics --list"},
		{"kafka-console-consumer", "--topic t", "kafka-console-consumer --topic t"},
		{"/opt/flume/bin/flume-ng", "agent -n a1 -f x.conf", "agent -n a1 -f x.conf"},
		{"flume-ng", "help", "agent --help"},
		{"flume-ng", "version", "version"},
		{"/tmp/sluice", "topic list", "topic list"},
	} {
		got := strings.Join(calledAs(c.name, strings.Fields(c.args)), " ")
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.name, c.args, got, c.want)
		}
	}
}

func TestConfigsAreSplitOutsideOfBrackets(t *testing.T) {
	got := splitConfigs("retention.ms=1, cleanup.policy=[compact,delete],x=")
	want := []string{"retention.ms=1", "cleanup.policy=[compact,delete]", "x="}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	m, err := pairs("add-config", got)
	if err != nil || *m["cleanup.policy"] != "compact,delete" || *m["x"] != "" {
		t.Fatalf("%v %v", m, err)
	}
}

func TestDurationsAreReadAsJavaWritesThem(t *testing.T) {
	for s, want := range map[string]time.Duration{"PT1H30M": 90 * time.Minute, "P1D": 24 * time.Hour, "P1DT2S": 24*time.Hour + 2*time.Second, "pt0.5s": time.Second / 2} {
		if got, err := isoDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "P", "1h", "P1H", "PTx"} {
		if got, err := isoDuration(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

func TestPlacesInATopicAreRead(t *testing.T) {
	for s, want := range map[string]target{
		"start": {kind: toStart}, "end": {kind: toEnd}, "12": {toOffset, 12}, "-3": {beforeEnd, 3}, "+4": {fromCommitted, 4}, "~5": {fromCommitted, -5},
		"@1000": {atTime, 1000}, "@1970-01-01T00:00:02Z": {atTime, 2000},
	} {
		if got, err := parseTarget(s); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "@", "@noon", "-", "+x"} {
		if got, err := parseTarget(s); err == nil {
			t.Errorf("%q is taken for %+v", s, got)
		}
	}
	for _, s := range []string{"start", "end", "3", "-3", "@1000", "@2026-11-22T10:00:00Z"} {
		if _, err := parseOffset(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "x", "@x", "1.5"} {
		if _, err := parseOffset(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

// The line reader has the rules of Kafka's own.
func TestALineBecomesARecordAsInKafka(t *testing.T) {
	f, err := readerFormat([]string{"parse.key=true", "parse.headers=true", `headers.delimiter=\t`, "key.separator=:", "null.marker=NULL"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.record([]byte("a:1,b:2\tkey:NULL"), 1)
	if err != nil || len(r.Headers) != 2 || r.Headers[1].Key != "b" || string(r.Headers[1].Value) != "2" || string(r.Key) != "key" || r.Value != nil {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err := f.record([]byte("a:1\tno key"), 7); err == nil || !strings.Contains(err.Error(), "line 7") {
		t.Fatalf("a line without a key: %v", err)
	}
	if _, err := readerFormat([]string{"parse.kye=true"}); err == nil {
		t.Fatal("a property that does not exist is taken")
	}
}
