package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawFile is the least that a Kafka client takes for a broker: it checks the
// CRC of a batch, writes its base offset into it and appends it to a file. An
// index in memory, one goroutine a connection, a lock a partition. No groups,
// no retention, no recovery. It says what the protocol and the disk alone cost.
type rawFile struct {
	dir  string
	sync bool
	host string
	port int32

	mu     sync.Mutex
	topics map[string][]*rawPartition
	ids    map[string][16]byte
}

type rawPartition struct {
	mu    sync.Mutex
	grown *sync.Cond
	file  *os.File
	size  int64
	next  int64
	index []rawEntry
}

type rawEntry struct{ base, at int64 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rawVersions are the requests it takes, up to which version.
var rawVersions = map[int16]int16{0: 9, 1: 11, 2: 5, 3: 8, 18: 2, 19: 4, 22: 1}

func serveRawFile(l net.Listener, dir string, sync bool) error {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	b := &rawFile{dir: dir, sync: sync, host: host, topics: map[string][]*rawPartition{}, ids: map[string][16]byte{}}
	fmt.Sscan(port, &b.port)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := b.serve(c); err != nil && err != io.EOF {
				fmt.Fprintln(os.Stderr, "raw-file:", err)
			}
		}()
	}
}

func (b *rawFile) serve(c net.Conn) error {
	in := bufio.NewReaderSize(c, 64<<10)
	var head [4]byte
	var frame []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n > 100<<20 || n < 8 {
			return fmt.Errorf("a frame of %d bytes", n)
		}
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
		q := kmsg.RequestForKey(key)
		if _, known := rawVersions[key]; q == nil || !known {
			return fmt.Errorf("request %d", key)
		}
		body := frame[8:]
		if id := int16(binary.BigEndian.Uint16(body)); id >= 0 {
			body = body[2+id:]
		} else {
			body = body[2:]
		}
		if q.SetVersion(version); q.IsFlexible() {
			body = body[1:]
		}
		answer := b.apiVersions()
		if key != 18 || version <= rawVersions[18] {
			if err := q.ReadFrom(body); err != nil {
				return err
			}
			answer = b.answer(q)
		} else {
			answer.(*kmsg.ApiVersionsResponse).ErrorCode = 35
		}
		answer.SetVersion(min(version, rawVersions[key]))
		out := append(make([]byte, 4, 256), frame[4:8]...)
		if answer.IsFlexible() && key != 18 {
			out = append(out, 0)
		}
		out = answer.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
}

func (b *rawFile) apiVersions() kmsg.Response {
	r := kmsg.NewPtrApiVersionsResponse()
	for key, most := range rawVersions {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = key, most
		r.ApiKeys = append(r.ApiKeys, k)
	}
	return r
}

func (b *rawFile) answer(q kmsg.Request) kmsg.Response {
	switch q := q.(type) {
	case *kmsg.ApiVersionsRequest:
		return b.apiVersions()
	case *kmsg.MetadataRequest:
		return b.metadata(q)
	case *kmsg.CreateTopicsRequest:
		r := q.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, t := range q.Topics {
			one := kmsg.NewCreateTopicsResponseTopic()
			one.Topic = t.Topic
			if err := b.create(t.Topic, int(max(t.NumPartitions, 1))); err != nil {
				one.ErrorCode = -1
			}
			r.Topics = append(r.Topics, one)
		}
		return r
	case *kmsg.InitProducerIDRequest:
		r := q.ResponseKind().(*kmsg.InitProducerIDResponse)
		r.ProducerID = time.Now().UnixNano()
		return r
	case *kmsg.ProduceRequest:
		return b.produce(q)
	case *kmsg.FetchRequest:
		return b.fetch(q)
	}
	return b.offsets(q.(*kmsg.ListOffsetsRequest))
}

func (b *rawFile) create(topic string, partitions int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.topics[topic]); i < partitions; i++ {
		f, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("%s-%d", topic, i)))
		if err != nil {
			return err
		}
		p := &rawPartition{file: f}
		p.grown = sync.NewCond(&p.mu)
		b.topics[topic] = append(b.topics[topic], p)
	}
	return nil
}

