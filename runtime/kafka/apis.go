package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// api is one row of what is served.
type api struct {
	key      int16
	min, max int16
	name     string
	handle   func(*Server, *request)
	// maxBytes bounds a request. Decoding makes more of it than it was; size
	// times that factor stays below 64 MiB.
	maxBytes int
	// waits: the handler may block, so it gets a goroutine of its own. Handlers
	// without it run where the connection reads, and must not.
	waits bool
	// pooled: the handler walks the bytes itself and frees them; there is no
	// decoded body.
	pooled bool
	// copies: nothing that the handler keeps of the body is a []byte, which
	// would be a part of the frame.
	copies bool

	flexibleFrom int16 // the first version with tagged fields
	schema       []field
}

const (
	apiVersionsKey = 18

	sizeMax    = 100 << 20 // of any frame
	sizeGroup  = 1 << 20   // where members bring data of their own
	sizeClient = 512 << 10 // lists of partitions, as large clients send them
	sizeAdmin  = 256 << 10
	sizeSmall  = 16 << 10
)

// served is the table of all APIs. A row is here only when the whole of it is
// served: clients do without what is not advertised, but believe what is.
func served() []api {
	return []api{
		{key: 0, min: 3, max: 13, name: "Produce", maxBytes: sizeMax, pooled: true, handle: (*Server).produce},
		{key: 1, min: 4, max: 18, name: "Fetch", maxBytes: sizeClient, copies: true, handle: (*Server).fetch},
		{key: 2, min: 1, max: 11, name: "ListOffsets", maxBytes: sizeClient, handle: (*Server).listOffsets},
		{key: 3, min: 0, max: 13, name: "Metadata", maxBytes: sizeClient, handle: (*Server).metadata},
		{key: 8, min: 0, max: 10, name: "OffsetCommit", maxBytes: sizeClient, handle: (*Server).offsetCommit},
		{key: 9, min: 0, max: 10, name: "OffsetFetch", maxBytes: sizeClient, handle: (*Server).offsetFetch},
		{key: 10, min: 0, max: 6, name: "FindCoordinator", maxBytes: sizeAdmin, handle: (*Server).findCoordinator},
		{key: 11, min: 0, max: 9, name: "JoinGroup", maxBytes: sizeGroup, handle: (*Server).joinGroup},
		{key: 12, min: 0, max: 4, name: "Heartbeat", maxBytes: sizeSmall, handle: (*Server).heartbeat},
		{key: 13, min: 0, max: 5, name: "LeaveGroup", maxBytes: sizeAdmin, handle: (*Server).leaveGroup},
		{key: 14, min: 0, max: 5, name: "SyncGroup", maxBytes: sizeGroup, handle: (*Server).syncGroup},
		{key: 15, min: 0, max: 6, name: "DescribeGroups", maxBytes: sizeAdmin, handle: (*Server).describeGroups},
		{key: 16, min: 0, max: 5, name: "ListGroups", maxBytes: sizeSmall, handle: (*Server).listGroups},
		{key: 18, min: 0, max: 4, name: "ApiVersions", maxBytes: sizeSmall, handle: (*Server).apiVersions},
		{key: 19, min: 0, max: 7, name: "CreateTopics", maxBytes: sizeAdmin, waits: true, handle: (*Server).newTopics},
		{key: 20, min: 0, max: 6, name: "DeleteTopics", maxBytes: sizeAdmin, waits: true, handle: (*Server).deleteTopics},
		{key: 21, min: 0, max: 2, name: "DeleteRecords", maxBytes: sizeAdmin, waits: true, handle: (*Server).deleteRecords},
		{key: 22, min: 0, max: 5, name: "InitProducerId", maxBytes: sizeSmall, handle: (*Server).initProducerID},
		{key: 23, min: 2, max: 4, name: "OffsetForLeaderEpoch", maxBytes: sizeClient, handle: (*Server).offsetForLeaderEpoch},
		{key: 24, min: 0, max: 5, name: "AddPartitionsToTxn", maxBytes: sizeClient, handle: (*Server).addPartitionsToTxn},
		{key: 25, min: 0, max: 4, name: "AddOffsetsToTxn", maxBytes: sizeSmall, handle: (*Server).addOffsetsToTxn},
		{key: 26, min: 0, max: 5, name: "EndTxn", maxBytes: sizeSmall, handle: (*Server).endTxn},
		{key: 27, min: 1, max: 2, name: "WriteTxnMarkers", maxBytes: sizeAdmin, handle: (*Server).writeTxnMarkers},
		{key: 28, min: 0, max: 5, name: "TxnOffsetCommit", maxBytes: sizeClient, handle: (*Server).txnOffsetCommit},
		{key: 32, min: 0, max: 4, name: "DescribeConfigs", maxBytes: sizeAdmin, handle: (*Server).describeConfigs},
		{key: 33, min: 0, max: 2, name: "AlterConfigs", maxBytes: sizeAdmin, waits: true, handle: (*Server).alterConfigs},
		{key: 34, min: 0, max: 2, name: "AlterReplicaLogDirs", maxBytes: sizeAdmin, handle: (*Server).alterReplicaLogDirs},
		{key: 35, min: 0, max: 5, name: "DescribeLogDirs", maxBytes: sizeAdmin, waits: true, handle: (*Server).describeLogDirs},
		{key: 37, min: 0, max: 3, name: "CreatePartitions", maxBytes: sizeAdmin, waits: true, handle: (*Server).createPartitions},
		{key: 42, min: 0, max: 2, name: "DeleteGroups", maxBytes: sizeAdmin, handle: (*Server).deleteGroups},
		{key: 43, min: 0, max: 2, name: "ElectLeaders", maxBytes: sizeAdmin, handle: (*Server).electLeaders},
		{key: 44, min: 0, max: 1, name: "IncrementalAlterConfigs", maxBytes: sizeAdmin, waits: true, handle: (*Server).incrementalAlterConfigs},
		{key: 45, min: 0, max: 1, name: "AlterPartitionReassignments", maxBytes: sizeAdmin, waits: true, handle: (*Server).alterReassignments},
		{key: 46, min: 0, max: 0, name: "ListPartitionReassignments", maxBytes: sizeAdmin, handle: (*Server).listReassignments},
		{key: 47, min: 0, max: 0, name: "OffsetDelete", maxBytes: sizeClient, handle: (*Server).offsetDelete},
		{key: 48, min: 0, max: 1, name: "DescribeClientQuotas", maxBytes: sizeSmall, handle: (*Server).describeClientQuotas},
		{key: 49, min: 0, max: 1, name: "AlterClientQuotas", maxBytes: sizeAdmin, waits: true, handle: (*Server).alterClientQuotas},
		{key: 57, min: 0, max: 2, name: "UpdateFeatures", maxBytes: sizeSmall, waits: true, handle: (*Server).updateFeatures},
		{key: 60, min: 0, max: 2, name: "DescribeCluster", maxBytes: sizeSmall, handle: (*Server).describeCluster},
		{key: 61, min: 0, max: 0, name: "DescribeProducers", maxBytes: sizeAdmin, handle: (*Server).describeProducers},
		{key: 65, min: 0, max: 0, name: "DescribeTransactions", maxBytes: sizeAdmin, handle: (*Server).describeTransactions},
		{key: 66, min: 0, max: 2, name: "ListTransactions", maxBytes: sizeSmall, handle: (*Server).listTransactions},
		{key: 68, min: 0, max: 1, name: "ConsumerGroupHeartbeat", maxBytes: sizeClient, handle: (*Server).consumerGroupHeartbeat},
		{key: 69, min: 0, max: 1, name: "ConsumerGroupDescribe", maxBytes: sizeAdmin, handle: (*Server).consumerGroupDescribe},
		{key: 74, min: 0, max: 1, name: "ListConfigResources", maxBytes: sizeSmall, handle: (*Server).listConfigResources},
		{key: 75, min: 0, max: 0, name: "DescribeTopicPartitions", maxBytes: sizeAdmin, handle: (*Server).describeTopicPartitions},
		{key: 76, min: 1, max: 1, name: "ShareGroupHeartbeat", maxBytes: sizeClient, handle: (*Server).shareGroupHeartbeat},
		{key: 77, min: 1, max: 1, name: "ShareGroupDescribe", maxBytes: sizeAdmin, handle: (*Server).shareGroupDescribe},
		{key: 78, min: 1, max: 2, name: "ShareFetch", maxBytes: sizeClient, handle: (*Server).shareFetch},
		{key: 79, min: 1, max: 2, name: "ShareAcknowledge", maxBytes: sizeClient, handle: (*Server).shareAcknowledge},
		{key: 90, min: 0, max: 1, name: "DescribeShareGroupOffsets", maxBytes: sizeAdmin, handle: (*Server).describeShareGroupOffsets},
		{key: 91, min: 0, max: 0, name: "AlterShareGroupOffsets", maxBytes: sizeAdmin, handle: (*Server).alterShareGroupOffsets},
		{key: 92, min: 0, max: 0, name: "DeleteShareGroupOffsets", maxBytes: sizeAdmin, handle: (*Server).deleteShareGroupOffsets},
	}
}

