package partition

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
)

// Config is what a topic's settings say about its partitions.
type Config struct {
	MaxMessageBytes int // max.message.bytes
	LogAppendTime   bool
	// How far from now the times of records may be; Unlimited.
	TimestampBefore, TimestampAfter time.Duration
	Retention                       partitionlog.Retention
	Delete, Compact                 bool // cleanup.policy
	DeleteRetention                 time.Duration
	MinCompactionLag                time.Duration
	MaxCompactionLag                time.Duration
	MinCleanableRatio               float64
	SegmentBytes                    int64
	SegmentAge                      time.Duration
	// Flush is the policy of the log; zero: that of the store.
	Flush persistence.Policy
}

// Unlimited switches a bound off.
const Unlimited = time.Duration(-1)

// Defaults are the settings of a topic that names none, as in Kafka.
func Defaults() Config {
	return Config{
		MaxMessageBytes: 1048588,
		TimestampBefore: Unlimited, TimestampAfter: Unlimited,
		Retention:         partitionlog.Retention{Bytes: partitionlog.Unlimited, Age: 7 * 24 * time.Hour},
		Delete:            true,
		DeleteRetention:   24 * time.Hour,
		MaxCompactionLag:  Unlimited,
		MinCleanableRatio: 0.5,
		SegmentBytes:      1 << 30,
		SegmentAge:        7 * 24 * time.Hour,
	}
}

// ParseConfig reads the settings of a topic. Names that are not about
// partitions are left alone: the controller knows them all, and checks them
// before they get here.
func ParseConfig(settings map[string]string) (Config, error) {
	c := Defaults()
	for name, text := range settings {
		if err := c.set(name, strings.TrimSpace(text)); err != nil {
			return c, fmt.Errorf("%s = %q: %w", name, text, err)
		}
	}
	return c, nil
}

func (c *Config) set(name, text string) (err error) {
	switch name {
	case "max.message.bytes":
		c.MaxMessageBytes, err = strconv.Atoi(text)
	case "message.timestamp.type":
		c.LogAppendTime = text == "LogAppendTime"
		if !c.LogAppendTime && text != "CreateTime" {
			err = fmt.Errorf("want CreateTime or LogAppendTime")
		}
	case "message.timestamp.before.max.ms":
		c.TimestampBefore, err = milliseconds(text)
	case "message.timestamp.after.max.ms":
		c.TimestampAfter, err = milliseconds(text)
	case "retention.bytes":
		c.Retention.Bytes, err = strconv.ParseInt(text, 10, 64)
	case "retention.ms":
		c.Retention.Age, err = milliseconds(text)
	case "cleanup.policy":
		c.Delete, c.Compact = false, false
		for _, policy := range strings.Split(text, ",") {
			switch strings.TrimSpace(policy) {
			case "delete":
				c.Delete = true
			case "compact":
				c.Compact = true
			case "":
			default:
				return fmt.Errorf("want delete, compact or both")
			}
		}
	case "delete.retention.ms":
		c.DeleteRetention, err = milliseconds(text)
	case "min.compaction.lag.ms":
		c.MinCompactionLag, err = milliseconds(text)
	case "max.compaction.lag.ms":
		c.MaxCompactionLag, err = milliseconds(text)
	case "min.cleanable.dirty.ratio":
		c.MinCleanableRatio, err = strconv.ParseFloat(text, 64)
	case "segment.bytes":
		c.SegmentBytes, err = strconv.ParseInt(text, 10, 64)
	case "segment.ms":
		c.SegmentAge, err = milliseconds(text)
	case "flush":
		if text != "" {
			c.Flush, err = persistence.ParsePolicy(text)
		}
	}
	return err
}

// milliseconds reads a number of them. Negative ones, and those too large to
// count, are Unlimited.
func milliseconds(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if n < 0 || n > math.MaxInt64/int64(time.Millisecond) {
		return Unlimited, err
	}
	return time.Duration(n) * time.Millisecond, err
}

// retention is what Retain has to go by: nothing is too old or too much for a
// topic that is only compacted.
func (c *Config) retention() partitionlog.Retention {
	if !c.Delete {
		return partitionlog.Retention{Bytes: partitionlog.Unlimited, Age: partitionlog.Unlimited}
	}
	return c.Retention
}
