package agent_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/topologies/flume"
)

// free returns a port that nobody listens on.
func free(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// Who is told that an agent runs may connect to its sources at once; one that
// cannot listen holds nobody up.
func TestWhenAnAgentHasStartedItsSourcesListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n := channeltest.Open(t, t.TempDir())
	defer n.Close()
	for round := range 3 {
		conf := strings.Builder{}
		conf.WriteString("a1.sources = r0 r1 r2 r3\na1.channels = c1\na1.sinks = k1\na1.channels.c1.type = memory\na1.sinks.k1.type = null\na1.sinks.k1.channel = c1\n")
		ports := []int{free(t), free(t), free(t), taken.Addr().(*net.TCPAddr).Port}
		for i, kind := range []string{"netcat", "http", "syslogtcp", "netcat"} {
			bind := "bind"
			if kind == "syslogtcp" {
				bind = "host"
			}
			fmt.Fprintf(&conf, "a1.sources.r%[1]d.type = %[2]s\na1.sources.r%[1]d.%[3]s = 127.0.0.1\na1.sources.r%[1]d.port = %[4]d\na1.sources.r%[1]d.channels = c1\n",
				i, kind, bind, ports[i])
		}
		p, err := flume.Read([]flume.File{{Name: "flume.conf", Data: []byte(conf.String())}}, flume.Options{})
		if err != nil {
			t.Fatal(err)
		}
		g := start(t, n, &p.Topology.Agents[0])
		for i, port := range ports[:3] {
			conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				t.Errorf("round %d: r%d: %v", round, i, err)
				continue
			}
			conn.Close()
		}
		stop(g)
	}
}