// apis finds the row of a key.
type apis []*api

func newAPIs(rows []api) apis {
	var a apis
	for i := range rows {
		row := &rows[i]
		for int(row.key) >= len(a) {
			a = append(a, nil)
		}
		row.flexibleFrom = flexibleFrom(row.key, row.max)
		schema, err := parseSchema(schemas[row.key])
		if err != nil {
			panic(fmt.Sprintf("kafka: the schema of %s: %v", row.name, err)) // it is a constant
		}
		row.schema = schema
		a[row.key] = row
	}
	return a
}

// flexibleFrom is the first version of key up to max that is flexible, or one
// behind max.
func flexibleFrom(key, max int16) int16 {
	req := kmsg.RequestForKey(key)
	for v := int16(0); v <= max; v++ {
		if req.SetVersion(v); req.IsFlexible() {
			return v
		}
	}
	return max + 1
}

// find returns the row for h, and in which version to answer. What is not
// served has no answer that clients would understand, except of ApiVersions.
func (a apis) find(h header) (*api, int16, error) {
	if h.key < 0 || int(h.key) >= len(a) || a[h.key] == nil {
		return nil, 0, badFrame("key %d is not served", h.key)
	}
	row := a[h.key]
	switch {
	case h.version >= row.min && h.version <= row.max:
		return row, h.version, nil
	case h.key == apiVersionsKey:
		return row, 0, nil
	}
	return nil, 0, badFrame("%s v%d is not served, only %d to %d", row.name, h.version, row.min, row.max)
}

// String is for the log.
func (a *api) String() string { return fmt.Sprintf("%s %d-%d", a.name, a.min, a.max) }
