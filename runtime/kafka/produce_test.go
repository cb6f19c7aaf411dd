package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

func TestWhatIsProducedInAnyVersionIsFetchedInAnyVersion(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 2)
	var want []string
	for version := int16(3); version <= 13; version++ {
		text := fmt.Sprintf("produced by v%d", version)
		resp := ask[*kmsg.ProduceResponse](w, version, produceRequest("orders", id, 1, batchOf(text)))
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != int64(len(want)) || p.LogAppendTime != -1 || version >= 5 && p.LogStartOffset != 0 {
			t.Fatalf("v%d: %+v", version, p)
		}
		if version < 13 && resp.Topics[0].Topic != "orders" || version == 13 && resp.Topics[0].TopicID != id {
			t.Fatalf("v%d: the topic is %q %x", version, resp.Topics[0].Topic, resp.Topics[0].TopicID)
		}
		want = append(want, fmt.Sprintf("%d %s", len(want), text))
	}
	for version := int16(4); version <= 18; version++ {
		resp := ask[*kmsg.FetchResponse](w, version, fetchRequest("orders", id, 1, 0))
		p := resp.Topics[0].Partitions[0]
		if got := texts(t, p.RecordBatches); !slices.Equal(got, want) || p.ErrorCode != 0 || p.HighWatermark != int64(len(want)) || p.LastStableOffset != p.HighWatermark || p.AbortedTransactions != nil {
			t.Fatalf("v%d: %+v\ngot  %q\nwant %q", version, p, got, want)
		}
	}
}

// changed is a good batch with one thing wrong.
func changed(change func(b []byte)) []byte {
	b := batchOf("a", "b")
	change(b)
	return sealed(b)
}

func TestABatchThatIsWrongIsRefusedForItsPartitionOnly(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 2, "max.message.bytes", "2000")
	put16, put32 := binary.BigEndian.PutUint16, binary.BigEndian.PutUint32
	crc := batchOf("a", "b")
	crc[len(crc)-1] ^= 1
	for _, c := range []struct {
		name  string
		batch []byte
		want  *kerr.Error
	}{
		{"the CRC", crc, kerr.CorruptMessage},
		{"cut off", batchOf("a", "b")[:65], kerr.CorruptMessage},
		{"shorter than a header", batchOf("a")[:30], kerr.CorruptMessage},
		{"empty", []byte{}, kerr.CorruptMessage},
		{"null", nil, kerr.InvalidRecord},
		{"magic 1", changed(func(b []byte) { b[16] = 1 }), kerr.InvalidRecord},
		{"magic 0", changed(func(b []byte) { b[16] = 0 }), kerr.InvalidRecord},
		{"magic 3", changed(func(b []byte) { b[16] = 3 }), kerr.CorruptMessage},
		{"a length below zero", changed(func(b []byte) { put32(b[8:], 0xffffffff) }), kerr.CorruptMessage},
		{"a length of 2^31-1", changed(func(b []byte) { put32(b[8:], 1<<31-1) }), kerr.CorruptMessage},
		{"two batches", append(batchOf("a"), batchOf("b")...), kerr.InvalidRecord},
		{"no record", changed(func(b []byte) { put32(b[57:], 0); put32(b[23:], 0xffffffff) }), kerr.InvalidRecord},
		{"a count below zero", changed(func(b []byte) { put32(b[57:], 0x80000000) }), kerr.CorruptMessage},
		{"a count of 2^31-1", changed(func(b []byte) { put32(b[57:], 1<<31-1); put32(b[23:], 1<<31-2) }), kerr.CorruptMessage},
		{"gaps between its offsets", changed(func(b []byte) { put32(b[23:], 5) }), kerr.InvalidRecord},
		{"an unknown codec", changed(func(b []byte) { put16(b[21:], 7) }), kerr.CorruptMessage},
		{"a control batch", changed(func(b []byte) { put16(b[21:], 1<<5) }), kerr.InvalidRecord},
		{"larger than the topic takes", batchOf(string(make([]byte, 3000))), kerr.MessageTooLarge},
		{"transactional, of nobody", changed(func(b []byte) { put16(b[21:], 1<<4) }), kerr.TransactionalIDAuthorizationFailed},
	} {
		req := produceRequest("orders", id, 0, c.batch)
		if c.batch == nil {
			req.Topics[0].Partitions[0].Records = nil
		}
		good := req.Topics[0].Partitions[0]
		good.Partition, good.Records = 1, batchOf("good")
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, good)
		resp := ask[*kmsg.ProduceResponse](w, 9, req)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != c.want.Code || p.BaseOffset != -1 {
			t.Errorf("%s: %v at %d, want %v", c.name, kerr.ErrorForCode(p.ErrorCode), p.BaseOffset, c.want)
		}
		if p := resp.Topics[0].Partitions[1]; p.ErrorCode != 0 {
			t.Errorf("%s: its neighbour: %v", c.name, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	req := fetchRequest("orders", id, 0, 0)
	req.MaxWaitMillis = 0
	if resp := ask[*kmsg.FetchResponse](w, 12, req); resp.Topics[0].Partitions[0].HighWatermark != 0 {
		t.Error("something that was refused is in the log")
	}
}

func TestTopicsAndPartitionsThatAreNotThere(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	for _, c := range []struct {
		name      string
		version   int16
		topic     string
		id        [16]byte
		partition int32
		acks      int16
		want      *kerr.Error
	}{
		{"an unknown topic", 12, "nothing", id, 0, -1, kerr.UnknownTopicOrPartition},
		{"an impossible name", 12, "no such/topic", id, 0, -1, kerr.InvalidTopicException},
		{"an empty name", 12, "", id, 0, -1, kerr.InvalidTopicException},
		{"an unknown id", 13, "orders", [16]byte{1}, 0, -1, kerr.UnknownTopicID},
		{"no id", 13, "orders", [16]byte{}, 0, -1, kerr.UnknownTopicID},
		{"a partition too high", 12, "orders", id, 1, -1, kerr.UnknownTopicOrPartition},
		{"a partition below zero", 12, "orders", id, -1, -1, kerr.UnknownTopicOrPartition},
		{"acks 2", 12, "orders", id, 0, 2, kerr.InvalidRequiredAcks},
	} {
		req := produceRequest(c.topic, c.id, c.partition, batchOf("a"))
		req.Acks = c.acks
		resp := ask[*kmsg.ProduceResponse](w, c.version, req)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != c.want.Code {
			t.Errorf("produce to %s: %v, want %v", c.name, kerr.ErrorForCode(p.ErrorCode), c.want)
		}
		if c.acks != -1 {
			continue
		}
		f := ask[*kmsg.FetchResponse](w, c.version, fetchRequest(c.topic, c.id, c.partition, 0))
		want := c.want
		if want == kerr.InvalidTopicException {
			want = kerr.UnknownTopicOrPartition
		}
		if p := f.Topics[0].Partitions[0]; p.ErrorCode != want.Code || p.HighWatermark != -1 {
			t.Errorf("fetch of %s: %v, want %v", c.name, kerr.ErrorForCode(p.ErrorCode), want)
		}
	}
}

func TestAcks0HasNoAnswerAndAnErrorEndsTheConnection(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	c := w.client()
	req := produceRequest("orders", id, 0, batchOf("a"))
	req.Acks = 0
	c.write(9, req)
	req = produceRequest("orders", id, 0, batchOf("b"))
	if resp := on[*kmsg.ProduceResponse](c, 9, req); resp.Topics[0].Partitions[0].BaseOffset != 1 {
		t.Fatalf("got %+v", resp.Topics[0].Partitions[0])
	}
	req = produceRequest("orders", id, 7, batchOf("c"))
	req.Acks = 0
	c.write(9, req)
	c.wantClosed()
}

// Counts are claims: what is allocated depends on the bytes that came.
func TestCountsOfAProduceTakeNoMemory(t *testing.T) {
	w := startWhole(t)
	for _, flexible := range []bool{false, true} {
		version, body := int16(8), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}
		if flexible {
			version, body = 9, []byte{0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}
		}
		c := w.client()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send(rawRequest(0, version, 1, body))
		c.wantClosed()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("v%d: %d bytes were allocated", version, n)
		}
	}
}

