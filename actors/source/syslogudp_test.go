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

func TestSyslogUDP(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{Kind: "syslogudp", Unordered: true, Place: func(*testing.T) sourcetest.Place {
		return sourcetest.Place{Settings: settings(), Feed: func(ctx context.Context, src source.Source, first, n int) error {
			addr, err := addrOf(ctx, src)
			if err != nil {
				return err
			}
			conn, err := net.Dial("udp", addr.String())
			if err != nil {
				return err
			}
			defer conn.Close()
			for range 3 { // datagrams get lost
				for i := first; i < first+n && ctx.Err() == nil; i++ {
					if _, err := fmt.Fprint(conn, message(i)); err != nil {
						return err
					}
				}
			}
			return nil
		}}
	}})
}

func TestSyslogUDPMakesOneRecordOfADatagram(t *testing.T) {
	var out sourcetest.Out
	src, env := running(t, "syslogudp", &out, "clientIPHeader", "ip")
	addr, err := addrOf(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	big := "<13>" + strings.Repeat("x", 60000)
	for _, datagram := range []string{message(1) + "\nsecond line\n", "\n" + message(2), "\n", "bad", big} {
		fmt.Fprint(conn, datagram)
	}
	got := out.WaitRecords(t, 4)
	if want := []string{"record 000001", "record 000002", "bad", big}; !slices.Equal(out.Bodies(), want) {
		t.Errorf("got %.200q", out.Bodies())
	}
	if got[0].Headers["ip"] != "127.0.0.1" || got[2].Headers["flume.syslog.status"] != "Invalid" {
		t.Errorf("got %v and %v", got[0].Headers, got[2].Headers)
	}
	if env.Counters.Truncated.Load() != 1 || env.Counters.Malformed.Load() != 1 {
		t.Errorf("truncated %d, malformed %d", env.Counters.Truncated.Load(), env.Counters.Malformed.Load())
	}
}
