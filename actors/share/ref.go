package share

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/inbox"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
)

// Env is what the actor is started with.
type Env struct {
	Tree      *supervise.Tree
	Logger    *slog.Logger
	Config    group.Config
	World     func() group.World
	Partition func(partition.ID) (partition.Ref, error)
	Group     func(id string) (group.Ref, error)
}

// Ref is the address of a node's share partitions.
type Ref struct{ s *shares }

// shares is what stays when the actor starts anew.
type shares struct {
	Env
	system *actor.ActorSystem
	self   atomic.Pointer[actor.PID]
	inbox  inbox.Inbox
	// open are the requests that have no answer. Only the actor looks at them.
	open map[*Request]bool
}

// Start starts the actor below parent.
func Start(parent partition.Spawner, env Env) (Ref, error) {
	s := &shares{Env: env, system: parent.ActorSystem(), open: map[*Request]bool{}}
	props := env.Tree.Props("share", supervise.Default, func() actor.Actor { return &Actor{shares: s} })
	if _, err := parent.SpawnNamed(props, "share/"+"groups"); err != nil {
		return Ref{}, fmt.Errorf("start the share partitions: %w", err)
	}
	return Ref{s}, nil
}

// Handle has a ShareFetch or a ShareAcknowledge dealt with. Its Done is called
// once, in any case. gone says that nobody waits for the answer any more: what
// the member has is given back.
func (r Ref) Handle(q Request) (gone func()) {
	if r.s == nil || !r.s.put(&q) {
		q.Done(Refuse(q.Body, kerr.NotLeaderForPartition.Code))
		return func() {}
	}
	return func() { r.s.put(deserted{&q}) }
}

// Forget says that what is kept of a group was changed by somebody else.
func (r Ref) Forget(groupID string) {
	if r.s != nil {
		r.s.put(forget{groupID})
	}
}

func (s *shares) put(item any) bool {
	wake, ok := s.inbox.Put(item)
	if self := s.self.Load(); wake && self != nil {
		s.system.Root.Send(self, Arrived{})
	} // an actor that has not begun looks into its inbox when it does
	return ok
}

// Refuse is the answer to body that says code.
func Refuse(body kmsg.Request, code int16) kmsg.Response {
	resp := body.ResponseKind()
	switch r := resp.(type) {
	case *kmsg.ShareFetchResponse:
		r.ErrorCode, r.ErrorMessage = code, message(code)
	case *kmsg.ShareAcknowledgeResponse:
		r.ErrorCode, r.ErrorMessage = code, message(code)
	}
	return resp
}

// config is a setting of a group by Kafka's name, "" where it is not set.
func (s *shares) config(groupID, name string) string {
	v, _ := s.World().GroupConfig(groupID, name)
	return v
}

func (s *shares) number(groupID, name string, all int64) int64 {
	if n, err := strconv.ParseInt(s.config(groupID, name), 10, 64); err == nil && n > 0 {
		return n
	}
	return all
}

// lock is how long a member has a record, in ms.
func (s *shares) lock(groupID string) int64 {
	return s.number(groupID, "share.record.lock.duration.ms", s.Config.ShareRecordLock.Milliseconds())
}

func (s *shares) deliveryMax(groupID string) int16 {
	return int16(s.number(groupID, "share.delivery.count.limit", int64(s.Config.ShareDeliveryCountLimit)))
}

func (s *shares) locksMax(groupID string) int64 {
	return s.number(groupID, "share.partition.max.record.locks", int64(s.Config.SharePartitionRecordLocks))
}

// duration reads an ISO duration of days, hours, minutes and seconds.
func duration(text string) (time.Duration, error) {
	rest := text
	if len(rest) < 3 || rest[0] != 'P' {
		return 0, fmt.Errorf("duration %q", text)
	}
	rest = rest[1:]
	var total time.Duration
	clock := false
	for len(rest) > 0 {
		if rest[0] == 'T' && !clock {
			clock, rest = true, rest[1:]
			continue
		}
		n := 0
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.') {
			n++
		}
		if n == 0 || n == len(rest) {
			return 0, fmt.Errorf("duration %q", text)
		}
		v, err := strconv.ParseFloat(rest[:n], 64)
		unit, known := map[string]time.Duration{"D": 24 * time.Hour, "TH": time.Hour, "TM": time.Minute, "TS": time.Second}[map[bool]string{true: "T"}[clock]+rest[n:n+1]]
		if err != nil || !known {
			return 0, fmt.Errorf("duration %q", text)
		}
		total += time.Duration(v * float64(unit))
		rest = rest[n+1:]
	}
	return total, nil
}