func (b *rawFile) partition(topic string, i int32) *rawPartition {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ps := b.topics[topic]; int(i) < len(ps) {
		return ps[i]
	}
	return nil
}

func (b *rawFile) metadata(q *kmsg.MetadataRequest) kmsg.Response {
	r := q.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = 1, b.host, b.port
	r.Brokers, r.ControllerID = append(r.Brokers, broker), 1
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, ps := range b.topics {
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = kmsg.StringPtr(name)
		for i := range ps {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.Replicas, p.ISR = int32(i), 1, []int32{1}, []int32{1}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func (b *rawFile) produce(q *kmsg.ProduceRequest) kmsg.Response {
	r := q.ResponseKind().(*kmsg.ProduceResponse)
	var wait sync.WaitGroup
	for _, t := range q.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.Partitions = t.Topic, make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for i := range t.Partitions {
			wait.Add(1)
			work := func() {
				defer wait.Done()
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition = t.Partitions[i].Partition
				base, err := b.append(t.Topic, p.Partition, t.Partitions[i].Records)
				if p.BaseOffset = base; err != nil {
					p.ErrorCode = 2
				}
				rt.Partitions[i] = p
			}
			if b.sync { // the syncs of several files go on side by side
				go work()
			} else {
				work()
			}
		}
		wait.Wait()
		r.Topics = append(r.Topics, rt)
	}
	return r
}

func (b *rawFile) append(topic string, index int32, batch []byte) (int64, error) {
	p := b.partition(topic, index)
	if p == nil || len(batch) < 61 || crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
		return -1, fmt.Errorf("a batch of %d bytes", len(batch))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	base := p.next
	binary.BigEndian.PutUint64(batch, uint64(base))
	if _, err := p.file.Write(batch); err != nil {
		return -1, err
	}
	if b.sync {
		if err := fdatasync(p.file); err != nil {
			return -1, err
		}
	}
	p.index = append(p.index, rawEntry{base, p.size})
	p.size += int64(len(batch))
	p.next += int64(binary.BigEndian.Uint32(batch[57:]))
	p.grown.Broadcast()
	return base, nil
}

func (b *rawFile) fetch(q *kmsg.FetchRequest) kmsg.Response {
	r := q.ResponseKind().(*kmsg.FetchResponse)
	until := time.Now().Add(time.Duration(q.MaxWaitMillis) * time.Millisecond)
	for {
		got := 0
		r.Topics = r.Topics[:0]
		for _, t := range q.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic = t.Topic
			for _, part := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition = part.Partition
				if p := b.partition(t.Topic, part.Partition); p != nil {
					rp.RecordBatches, rp.HighWatermark = p.read(part.FetchOffset, int(min(part.PartitionMaxBytes, q.MaxBytes-int32(got))))
					got += len(rp.RecordBatches)
				}
				rp.LastStableOffset = rp.HighWatermark
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
		if got >= int(q.MinBytes) || time.Now().After(until) {
			return r
		}
		time.Sleep(200 * time.Microsecond) // a benchmark's shortcut: it polls
	}
}

func (p *rawPartition) read(from int64, most int) ([]byte, int64) {
	p.mu.Lock()
	next, size := p.next, p.size
	i := sort.Search(len(p.index), func(i int) bool { return p.index[i].base > from }) - 1
	if from >= next || i < 0 || most <= 0 {
		p.mu.Unlock()
		return nil, next
	}
	at, end := p.index[i].at, size
	if j := sort.Search(len(p.index), func(j int) bool { return p.index[j].at > at+int64(most) }); j < len(p.index) {
		end = p.index[max(j-1, i+1)].at
	}
	p.mu.Unlock()
	buf := make([]byte, end-at)
	n, _ := p.file.ReadAt(buf, at)
	return buf[:n], next
}

func (b *rawFile) offsets(q *kmsg.ListOffsetsRequest) kmsg.Response {
	r := q.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, part := range t.Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset = part.Partition, 0
			if p := b.partition(t.Topic, part.Partition); p != nil && part.Timestamp == -1 {
				p.mu.Lock()
				rp.Offset = p.next
				p.mu.Unlock()
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
