package flume_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// resolved is what the sink k1 of base sees as its property x.
func resolved(t *testing.T, conf, x string, o flume.Options) (string, *flume.Parsed) {
	t.Helper()
	p := read(t, base+conf+"\na1.sinks.k1.x = "+x+"\n", o)
	v, _ := p.Topology.Agents[0].Sinks[0].Settings.Value("x")
	return v.Text, p
}

func TestReferencesAreResolvedAsInFlume(t *testing.T) {
	o := flume.Options{
		Env: map[string]string{"HOST": "h1", "WHICH": "HOST", "DEEP": "${env:HOST}!", "EMPTY": ""},
		Sys: map[string]string{"port": "99"},
		Now: time.Date(2026, 3, 5, 17, 4, 9, 0, time.UTC),
	}
	for _, c := range []struct{ x, want string }{
		{"${env:HOST}", "h1"},
		{"${ENV:HOST}", "h1"},
		{"a${env:HOST}b${sys:port}c", "ah1b99c"},
		{"${PORT}", "5140"},
		{"${chain}", "5140/5140"},
		{"${a1.channels.c1.type}", "memory"},
		{"${env:NONE:-d}", "d"},
		{"${env:NONE:-}x", "x"},
		{"${env:NONE:-${env:HOST}}", "h1"},
		{"${none:-${PORT}}", "5140"},
		{"${env:HOST:-d}", "h1"},
		{"${env:${env:WHICH}}", "h1"},
		{"${env:DEEP}", "h1!"},
		{"x${env:EMPTY}y", "xy"},
		{"$${env:HOST}", "${env:HOST}"},
		{"$$${env:HOST}", "$${env:HOST}"},
		{"$${${env:WHICH}}", "${HOST}"},
		{"${env:NONE}", "${env:NONE}"},
		{"${env:${env:NONE}}", "${env:${env:NONE}}"},
		{"${env:HOST", "${env:HOST"},
		{"${open ${env:HOST}", "${open ${env:HOST}"},
		{"${script:javascript:1+1}", "${script:javascript:1+1}"},
		{"${file:/etc/passwd}", "${file:/etc/passwd}"},
		{"${url:http://x}", "${url:http://x}"},
		{"${env:PORT}", "5140"}, // without its prefix it is a key of the file
		{"${date:yyyy-MM-dd'T'HH:mm:ss}", "2026-03-05T17:04:09"},
		{"${date:EEE d MMM yy, h a, '''q'''}", "Thu 5 Mar 26, 5 PM, 'q'"},
		{"${date:bad}", "${date:bad}"},
		{"${HOST}", "${HOST}"},
		{"$HOST $ {x} }{", "$HOST $ {x} }{"},
		{"%{header} %Y", "%{header} %Y"},
	} {
		if got, _ := resolved(t, "PORT = 5140\nchain = ${half}/${half}\nhalf = ${PORT}", c.x, o); got != c.want {
			t.Errorf("%s: got %q, want %q", c.x, got, c.want)
		}
	}
}

func TestTheLegacyFormReadsTheEnvironmentOnlyWhenAsked(t *testing.T) {
	o := flume.Options{Env: map[string]string{"NAME": "env", "a": "env"}}
	got, p := resolved(t, "", "${NAME}", o)
	if f := faultOf(t, p, "SL0130"); got != "${NAME}" || f.Hint != "write ${env:NAME} for the variable of the environment" {
		t.Errorf("got %q and the hint %q", got, f.Hint)
	}
	o.Sys = map[string]string{"propertiesImplementation": "org.apache.flume.node.EnvVarResolverProperties"}
	if got, _ := resolved(t, "a = file", "${NAME}-${a}", o); got != "env-file" {
		t.Errorf("got %q, want env-file", got)
	}
}

func TestReferencesThatNeverEndAreErrors(t *testing.T) {
	deep := "v0 = x\n"
	for i := 1; i < 40; i++ {
		deep += fmt.Sprintf("v%d = ${v%d}\n", i, i-1)
	}
	bomb := "b0 = " + strings.Repeat("x", 1000) + "\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("b%d = %s\n", i, strings.Repeat(fmt.Sprintf("${b%d}", i-1), 20))
	}
	for _, c := range []struct{ name, conf, x string }{
		{"itself", "", "${a1.sinks.k1.x}"},
		{"a circle", "a = ${b}\nb = ${a}", "${a}"},
		{"nested names", "", strings.Repeat("${", 100) + strings.Repeat("}", 100)},
		{"a long chain", deep, "${v39}"},
		{"a bomb", bomb, "${b11}"},
	} {
		got, p := resolved(t, c.conf, c.x, flume.Options{})
		if f := faultOf(t, p, "SL0131"); f.Severity != topologies.Error || got != c.x {
			t.Errorf("%s: got %.80q and %v", c.name, got, f)
		}
	}
}

