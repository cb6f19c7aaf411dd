package source_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// message is record i as a syslog line.
func message(i int) string {
	return "<134>1 2026-11-22T12:00:00.123Z web07 " + sourcetest.Line(i)
}

// octets is text as a frame of RFC 6587.
func octets(text string) string { return fmt.Sprintf("%d %s", len(text), text) }

func feedTCP(format func(i int) string) func(context.Context, source.Source, int, int) error {
	return func(ctx context.Context, src source.Source, first, n int) error {
		addr, err := addrOf(ctx, src)
		if err != nil {
			return err
		}
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for i := first; i < first+n; i++ {
			if _, err := fmt.Fprint(conn, format(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestSyslogTCP(t *testing.T) {
	for name, format := range map[string]func(i int) string{
		"lines":  func(i int) string { return message(i) + "\n" },
		"octets": func(i int) string { return octets(message(i)) },
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, sourcetest.Subject{Kind: "syslogtcp", Place: func(*testing.T) sourcetest.Place {
				return sourcetest.Place{Settings: settings(), Feed: feedTCP(format)}
			}})
		})
	}
}

// What comes in pieces of any size is cut at the same places, in order.
func TestSyslogTCPDoesNotCareHowBytesArrive(t *testing.T) {
	sent := message(1) + "\n\n" + message(2) + "\r\n" + octets(message(3)) + "no priority\n" +
		"<13>" + strings.Repeat("x", 100) + "\n12\n" + octets(message(4)+"\n") + "<13>not ended"
	want := []string{"record 000001", "record 000002", "record 000003", "no priority",
		"<13>" + strings.Repeat("x", 70-4), strings.Repeat("x", 34), "12", "record 000004", "<13>not ended"}
	for _, size := range []int{1, 7, len(sent)} {
		var out sourcetest.Out
		src, env := running(t, "syslogtcp", &out, "eventSize", "70")
		conn := dial(t, src)
		for i := 0; i < len(sent); i += size {
			if _, err := conn.Write([]byte(sent[i:min(i+size, len(sent))])); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		out.WaitRecords(t, len(want))
		if got := out.Bodies(); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d:\n got %q\nwant %q", size, got, want)
		}
		if m, n := env.Counters.Malformed.Load(), env.Counters.Truncated.Load(); m != 3 || n != 1 {
			t.Errorf("in pieces of %d: %d malformed, %d truncated", size, m, n)
		}
	}
}

func TestSyslogTCPNamesItsSender(t *testing.T) {
	var out sourcetest.Out
	src, _ := running(t, "syslogtcp", &out, "clientIPHeader", "ip", "clientHostnameHeader", "name")
	fmt.Fprintln(dial(t, src), message(1))
	h := out.WaitRecords(t, 1)[0].Headers
	if h["ip"] != "127.0.0.1" || h["name"] == "" || h["Facility"] != "16" || h["Severity"] != "6" || h["priority"] != "134" {
		t.Errorf("got %v", h)
	}
}

// A lie about a frame's length costs what it covers and no memory.
func TestSyslogTCPSurvivesLiesAboutLengths(t *testing.T) {
	var out sourcetest.Out
	src, _ := running(t, "syslogtcp", &out)
	conn := dial(t, src)
	fmt.Fprint(conn, "9999999 <13>huge\n0 <13>zero\n-5 <13>minus\n60000 "+message(1))
	conn.Close()
	got := out.WaitRecords(t, 4)
	if want := []string{"9999999 <13>huge", "0 <13>zero", "-5 <13>minus", "record 000001"}; !slices.Equal(out.Bodies(), want) {
		t.Errorf("got %q, want %q", out.Bodies(), want)
	}
	if got[3].Headers["flume.syslog.status"] != "Incomplete" {
		t.Errorf("a frame that ends early: got %v", got[3].Headers)
	}
}

func TestWithFlumesDefectsSyslogTCPDropsWhileTheChannelIsFull(t *testing.T) {
	var out sourcetest.Out
	env := sourcetest.Env(t)
	env.Compat = true
	src := sourcetest.New(t, "syslogtcp", settings(), env)
	sourcetest.Start(t, src, &out)
	out.SetFull(true)
	conn := dial(t, src)
	fmt.Fprintln(conn, message(1))
	out.WaitBlocked(t)
	out.SetFull(false)
	fmt.Fprintln(conn, message(2))
	out.WaitRecords(t, 1)
	if got := out.Bodies(); !slices.Equal(got, []string{"record 000002"}) || env.Counters.Lost.Load() != 1 {
		t.Errorf("got %q, lost %d", got, env.Counters.Lost.Load())
	}
}
