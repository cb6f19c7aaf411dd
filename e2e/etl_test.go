package e2e

import (
	"strings"
	"testing"
	"time"
)

// Chains of groups, each consuming what the one before produced, with and
// without transactions: every record arrives once in every topic, while the node
// is killed and started again on the same data. The suite counts it as a failure
// when a member that joins is refused a connection, so clients meet a door that
// is always open and leads nowhere while the node is down.
//
// It also fails when a member that joins is cut off after more than a session of
// 20 s. A rebalance takes until the last member's heartbeat, one in 3 s, and
// begins again with the node. So many kills are further from each other than
// heartbeats are; a few come as they like, and are over before a session is.
//
// Groups without transactions promise at least once. When the kill falls upon a
// client that leaves, its last commit is lost with the connection, the next one
// reads again, and the suite says that it saw an offset twice. One such round is
// allowed, and another must then be clean; transactions are allowed none.
func TestChainsOfGroupsLoseAndRepeatNothingWhileTheNodeIsKilled(t *testing.T) {
	for i, c := range []struct{ name, pattern string }{
		{"groups", "^TestGroupETL$"},
		{"transactions", "^TestTxnEtl$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rnd := choices(t, 700+i)
			k, door := newNodeBehindADoor(t, "--auto-create-topics")
			kills := times(2, 5, 100)
			total, rounds, clean, repeats := 0, 0, 0, times(1, 1, 5)
			if c.name == "transactions" {
				repeats = 0
			}
			for total < kills || clean == 0 {
				rounds++
				l := k.killLoop(max(kills-total, 1), func() time.Duration {
					least := time.Duration(times(1, 1, 5)) * time.Second
					return least + time.Duration(rnd.Int64N(int64(3*time.Second)))
				})
				v := runSuite(t, door, c.pattern, times(10_000, 20_000, 500_000), time.Duration(times(5, 8, 25))*time.Minute)
				total += l.end()
				if repeats > 0 && len(v.failed) > 0 && strings.Contains(v.output, "saw double offset") {
					repeats--
					t.Logf("round %d: a group read something again\n%s", rounds, v.lastOf(5))
					continue
				}
				clean++
				if v.err != nil || len(v.failed) > 0 || len(v.passed) == 0 {
					t.Fatalf("round %d, %d kills: %s (%v)\n%s\n%s", rounds, total, strings.Join(v.failed, " "), v.err, v.lastOf(60), k.messages())
				}
			}
			t.Logf("%d kills in %d rounds", total, rounds)
			k.stop()
		})
	}
}