func TestConfigFilters(t *testing.T) {
	var asked []string
	o := flume.Options{
		Env: map[string]string{"PASS": "s3cret", "LOOP": "${f1['PASS']}"},
		Command: func(_ context.Context, argv []string) ([]byte, error) {
			asked = append(asked, strings.Join(argv, "|"))
			if argv[len(argv)-1] == "bad" {
				return nil, errors.New("exit status 1")
			}
			return []byte("first " + argv[len(argv)-1] + "\r\nsecond\n"), nil
		},
	}
	const filters = "a1.configfilters = f1 f2\na1.configfilters.f1.type = env\na1.configfilters.f2.type = external\na1.configfilters.f2.command = /bin/get  -k\n"
	for _, c := range []struct{ x, want, code string }{
		{"${f1['PASS']}", "s3cret", ""},
		{`${f1["PASS"]}-${f1[PASS]}`, "s3cret-s3cret", ""},
		{"${f1['NONE']}", "${f1['NONE']}", "SL0132"},
		{`${f1['PASS"]}`, `${f1['PASS"]}`, "SL0130"},
		{"${f1['a.b']}", "${f1['a.b']}", "SL0130"},
		{"${f1['LOOP']}", "${f1['PASS']}", ""}, // what a filter brings is not looked at again
		{"${f2['db-pass_1']}", "first db-pass_1", ""},
		{"${f2['bad']}", "${f2['bad']}", "SL0132"},
		{"${f3['PASS']}", "${f3['PASS']}", "SL0130"},
	} {
		got, p := resolved(t, filters, c.x, o)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.x, got, c.want)
		}
		if c.code != "" {
			faultOf(t, p, c.code)
		} else if len(p.Faults) != 1 { // x is unknown
			t.Errorf("%s: got %v", c.x, p.Faults)
		}
	}
	if want := "/bin/get|-k|db-pass_1"; asked[0] != want {
		t.Errorf("the command was run as %q, want %q", asked[0], want)
	}
}

func TestWhatFiltersBringIsSecret(t *testing.T) {
	p := read(t, strings.Replace(base, "type = seq", "type = http", 1)+`a1.configfilters = f
a1.configfilters.f.type = env
a1.sources.r1.port = ${f[PORT]}
a1.sources.r1.keystore-password = hunter2 # mine
a1.sources.r1.bind = ${env:HOST}
`, flume.Options{Env: map[string]string{"PORT": "44x", "HOST": "h"}})
	r1 := p.Topology.Agents[0].Sources[0].Settings
	for name, want := range map[string]bool{"port": true, "keystore-password": true, "bind": false} {
		if v, _ := r1.Value(name); v.Secret != want {
			t.Errorf("%s: got secret %v, want %v", name, v.Secret, want)
		}
	}
	var b strings.Builder
	if err := topologies.RenderFaults(&b, append(p.Faults, topologies.Validate(&p.Topology)...), p.Source); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "SL0106") || !strings.Contains(b.String(), `port = "***"`) {
		t.Errorf("a secret shows, or nothing is said:\n%s", b.String())
	}
}

func TestCommandsOfFiltersRunOnlyWhereTheyMay(t *testing.T) {
	const filter = "a1.configfilters = f\na1.configfilters.f.type = external\na1.configfilters.f.command = echo"
	got, p := resolved(t, filter, "${f[k]}", flume.Options{})
	if f := faultOf(t, p, "SL0132"); got != "${f[k]}" || !strings.Contains(f.Message, "commands are not run here") {
		t.Errorf("got %q and %v", got, f)
	}
	if got, _ := resolved(t, filter, "${f[k]}", flume.Options{Command: flume.Command}); got != "k" {
		t.Errorf("got %q, want what echo printed", got)
	}
}

func TestFiltersThatCannotBeUsedAreRefused(t *testing.T) {
	for conf, want := range map[string]string{
		"type = hadoop":   "needs Hadoop's Java key store",
		"type = vault":    `has the type "vault"`,
		"type = external": "has no command",
		"type = external\na1.configfilters.f.command = x\na1.configfilters.f.charset = utf-16": "wants the charset utf-16",
	} {
		_, p := resolved(t, "a1.configfilters = f\na1.configfilters.f."+conf, "1", flume.Options{})
		if f := faultOf(t, p, "SL0132"); f.Severity != topologies.Error || !strings.Contains(f.Message, want) {
			t.Errorf("%s: got %v, want %q", conf, f, want)
		}
	}
}

func TestListsMayBeReferences(t *testing.T) {
	p := read(t, strings.Replace(base, "a1.sinks = k1", "a1.sinks = ${SINKS}", 1)+"SINKS = k1 k2\n", flume.Options{})
	if f := faultOf(t, p, "SL0110"); f.Pos.String() != "flume.conf:3:12" {
		t.Errorf("got %s, want flume.conf:3:12", f.Pos)
	}
}
