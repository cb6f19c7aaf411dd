package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/supervise"
)

// inspectMax is how long a status waits for a channel that is busy or down.
const inspectMax = 500 * time.Millisecond

// Status is how the agent is now. A channel that does not answer in time shows
// what is known without it.
func (g *Agent) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{Name: g.name, Topology: g.env.Topology, State: Running, Started: g.started}
	if g.halted {
		s.State = Stopping
	}
	parts := map[string]supervise.Part{}
	for _, p := range g.env.Tree.Parts("agent/" + g.name) {
		parts[p.Path] = p
	}
	base := "agent/" + g.name + "/"
	put := int64(0) // what the sources say they put, before the channels are asked
	for name, p := range g.sources {
		st, tally := sourceStatus(p, parts[base+"source/"+name])
		put += tally.Put
		s.Sources = append(s.Sources, st)
		l := st.Ledger
		l.Delivered = 0 // it is in a channel
		s.Ledger.Add(l)
	}
	arrived, complete := int64(0), true
	for name, p := range g.channels {
		st, snap, ok := channelStatus(p, parts[base+"channel/"+name])
		complete = complete && ok
		arrived += snap.Put
		s.Channels = append(s.Channels, st)
		l := st.Ledger
		l.Received = 0 // it was received by a source
		s.Ledger.Add(l)
	}
	for name, p := range g.sinks {
		for i, m := range p.spec.Members {
			s.Sinks = append(s.Sinks, sinkStatus(p, m, p.kinds[i], parts[base+"sink/"+name]))
		}
	}
	sortParts(&s)
	s.Ledger.Unaccounted = 0
	if complete {
		// What arrived after the sources were asked was received, too.
		s.Ledger.Received += max(0, arrived-put)
		s.Ledger.Settle()
	}
	return s
}

func sortParts(s *Status) {
	slices.SortFunc(s.Sources, func(a, b SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Channels, func(a, b ChannelStatus) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Sinks, func(a, b SinkStatus) int { return strings.Compare(a.Name, b.Name) })
}

func partOf(name, kind string, p supervise.Part) Part {
	part := Part{
		Name: name, Kind: kind, State: State(p.State), Since: p.Since, Started: p.Since,
		Restarts: int64(p.Restarts), Mailbox: int(p.Mailbox),
	}
	if p.State == "" {
		part.State = Starting
	}
	if p.State == supervise.Backoff || p.State == supervise.Failed {
		part.Reason = p.Reason
	}
	part.Failure = p.Reason
	return part
}

func sourceStatus(p sourcePart, tree supervise.Part) (SourceStatus, source.Tally) {
	t, c := p.ref.Tally(), p.ref.Counters()
	st := SourceStatus{Part: partOf(p.ref.Name(), p.kind, tree), Channels: p.to, Dropped: p.ref.Dropped(), Counts: SourceCounts{
		EventReceived: c.EventReceived.Load(), EventAccepted: c.EventAccepted.Load(),
		AppendReceived: c.AppendReceived.Load(), AppendAccepted: c.AppendAccepted.Load(),
		AppendBatchReceived: c.AppendBatchReceived.Load(), AppendBatchAccepted: c.AppendBatchAccepted.Load(),
		OpenConnections: c.OpenConnections.Load(), EventReadFail: c.EventReadFail.Load(),
		ChannelWriteFail: c.ChannelWriteFail.Load(), GenericProcessingFail: c.GenericProcessingFail.Load(),
		Malformed: c.Malformed.Load(), Truncated: c.Truncated.Load(), Lost: c.Lost.Load(),
	}}
	// What a source put is delivered as far as it is concerned.
	st.Ledger = Ledger{Received: t.Received, Copied: t.Copied, Dropped: t.Dropped, Held: t.Held, Delivered: t.Put}
	st.Ledger.Settle()
	return st, t
}

func channelStatus(p channelPart, tree supervise.Part) (ChannelStatus, channel.Snapshot, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), inspectMax)
	defer cancel()
	s, err := p.ref.Inspect(ctx)
	st := ChannelStatus{
		Part: partOf(p.ref.Name(), p.kind, tree), Durable: p.ref.Durable(),
		Size: s.Size, Capacity: int64(s.Capacity), Bytes: s.Bytes, ByteCapacity: int64(s.ByteCapacity),
		PutAttempt: s.PutAttempt, PutSuccess: s.Put, PutError: s.PutError,
		TakeAttempt: s.TakeAttempt, TakeSuccess: s.Delivered + s.Dead, TakeError: s.TakeErr,
	}
	if s.Oldest > 0 {
		st.OldestMs = max(1, time.Now().UnixMilli()-s.Oldest)
	}
	if s.Waiting > 0 && st.Reason == "" && time.Since(s.Full) > time.Second {
		st.Reason = "full since " + s.Full.Format(time.TimeOnly) + ": sources wait for its sinks"
	}
	st.Ledger = Ledger{Received: s.Put, Carried: s.Carried, Delivered: s.Delivered, Held: s.Held, DeadLettered: s.Dead}
	st.Ledger.Settle()
	return st, s, err == nil
}

func sinkStatus(p sinkPart, m *sink.Member, kind string, tree supervise.Part) SinkStatus {
	c := &m.Counters
	delivered, dead := c.EventDrainSuccess.Load(), c.DeadLetters.Load()
	st := SinkStatus{Part: partOf(m.Name, kind, tree), Channel: m.Channel.Name(), Group: p.group, Counts: SinkCounts{
		ConnectionCreated: c.ConnectionCreated.Load(), ConnectionClosed: c.ConnectionClosed.Load(),
		ConnectionFailed: c.ConnectionFailed.Load(), BatchEmpty: c.BatchEmpty.Load(),
		BatchUnderflow: c.BatchUnderflow.Load(), BatchComplete: c.BatchComplete.Load(),
		EventDrainAttempt: c.EventDrainAttempt.Load(), EventDrainSuccess: delivered,
		EventWriteFail: c.EventWriteFail.Load(), ChannelReadFail: c.ChannelReadFail.Load(), BytesWrote: c.BytesWrote.Load(),
		TimestampMissing: c.TimestampMissing.Load(),
	}}
	// The tree knows one actor; each of a group's sinks has troubles of its own.
	if t := m.Trouble(); t != nil && (st.State == Running || st.State == Backoff) {
		if st.State == Running {
			st.Since = t.Since
		}
		st.State, st.Reason, st.Failure = Backoff, t.Reason, t.Reason
	}
	if n := c.EventWriteFail.Load(); n > 0 {
		st.Failed = map[string]int64{"delivery": n}
	}
	if dead > 0 {
		st.DeadLetters = map[string]int64{"undeliverable": dead}
	}
	st.Ledger = Ledger{Received: delivered + dead, Delivered: delivered, DeadLettered: dead}
	return st
}
