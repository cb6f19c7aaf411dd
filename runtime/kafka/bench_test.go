package kafka

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const benchPartitions = 12

// frames sends the same frame again and again over one connection, depth of
// them on their way, and throws the answers away.
func frames(b *testing.B, addr string, frame []byte, depth int) {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 1<<20)
	room := make(chan struct{}, depth)
	go func() {
		for range b.N {
			room <- struct{}{}
			if _, err := c.Write(frame); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := in.Discard(int(binary.BigEndian.Uint32(size[:]))); err != nil {
			b.Fatal(err)
		}
		<-room
	}
	b.StopTimer()
}

// BenchmarkProduce is a request with a batch for each of twelve partitions, four
// requests on their way.
func BenchmarkProduce(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			w := startWhole(b)
			id := w.topic("orders", benchPartitions)
			req := produceRequest("orders", id, 0, batchOf(strings.Repeat("x", size)))
			for i := int32(1); i < benchPartitions; i++ {
				p := req.Topics[0].Partitions[0]
				p.Partition = i
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
			}
			req.Version = 9
			b.SetBytes(int64(benchPartitions * size))
			frames(b, w.addr, kmsg.NewRequestFormatter().AppendRequest(nil, req, 1), 4)
		})
	}
}

// BenchmarkFetch is a request for a MiB of each of twelve partitions.
func BenchmarkFetch(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			w := startWhole(b)
			id := w.topic("orders", benchPartitions)
			req := fetchRequest("orders", id, 0, 0)
			req.MaxBytes = 4 << 20
			for i := range int32(benchPartitions) {
				for range min(1<<20/size, 128) {
					mustProduce(w, "orders", id, i, strings.Repeat("x", size))
				}
				if i > 0 {
					p := req.Topics[0].Partitions[0]
					p.Partition = i
					req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
				}
			}
			req.Version = 12
			c := w.client()
			resp := on[*kmsg.FetchResponse](c, 12, req)
			n := 0
			for _, p := range resp.Topics[0].Partitions {
				n += len(p.RecordBatches)
			}
			b.SetBytes(int64(n))
			frames(b, w.addr, kmsg.NewRequestFormatter().AppendRequest(nil, req, 1), 1)
		})
	}
}
