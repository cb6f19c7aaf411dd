package channel_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// One batch of 1000 lines of 207 bytes on its whole way: reserve, (write,)
// stored, take, commit.
func BenchmarkABatchThroughAMemoryChannel(b *testing.B) { through(b, memory) }
func BenchmarkABatchThroughAFileChannel(b *testing.B)   { through(b, file) }

func through(b *testing.B, kind func(*channeltest.Node, string, int) *channel.Spec) {
	n := channeltest.Open(b, b.TempDir())
	defer n.Close()
	c := n.Spawn(kind(n, "c1", 1_000_000))
	line := bytes.Repeat([]byte("x"), 207)
	putter, taker := ask.NewAsker(n.System), c.Taker("k1")
	defer putter.Close()
	defer taker.Close()
	stored := make(chan error, 1)
	done := func(err error) { stored <- err }
	shares := make([]channel.Share, 1)
	key := persistence.KV{Key: persistence.CheckpointKey("a1", "r1", "c1", "p/s"), Value: []byte{1}}
	leases := make([]uint64, 1)
	b.SetBytes(207 * 1000)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		slab := record.NewSlab(256 << 10)
		for range 1000 {
			slab.Append(line)
		}
		shares[0] = channel.Share{To: c, Batch: slab, Checkpoint: key}
		if err := channel.Put(context.Background(), putter, n.Store, shares, time.Minute, done); err != nil {
			b.Fatal(err)
		}
		if err := <-stored; err != nil {
			b.Fatal(err)
		}
		l, err := taker.Take(1000)
		for ; l == nil && err == nil; l, err = taker.Take(1000) {
		}
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
		leases[0] = l.ID
		if err := c.Commit(context.Background(), putter, &channel.Commit{Life: l.Life, Leases: leases}); err != nil {
			b.Fatal(err)
		}
	}
}
