package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// Bounds of how long a change may take, whatever the client says.
const (
	changeMin = time.Second
	changeMax = time.Minute
)

// changing is how long a change that a client asks for may take.
func changing(millis int32) (context.Context, context.CancelFunc) {
	d := min(max(time.Duration(millis)*time.Millisecond, changeMin), changeMax)
	return context.WithTimeout(context.Background(), d)
}

// explain is what a client is told about err besides its code.
func explain(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	var refusal *controller.Refusal
	if errors.As(err, &refusal) {
		text = refusal.Why
	}
	text = text[:min(len(text), reasonMax)]
	return &text
}

// resultOf is why item n of a request failed: all of it did, or this one.
func resultOf(results []controller.Result, err error, n int) error {
	if err != nil {
		return err
	}
	return results[n].Err
}

// The kinds of resources that have configs, as Kafka numbers them.
var resourceKinds = map[kmsg.ConfigResourceType]controller.ResourceKind{
	kmsg.ConfigResourceTypeTopic:       controller.TopicResource,
	kmsg.ConfigResourceTypeBroker:      controller.BrokerResource,
	kmsg.ConfigResourceTypeGroupConfig: controller.GroupResource,
}

// asked says whether list, which may be nil for all, has x.
func asked[T comparable](list []T, x T) bool { return len(list) == 0 || slices.Contains(list, x) }
