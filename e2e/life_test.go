package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// life is one agent with its store, from the first start to the last count:
// a log is tailed through a channel into rolled files.
type life struct {
	t     *testing.T
	rnd   *rand.Rand
	dir   string
	sinks int
	conf  string
	feed  *feed
	kills int
	began time.Time
	wrap  []string // what the agent is run under

	env    []string // more of it
	binary string   // another one than the usual
}

// lifeSettings is what one life differs from another in.
type lifeSettings struct {
	channel string // its type
	sinks   int
	rotates bool
	batch   int // of the source; 0: any
	roll    int // seconds; 0: any
}

func newLife(t *testing.T, rnd *rand.Rand, s lifeSettings) *life {
	t.Helper()
	return newLifeIn(t, workDir(t), rnd, s)
}

func newLifeIn(t *testing.T, dir string, rnd *rand.Rand, s lifeSettings) *life {
	t.Helper()
	l := &life{t: t, rnd: rnd, dir: dir, sinks: s.sinks, began: time.Now()}
	for _, d := range append([]string{l.in()}, l.outs()...) {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l.conf = filepath.Join(dir, "flume.conf")
	text := l.flumeConf(s)
	if err := os.WriteFile(l.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l.feed = &feed{dir: l.in(), rnd: rand.New(rand.NewPCG(rnd.Uint64(), 1)), rotates: s.rotates}
	return l
}

func (l *life) in() string   { return filepath.Join(l.dir, "in") }
func (l *life) data() string { return filepath.Join(l.dir, "data") }

func (l *life) outs() (dirs []string) {
	for i := range l.sinks {
		dirs = append(dirs, filepath.Join(l.dir, fmt.Sprintf("out%d", i+1)))
	}
	return dirs
}

func (l *life) flumeConf(s lifeSettings) string {
	var b strings.Builder
	pick := func(of ...int) int { return of[l.rnd.IntN(len(of))] }
	set := func(key string, value any) { fmt.Fprintf(&b, "a1.%s = %v\n", key, value) }
	set("sources", "r1")
	set("channels", "c1")
	set("sources.r1.type", "TAILDIR")
	set("sources.r1.positionFile", filepath.Join(l.dir, "positions.json"))
	set("sources.r1.filegroups", "f1")
	set("sources.r1.filegroups.f1", filepath.Join(l.in(), "app.*"))
	if s.batch == 0 {
		s.batch = pick(1, 10, 100, 1000)
	}
	set("sources.r1.batchSize", s.batch)
	set("sources.r1.channels", "c1")
	set("channels.c1.type", s.channel)
	set("channels.c1.capacity", 100_000)
	set("channels.c1.transactionCapacity", 1000)
	var sinks []string
	for i, out := range l.outs() {
		name := fmt.Sprintf("k%d", i+1)
		sinks = append(sinks, name)
		set("sinks."+name+".type", "file_roll")
		set("sinks."+name+".sink.directory", out)
		roll := pick(0, 1, 30)
		if s.roll > 0 {
			roll = s.roll
		}
		set("sinks."+name+".sink.rollInterval", roll)
		set("sinks."+name+".sink.batchSize", pick(10, 100, 1000))
		set("sinks."+name+".channel", "c1")
	}
	set("sinks", strings.Join(sinks, " "))
	return b.String()
}

// start starts the agent.
func (l *life) start(more ...string) *node {
	l.t.Helper()
	args := []string{"agent", "-n", "a1", "-f", l.conf, "--data", l.data(), "--http", "127.0.0.1:0", "--ready-json"}
	c := command(l.wrap, append(args, more...)...)
	if l.binary != "" {
		c.Path, c.Args[0] = l.binary, l.binary
	}
	c.Env = append(os.Environ(), l.env...)
	return start(l.t, filepath.Join(l.dir, "stderr"), c)
}

// configure adds lines to the configuration.
func (l *life) configure(lines ...string) {
	l.t.Helper()
	text, err := os.ReadFile(l.conf)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.conf, append(text, strings.Join(lines, "\n")+"\n"...), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// runAndKill starts the agent and kills it at a random moment: one in four
// times perhaps while it starts, else some time after.
func (l *life) runAndKill() {
	l.t.Helper()
	n := l.start()
	if l.rnd.IntN(4) > 0 {
		n.mustBeReady()
	}
	time.Sleep(time.Duration(50+l.rnd.IntN(750)) * time.Millisecond)
	select {
	case <-n.exited:
		l.t.Fatalf("the agent ended by itself: %v\n%s", n.err, n.messages())
	default:
	}
	n.kill()
	l.kills++
}

// finish delivers what is left, stops the agent in order and counts.
func (l *life) finish(n *node) verdict {
	l.t.Helper()
	n.mustBeReady()
	l.await(n)
	n.stop()
	return judge(l.t, l.feed.next, l.outs()...)
}

// await waits until as many bytes have come out as went in.
func (l *life) await(n *node) {
	l.t.Helper()
	l.awaitQuiet(n, func(int64) bool { return l.isOut() })
}

// isOut says that every line is in the output. The size alone does not tell: a
// file may still have a tail of the life before that is about to be cut.
func (l *life) isOut() bool {
	return bytesIn(l.outs()...) >= l.feed.bytes && len(judge(l.t, l.feed.next, l.outs()...).lost) == 0
}

// awaitQuiet waits until enough has come out.
func (l *life) awaitQuiet(n *node, enough func(sum int64) bool) {
	l.t.Helper()
	last, since := int64(-1), time.Now()
	for {
		sum := bytesIn(l.outs()...)
		if enough(sum) {
			return
		}
		if sum != last {
			last, since = sum, time.Now()
		}
		if time.Since(since) > stillMax {
			l.t.Fatalf("%d bytes went in, %d came out, and nothing more for %v\nreadyz: %s\n%s\n%s",
				l.feed.bytes, sum, stillMax, n.get("/readyz?verbose"), judge(l.t, l.feed.next, l.outs()...), n.messages())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// mustBeWhole fails the test unless every line came once.
func (l *life) mustBeWhole(v verdict) {
	l.t.Helper()
	l.t.Logf("%d kills in %v: %v", l.kills, time.Since(l.began).Round(time.Millisecond), v)
	if !v.clean() {
		l.t.Errorf("%v\n%s", v, lastLines(filepath.Join(l.dir, "stderr"), 60))
	}
}
