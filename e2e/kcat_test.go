package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kcat is the command-line client built on librdkafka, which shares no code with
// the client that the other tests use.
type kcat struct {
	t    *testing.T
	addr string
	dir  string
}

func newKcat(t *testing.T) *kcat {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("skipped: kcat is not installed")
	}
	k := newKafkaNode(t, "--auto-create-topics")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(k.messages())
		}
	})
	return &kcat{t: t, addr: k.addr, dir: k.dir}
}

const kcatMax = 60 * time.Second

// run runs kcat with in as its input, and returns what it printed.
func (k *kcat) run(in string, args ...string) string {
	k.t.Helper()
	out, err := k.try(in, args...)
	if err != nil {
		k.t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (k *kcat) try(in string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(k.t.Context(), kcatMax)
	defer cancel()
	c := exec.CommandContext(ctx, "kcat", append([]string{"-b", k.addr, "-X", "socket.timeout.ms=10000"}, args...)...)
	c.Stdin = strings.NewReader(in)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}

func (k *kcat) want(what, got, want string) {
	k.t.Helper()
	if got != want {
		k.t.Errorf("%s: got %.200q (%d bytes), want %.200q (%d bytes)", what, got, len(got), want, len(want))
	}
}

// thousand are the lines 1 to 1000.
func thousand() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

func TestKcatProducesAndConsumesWithEveryCompression(t *testing.T) {
	k := newKcat(t)
	k.run("", "-L")
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		k.run(thousand(), "-P", "-t", codec, "-p", "0", "-z", codec)
		k.want(codec, k.run("", "-C", "-t", codec, "-p", "0", "-o", "beginning", "-e", "-q"), thousand())
	}
	k.run("k1\tv1\nk2\t\n", "-P", "-t", "h", "-p", "0", "-K", "\t", "-Z", "-H", "a=1", "-H", "b=2")
	k.want("headers, keys and tombstones", k.run("", "-C", "-t", "h", "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%k:%S:%h;"), "k1:2:a=1,b=2;k2:-1:a=1,b=2;")
}

func TestKcatFindsOffsetsByNumberTailAndTime(t *testing.T) {
	k := newKcat(t)
	k.run(thousand(), "-P", "-t", "t", "-p", "0")
	k.want("from an offset", k.run("", "-C", "-t", "t", "-p", "0", "-o", "499", "-c", "3", "-q", "-f", "%s,"), "500,501,502,")
	k.want("the tail", k.run("", "-C", "-t", "t", "-p", "0", "-o", "-2", "-e", "-q", "-f", "%s,"), "999,1000,")
	time.Sleep(5 * time.Millisecond)
	between := time.Now().UnixMilli()
	time.Sleep(5 * time.Millisecond)
	k.run("late\n", "-P", "-t", "t", "-p", "0")
	k.want("from a time", k.run("", "-C", "-t", "t", "-p", "0", "-o", fmt.Sprintf("s@%d", between), "-e", "-q"), "late\n")
	if got := k.run("", "-Q", "-t", fmt.Sprintf("t:0:%d", between)); !strings.Contains(got, "offset 1000") {
		t.Errorf("the offset of a time: %q", got)
	}
}

func TestKcatProducesOnceAndInTransactions(t *testing.T) {
	k := newKcat(t)
	k.run(thousand(), "-P", "-t", "idem", "-p", "0", "-X", "enable.idempotence=true")
	k.want("idempotent", k.run("", "-C", "-t", "idem", "-p", "0", "-o", "beginning", "-e", "-q"), thousand())
	for range 2 { // with the same id
		k.run(thousand(), "-P", "-t", "txn", "-p", "0", "-X", "transactional.id=x")
	}
	k.want("transactional", k.run("", "-C", "-t", "txn", "-p", "0", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"), thousand()+thousand())
	k.run(thousand(), "-P", "-t", "acks", "-p", "0", "-X", "acks=0")
	until(t, "what was sent without acknowledgement is there", func() bool {
		return k.run("", "-C", "-t", "acks", "-p", "0", "-o", "beginning", "-e", "-q") == thousand()
	})
}

func TestKcatsMessagesMayBeLargeButNotTooLarge(t *testing.T) {
	k := newKcat(t)
	large, huge := filepath.Join(k.dir, "large"), filepath.Join(k.dir, "huge")
	for path, size := range map[string]int{large: 900_000, huge: 3_000_000} {
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.run("", "-P", "-t", "big", "-p", "0", large)
	k.try("", "-P", "-t", "big", "-p", "0", "-X", "message.max.bytes=4000000", huge)
	k.want("what is there", k.run("", "-C", "-t", "big", "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%S\n"), "900000\n")
}

func TestKcatsGroupsShareAndResume(t *testing.T) {
	k := newKcat(t)
	k.run(thousand(), "-P", "-t", "shared", "-p", "0")
	member := func(group, strategy string, count int) string {
		return k.run("", "-G", group, "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000",
			"-X", "partition.assignment.strategy="+strategy, "-c", fmt.Sprint(count), "shared")
	}
	for _, strategy := range []string{"range", "roundrobin", "cooperative-sticky"} {
		k.want(strategy, member("g-"+strategy, strategy, 1000), thousand())
	}
	k.run("more\n", "-P", "-t", "shared", "-p", "0")
	k.want("from the commit on", member("g-range", "range", 1), "more\n")

	// A second member makes the first one share.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs [2]syncBuffer
	for i := range errs {
		c := exec.CommandContext(ctx, "kcat", "-b", k.addr, "-G", "g2", "-X", "auto.offset.reset=earliest", "shared")
		c.Stdout, c.Stderr = nil, &errs[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Wait() })
		until(t, "the member has joined", func() bool { return strings.Contains(errs[i].String(), "rebalanced") })
	}
	until(t, "the first member is told of the second", func() bool { return strings.Count(errs[0].String(), "rebalanced") >= 2 })
	cancel()
}
