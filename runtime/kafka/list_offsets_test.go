package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

func listOffsets(w *whole, version int16, topic string, partition int32, at int64, change ...func(*kmsg.ListOffsetsRequest)) kmsg.ListOffsetsResponseTopicPartition {
	w.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, at, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	for _, c := range change {
		c(req)
	}
	return ask[*kmsg.ListOffsetsResponse](w, version, req).Topics[0].Partitions[0]
}

// timed is a compressed batch whose records have these times.
func timed(times ...int64) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for i, at := range times {
		r := kmsg.Record{TimestampDelta64: at - times[0], OffsetDelta: int32(i), Value: []byte("x")}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		_, _ = z.Write(r.AppendTo(nil))
	}
	z.Close()
	b := append(batchOf("x")[:record.HeaderSize:record.HeaderSize], packed.Bytes()...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint16(b[21:], uint16(record.Gzip))
	binary.BigEndian.PutUint32(b[23:], uint32(len(times)-1))
	binary.BigEndian.PutUint64(b[27:], uint64(times[0]))
	binary.BigEndian.PutUint64(b[35:], uint64(slices.Max(times)))
	binary.BigEndian.PutUint32(b[57:], uint32(len(times)))
	return sealed(b)
}

func TestOffsetsAreFoundByTimeInsideOfBatches(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1, "message.timestamp.before.max.ms", "9223372036854775807")
	for _, b := range [][]byte{timed(1000, 2000, 3000), timed(4000, 9000, 5000)} {
		resp := ask[*kmsg.ProduceResponse](w, 9, produceRequest("orders", id, 0, b))
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	for version := int16(1); version <= 11; version++ {
		for _, c := range []struct {
			at, offset, time int64
			since            int16
		}{
			{-1, 6, -1, 1}, {-2, 0, -1, 1}, {-3, 4, 9000, 7}, {-4, 0, -1, 8}, {-5, -1, -1, 9}, {-6, -1, -1, 11},
			{0, 0, 1000, 1}, {1000, 0, 1000, 1}, {1001, 1, 2000, 1}, {3000, 2, 3000, 1}, {4500, 4, 9000, 1}, {9000, 4, 9000, 1}, {9001, -1, -1, 1},
		} {
			p := listOffsets(w, version, "orders", 0, c.at)
			switch {
			case version < c.since:
				if p.ErrorCode != kerr.UnsupportedVersion.Code {
					t.Errorf("v%d: %d: %+v, want an error", version, c.at, p)
				}
			case p.ErrorCode != 0 || p.Offset != c.offset || p.Timestamp != c.time:
				t.Errorf("v%d: %d: %+v, want %d at %d", version, c.at, p, c.offset, c.time)
			}
		}
	}
	if p := listOffsets(w, 7, "orders", 0, -9); p.ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("a time that is none: %+v", p)
	}
	if p := listOffsets(w, 7, "orders", 5, -1); p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("an unknown partition: %+v", p)
	}
	if p := listOffsets(w, 7, "orders", 0, -1, func(r *kmsg.ListOffsetsRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 99 }); p.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("an epoch to come: %+v", p)
	}
	if p := listOffsets(w, 7, "orders", 0, -1, func(r *kmsg.ListOffsetsRequest) { r.Topics = append(r.Topics, r.Topics[0]) }); p.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a partition twice: %+v", p)
	}
}

func TestTheEndForReadersOfCommittedRecordsIsTheFirstOpenTransaction(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	mustProduce(w, "orders", id, 0, "plain")
	initial := kmsg.NewPtrInitProducerIDRequest()
	initial.TransactionalID, initial.TransactionTimeoutMillis, initial.ProducerID, initial.ProducerEpoch = kmsg.StringPtr("x"), 60_000, -1, -1
	var got *kmsg.InitProducerIDResponse
	for got == nil || got.ErrorCode == kerr.CoordinatorLoadInProgress.Code {
		got = ask[*kmsg.InitProducerIDResponse](w, 4, initial)
	}
	if got.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(got.ErrorCode))
	}
	open := batchOf("open")
	binary.BigEndian.PutUint16(open[21:], 1<<4)
	binary.BigEndian.PutUint64(open[43:], uint64(got.ProducerID))
	binary.BigEndian.PutUint16(open[51:], uint16(got.ProducerEpoch))
	binary.BigEndian.PutUint32(open[53:], 0)
	req := produceRequest("orders", id, 0, sealed(open))
	req.TransactionID = kmsg.StringPtr("x")
	// Version 11 does not make the partition part of the transaction, 12 does.
	if resp := ask[*kmsg.ProduceResponse](w, 11, req); resp.Topics[0].Partitions[0].ErrorCode != kerr.TransactionAbortable.Code {
		t.Fatalf("a partition that is not in the transaction: %v", kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
	}
	if resp := ask[*kmsg.ProduceResponse](w, 10, req); resp.Topics[0].Partitions[0].ErrorCode != kerr.InvalidTxnState.Code {
		t.Fatalf("the same for older clients: %v", kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
	}
	if resp := ask[*kmsg.ProduceResponse](w, 12, req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
	}
	committed := func(r *kmsg.ListOffsetsRequest) { r.IsolationLevel = 1 }
	if a, b := listOffsets(w, 4, "orders", 0, -1).Offset, listOffsets(w, 4, "orders", 0, -1, committed).Offset; a != 2 || b != 1 {
		t.Errorf("ends %d and %d, want 2 and 1", a, b)
	}
	f := fetchRequest("orders", id, 0, 0)
	f.IsolationLevel = 1
	p := ask[*kmsg.FetchResponse](w, 12, f).Topics[0].Partitions[0]
	if got := texts(t, p.RecordBatches); len(got) != 1 || p.LastStableOffset != 1 || p.HighWatermark != 2 || p.AbortedTransactions == nil {
		t.Errorf("fetched %q, %+v", got, p)
	}
}

func TestWhereAnEpochEnds(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	mustProduce(w, "orders", id, 0, "a", "b")
	current := ask[*kmsg.MetadataResponse](w, 9, metadataRequest("orders")).Topics[0].Partitions[0].LeaderEpoch
	for version := int16(2); version <= 4; version++ {
		for _, c := range []struct {
			current, asked, epoch int32
			end                   int64
			want                  *kerr.Error
		}{
			{-1, current, current, 2, nil}, {current, current, current, 2, nil}, {-1, current + 1, -1, -1, nil},
			{current + 1, current, -1, -1, kerr.UnknownLeaderEpoch},
		} {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
			topic.Topic = "orders"
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.CurrentLeaderEpoch, p.LeaderEpoch = c.current, c.asked
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			got := ask[*kmsg.OffsetForLeaderEpochResponse](w, version, req).Topics[0].Partitions[0]
			code := int16(0)
			if c.want != nil {
				code = c.want.Code
			}
			if got.ErrorCode != code || got.LeaderEpoch != c.epoch || got.EndOffset != c.end {
				t.Errorf("v%d: %+v: got %+v", version, c, got)
			}
		}
	}
}
