package source_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// addrOf waits until src listens and says where.
func addrOf(ctx context.Context, src source.Source) (net.Addr, error) {
	return src.(interface {
		Addr(context.Context) (net.Addr, error)
	}).Addr(ctx)
}

// dial connects to src.
func dial(t testing.TB, src source.Source) net.Conn {
	t.Helper()
	addr, err := addrOf(t.Context(), src)
	if err != nil {
		t.Fatalf("the source does not listen: %v", err)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func settings(kv ...string) map[string]string {
	m := map[string]string{"bind": "127.0.0.1", "host": "127.0.0.1", "port": "0"}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

// running is a source of kind that runs into out until the test ends.
func running(t *testing.T, kind string, out *sourcetest.Out, kv ...string) (source.Source, source.Env) {
	env := sourcetest.Env(t)
	src := sourcetest.New(t, kind, settings(kv...), env)
	sourcetest.Start(t, src, out)
	return src, env
}

func TestNetcat(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{Kind: "netcat", Place: func(*testing.T) sourcetest.Place {
		return sourcetest.Place{Settings: settings(), Feed: func(ctx context.Context, src source.Source, first, n int) error {
			for ctx.Err() == nil && n > 0 {
				done, err := sendLines(ctx, src, first, min(n, 50))
				if err != nil {
					return err
				}
				first, n = first+done, n-done
			}
			return ctx.Err()
		}}
	}})
}

// sendLines sends n lines and counts how many, from the first, were answered
// with OK.
func sendLines(ctx context.Context, src source.Source, first, n int) (stored int, err error) {
	addr, err := addrOf(ctx, src)
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var lines strings.Builder
	for i := range n {
		lines.WriteString(sourcetest.Line(first+i) + "\n")
	}
	if _, err = conn.Write([]byte(lines.String())); err != nil {
		return 0, err
	}
	answers := bufio.NewReader(conn)
	for range n {
		answer, err := answers.ReadString('\n')
		if err != nil {
			return stored, nil // sent again on a new connection
		}
		if answer != "OK\n" {
			return stored, nil
		}
		stored++
	}
	return stored, nil
}

func TestNetcatKeepsCarriageReturnsAndDropsAnUnfinishedLine(t *testing.T) {
	var out sourcetest.Out
	src, _ := running(t, "netcat", &out)
	conn := dial(t, src)
	fmt.Fprint(conn, "one\r\n\ntwo\nunfinished")
	conn.(*net.TCPConn).CloseWrite()
	var answers []string
	for s := bufio.NewScanner(conn); s.Scan(); {
		answers = append(answers, s.Text())
	}
	if want := []string{"OK", "OK", "OK"}; !slices.Equal(answers, want) {
		t.Errorf("answers: got %q, want %q", answers, want)
	}
	if got, want := out.Bodies(), []string{"one\r", "", "two"}; !slices.Equal(got, want) {
		t.Errorf("bodies: got %q, want %q", got, want)
	}
}

func TestNetcatReadsTheSettingsEncoding(t *testing.T) {
	for encoding, sent := range map[string]string{
		"utf-8":      "grüße €\n",
		"iso-8859-1": "gr\xfc\xdfe\n",
		"UTF-16BE":   "\x00g\x00r\x00\xfc\xd8\x3d\xde\x00\x00\n",
		"UTF-16LE":   "g\x00r\x00\xfc\x00\x3d\xd8\x00\xde\n\x00",
		"UTF-16":     "\xff\xfeg\x00r\x00\xfc\x00\n\x00",
	} {
		want := map[string]string{"utf-8": "grüße €", "iso-8859-1": "grüße", "UTF-16BE": "grü😀", "UTF-16LE": "grü😀", "UTF-16": "grü"}[encoding]
		var out sourcetest.Out
		src, _ := running(t, "netcat", &out, "encoding", encoding)
		conn := dial(t, src)
		for i := range len(sent) { // bytes come one by one
			if _, err := conn.Write([]byte{sent[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.WaitRecords(t, 1)[0].Body; got != want {
			t.Errorf("%s: got %q, want %q", encoding, got, want)
		}
	}
}

func TestNetcatEndsAConnectionWhoseLineIsTooLong(t *testing.T) {
	for _, ack := range []string{"true", "false"} {
		for _, end := range []string{"", "\n"} {
			var out sourcetest.Out
			src, env := running(t, "netcat", &out, "max-line-length", "10", "ack-every-event", ack)
			conn := dial(t, src)
			fmt.Fprint(conn, "123456789\nüüüüüüüüü\n1234567890"+end)
			var answers []string
			for s := bufio.NewScanner(conn); s.Scan(); {
				answers = append(answers, s.Text())
			}
			last := answers[len(answers)-1]
			if !strings.HasPrefix(last, "FAILED: ") || !strings.Contains(last, "10 chars") {
				t.Errorf("ack %s: last answer %q", ack, last)
			}
			if want := map[string]int{"true": 3, "false": 1}[ack]; len(answers) != want {
				t.Errorf("ack %s: got answers %q, want %d", ack, answers, want)
			}
			if out.Len() != 2 || env.Counters.Malformed.Load() != 1 {
				t.Errorf("ack %s: %d records, %d malformed", ack, out.Len(), env.Counters.Malformed.Load())
			}
		}
	}
}

func TestNetcatAnswersFailedWhileTheChannelIsFull(t *testing.T) {
	var out sourcetest.Out
	out.SetFull(true)
	src, _ := running(t, "netcat", &out)
	conn := dial(t, src)
	answers := bufio.NewReader(conn)
	fmt.Fprint(conn, "lost\n")
	if got, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(got, "FAILED: ") {
		t.Fatalf("full: got %q, %v", got, err)
	}
	out.SetFull(false)
	fmt.Fprint(conn, "kept\n")
	if got, err := answers.ReadString('\n'); got != "OK\n" {
		t.Fatalf("no longer full: got %q, %v", got, err)
	}
	if got := out.Bodies(); !slices.Equal(got, []string{"kept"}) {
		t.Fatalf("got %q", got)
	}
}

func TestATakenPortIsAnErrorOfRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	src := sourcetest.New(t, "netcat", settings("port", port), sourcetest.Env(t))
	if err := sourcetest.Start(t, src, new(sourcetest.Out)).Wait(); err == nil || !strings.Contains(err.Error(), port) {
		t.Fatalf("got %v, want an error that names the port", err)
	}
}
