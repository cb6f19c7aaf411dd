package kafka

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// schemas are the fields of requests by their keys, for a look at a body before
// it is decoded. Decoders believe what a body says of itself: one that counts
// four thousand million tagged fields in five bytes keeps a processor busy for a
// minute. After the look every element that is counted is known to be there.
//
//	1 2 4 8   a number of so many bytes     s   a string, may be null
//	u         a uuid                        y   bytes, may be null
//	[x]       an array of x                 {…} an array of structs
//	<…>       a struct that may be null
//	3+: 0-3:  only in these versions
//
// Where a version is flexible, every struct ends with tagged fields.
var schemas = map[int16]string{
	0:  "3+:s 2 4 {0-12:s 13+:u {4 y}}",                                                                     // Produce
	1:  "0-14:4 4 4 3+:4 4+:1 7+:4 7+:4 {0-12:s 13+:u {4 9+:4 8 12+:4 5+:8 4}} 7+:{7-12:s 13+:u [4]} 11+:s", // Fetch
	2:  "4 2+:1 {s {4 4+:4 8 0-0:4}} 10+:4",                                                                 // ListOffsets
	3:  "{10+:u s} 4+:1 8-10:1 8+:1",                                                                        // Metadata
	8:  "s 1+:4 1+:s 7+:s 2-4:8 {0-9:s 10+:u {4 8 1-1:8 6+:4 s}}",                                           // OffsetCommit
	9:  "0-7:s 0-7:{s [4]} 8+:{s 9+:s 9+:4 {8-9:s 10+:u [4]}} 7+:1",                                         // OffsetFetch
	10: "0-3:s 1+:1 4+:[s]",                                                                                 // FindCoordinator
	11: "s 4 1+:4 s 5+:s s {s y} 8+:s",                                                                      // JoinGroup
	12: "s 4 s 3+:s",                                                                                        // Heartbeat
	13: "s 0-2:s 3+:{s s 5+:s}",                                                                             // LeaveGroup
	14: "s 4 s 3+:s 5+:s 5+:s {s y}",                                                                        // SyncGroup
	15: "[s] 3+:1",                                                                                          // DescribeGroups
	16: "4+:[s] 5+:[s]",                                                                                     // ListGroups
	17: "s",                                                                                                 // SASLHandshake
	18: "3+:s 3+:s 5+:s 5+:4",                                                                               // ApiVersions
	19: "{s 4 2 {4 [4]} {s s}} 4 1+:1",                                                                      // CreateTopics
	20: "0-5:[s] 6+:{s u} 4",                                                                                // DeleteTopics
	21: "{s {4 8}} 4",                                                                                       // DeleteRecords
	22: "s 4 3+:8 3+:2",                                                                                     // InitProducerID
	23: "3+:4 {s {4 2+:4 4}}",                                                                               // OffsetForLeaderEpoch
	24: "0-3:s 0-3:8 0-3:2 0-3:{s [4]} 4+:{s 8 2 1 {s [4]}}",                                                // AddPartitionsToTxn
	25: "s 8 2 s",                                                                                           // AddOffsetsToTxn
	26: "s 8 2 1",                                                                                           // EndTxn
	27: "{8 2 1 {s [4]} 4 2+:1}",                                                                            // WriteTxnMarkers
	28: "s s 8 2 3+:4 3+:s 3+:s {0-5:s 6+:u {4 8 2+:4 s}}",                                                  // TxnOffsetCommit
	29: "1 s 1+:1 s s 1 1",                                                                                  // DescribeACLs
	30: "{1 s 1+:1 s s 1 1}",                                                                                // CreateACLs
	31: "{1 s 1+:1 s s 1 1}",                                                                                // DeleteACLs
	32: "{1 s [s]} 1+:1 3+:1",                                                                               // DescribeConfigs
	33: "{1 s {s s}} 1",                                                                                     // AlterConfigs
	34: "{s {s [4]}}",                                                                                       // AlterReplicaLogDirs
	35: "{s [4]}",                                                                                           // DescribeLogDirs
	36: "y",                                                                                                 // SASLAuthenticate
	37: "{s 4 {[4]}} 4 1",                                                                                   // CreatePartitions
	42: "[s]",                                                                                               // DeleteGroups
	43: "1+:1 {s [4]} 4",                                                                                    // ElectLeaders
	44: "{1 s {s 1 s}} 1",                                                                                   // IncrementalAlterConfigs
	45: "4 1+:1 {s {4 [4]}}",                                                                                // AlterPartitionAssignments
	46: "4 {s [4]}",                                                                                         // ListPartitionReassignments
	47: "s {s {4}}",                                                                                         // OffsetDelete
	48: "{s 1 s} 1",                                                                                         // DescribeClientQuotas
	49: "{{s s} {s 8 1}} 1",                                                                                 // AlterClientQuotas
	50: "{s}",                                                                                               // DescribeUserSCRAMCredentials
	51: "{s 1} {s 1 4 y y}",                                                                                 // AlterUserSCRAMCredentials
	57: "4 {s 2 0-0:1 1+:1} 1+:1",                                                                           // UpdateFeatures
	60: "1 1+:1 2+:1",                                                                                       // DescribeCluster
	61: "{s [4]}",                                                                                           // DescribeProducers
	65: "[s]",                                                                                               // DescribeTransactions
	66: "[s] [8] 1+:8 2+:s",                                                                                 // ListTransactions
	68: "s s 4 s s 4 [s] 1+:s s {u [4]}",                                                                    // ConsumerGroupHeartbeat
	69: "[s] 1",                                                                                             // ConsumerGroupDescribe
	74: "1+:[1]",                                                                                            // ListConfigResources
	75: "{s} 4 <s 4>",                                                                                       // DescribeTopicPartitions
	76: "s s 4 s [s]",                                                                                       // ShareGroupHeartbeat
	77: "[s] 1",                                                                                             // ShareGroupDescribe
	78: "s s 4 4 4 4 1+:4 1+:4 2+:1 2+:1 {u {4 0-0:4 {8 8 [1]}}} {u [4]}",                                   // ShareFetch
	79: "s s 4 2+:1 {u {4 {8 8 [1]}}}",                                                                      // ShareAcknowledge
	90: "{s {s [4]}}",                                                                                       // DescribeShareGroupOffsets
	91: "s {s {4 8}}",                                                                                       // AlterShareGroupOffsets
	92: "s {s}",                                                                                             // DeleteShareGroupOffsets
}

