package configs

import (
	"math"
	"regexp"
)

// shareBack is a length of time as ISO 8601 writes it.
var shareBack = regexp.MustCompile(`^by_duration:P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$`)

// shareStart says whether a value says where a share group begins.
func shareStart(value string) bool {
	if value == "earliest" || value == "latest" {
		return true
	}
	return shareBack.MatchString(value) && value[len(value)-1] != 'P' && value[len(value)-1] != 'T'
}

// Group is the table of the configs of consumer and share groups.
var Group = Table{
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Max: math.MaxInt32,
		Doc: "How often the members of a consumer group report."},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Max: math.MaxInt32,
		Doc: "After what silence a member of a consumer group is taken for gone."},
	{Name: "share.auto.offset.reset", Type: String, Default: "latest", Form: &Form{shareStart, "earliest, latest or by_duration:PnDTnHnMn.nS"},
		Doc: "Where a share group begins: earliest, latest or by_duration: and an ISO duration."},
	{Name: "share.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Max: math.MaxInt32,
		Doc: "How often the members of a share group report."},
	{Name: "share.isolation.level", Type: String, Default: "read_uncommitted", Values: []string{"read_committed", "read_uncommitted"},
		Doc: "Whether a share group sees records of open and aborted transactions."},
	{Name: "share.record.lock.duration.ms", Type: Int, Default: "30000", Min: 1000, Max: 3600000,
		Doc: "How long a record stays with the member that took it."},
	{Name: "share.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Max: math.MaxInt32,
		Doc: "After what silence a member of a share group is taken for gone."},
}