// A batch may be small and its records large; nobody here unpacks them.
func TestABombIsStoredAsItIs(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 1 << 8 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	bomb := append(batchOf("x")[:record.HeaderSize:record.HeaderSize], packed.Bytes()...)
	binary.BigEndian.PutUint32(bomb[8:], uint32(len(bomb)-12))
	binary.BigEndian.PutUint16(bomb[21:], uint16(record.Gzip))
	bomb = sealed(bomb)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp := ask[*kmsg.ProduceResponse](w, 9, produceRequest("orders", id, 0, bomb))
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(p.ErrorCode))
	}
	fetched := ask[*kmsg.FetchResponse](w, 12, fetchRequest("orders", id, 0, 0))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
		t.Errorf("%d bytes were allocated for a batch of %d", n, len(bomb))
	}
	if got := fetched.Topics[0].Partitions[0].RecordBatches; !bytes.Equal(got[17:], bomb[17:]) {
		t.Error("what is fetched is not what was produced")
	}
}

func TestZstdIsOnlyForThoseWhoKnowIt(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	s := record.NewSlab(100)
	defer s.Release()
	s.Append(bytes.Repeat([]byte("x"), 100))
	batch, err := s.Encode(nil, record.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[int16]int16{6: kerr.UnsupportedCompressionType.Code, 7: 0} {
		resp := ask[*kmsg.ProduceResponse](w, version, produceRequest("orders", id, 0, bytes.Clone(batch)))
		if got := resp.Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("produce v%d: %v", version, kerr.ErrorForCode(got))
		}
	}
	for version, want := range map[int16]int16{9: kerr.UnsupportedCompressionType.Code, 10: 0} {
		resp := ask[*kmsg.FetchResponse](w, version, fetchRequest("orders", id, 0, 0))
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != want || (len(p.RecordBatches) > 0) != (want == 0) {
			t.Errorf("fetch v%d: %v with %d bytes", version, kerr.ErrorForCode(p.ErrorCode), len(p.RecordBatches))
		}
	}
}