// field is one field of a schema.
type field struct {
	min, max int16 // versions
	kind     byte  // n, s, y, [, { or <
	size     int   // of a number
	of       []field
}

// parseSchema reads what schemas holds.
func parseSchema(text string) ([]field, error) {
	p := schemaParser{text}
	fields, err := p.fields(0)
	if err == nil && p.left != "" {
		err = fmt.Errorf("%q is left over", p.left)
	}
	return fields, err
}

type schemaParser struct{ left string }

func (p *schemaParser) fields(end byte) (list []field, err error) {
	for {
		p.left = strings.TrimLeft(p.left, " ")
		switch {
		case p.left == "" && end == 0:
			return list, nil
		case p.left == "":
			return nil, fmt.Errorf("%q is missing", end)
		case p.left[0] == end:
			p.left = p.left[1:]
			return list, nil
		}
		f, err := p.field()
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
}

func (p *schemaParser) field() (f field, err error) {
	f.max = math.MaxInt16
	if at := strings.IndexByte(p.left, ':'); at > 0 && !strings.ContainsAny(p.left[:at], " [{<syu") {
		if f.min, f.max, err = parseRange(p.left[:at]); err != nil {
			return f, err
		}
		p.left = p.left[at+1:]
	}
	kind := p.left[0]
	p.left = p.left[1:]
	switch kind {
	case '1', '2', '4', '8':
		f.kind, f.size = 'n', int(kind-'0')
	case 'u':
		f.kind, f.size = 'n', 16
	case 's', 'y':
		f.kind = kind
	case '[', '{', '<':
		f.kind = kind
		f.of, err = p.fields(map[byte]byte{'[': ']', '{': '}', '<': '>'}[kind])
	default:
		err = fmt.Errorf("unknown kind %q", kind)
	}
	return f, err
}

func parseRange(text string) (low, high int16, err error) {
	first, last, _ := strings.Cut(text, "-")
	if open, ok := strings.CutSuffix(text, "+"); ok {
		first, last = open, strconv.Itoa(math.MaxInt16)
	}
	a, err := strconv.ParseInt(first, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	b, err := strconv.ParseInt(last, 10, 16)
	return int16(a), int16(b), err
}

// lookAt says whether body holds what fields say, and nothing that would make
// its decoder work for more than it is.
func lookAt(body []byte, fields []field, key, version int16, flexible bool) error {
	w := walker{b: body, flexible: flexible}
	w.fields(fields, version)
	if key == fetchKey {
		w.fetchTags()
	} else {
		w.tags()
	}
	return w.err
}

func (w *walker) fields(fields []field, version int16) {
	for i := range fields {
		if f := &fields[i]; version >= f.min && version <= f.max && w.err == nil {
			w.field(f, version)
		}
	}
}

func (w *walker) field(f *field, version int16) {
	switch f.kind {
	case 'n':
		w.take(f.size)
	case 's':
		w.text()
	case 'y':
		w.bytes()
	case '[':
		for n := w.array(1); n > 0 && w.err == nil; n-- {
			w.field(&f.of[0], version)
		}
	case '{':
		for n := w.array(1); n > 0 && w.err == nil; n-- {
			w.fields(f.of, version)
			w.tags()
		}
	case '<':
		if b := w.take(1); b != nil && b[0] != 0xff {
			w.fields(f.of, version)
			w.tags()
		}
	}
}

const (
	fetchKey         = 1
	tagReplicaState  = 1
	replicaStateSize = 4 + 8 + 1 // an id, an epoch and no tagged fields
)

// fetchTags skips the tagged fields of a Fetch, one of which is a struct with
// tagged fields of its own.
func (w *walker) fetchTags() {
	if !w.flexible || w.err != nil {
		return
	}
	for n := w.compact() + 1; n > 0 && w.err == nil; n-- {
		tag := w.compact() + 1
		state := w.take(w.compact() + 1)
		if tag == tagReplicaState && (len(state) != replicaStateSize || state[replicaStateSize-1] != 0) && w.err == nil {
			w.fail("a replica's state of %d bytes", len(state))
		}
	}
}
