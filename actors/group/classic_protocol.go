package group

import (
	"bytes"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// chooseProtocol takes the protocol with most votes among those that everybody
// supports. A member votes for the first on its list.
func (c *classic) chooseProtocol() string {
	votes := map[string]int{}
	for _, m := range c.members {
		for _, p := range m.protocols {
			if c.everybodySupports(p.Name, "") {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// everybodySupports says whether all members but the one called except have
// the protocol.
func (c *classic) everybodySupports(protocol, except string) bool {
	for id, m := range c.members {
		if id != except && !m.supports(protocol) {
			return false
		}
	}
	return true
}

// agrees says whether a member with these protocols could work with the others.
func (c *classic) agrees(protocolType string, protocols []kmsg.JoinGroupRequestProtocol, id string) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(c.members) == 0 {
		return true
	}
	if protocolType != c.protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
		return c.everybodySupports(p.Name, id)
	})
}

func (m *member) supports(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol })
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return []byte{}
}

// matches says whether the protocols are those that the member has.
func (m *member) matches(protocols []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// subscriptions are the topics of all members, nil when they cannot be told:
// the protocol is not the consumers' own, or its bytes are not understood.
func (c *classic) subscriptions() map[string]bool {
	if c.protocolType != "consumer" {
		return nil
	}
	topics := map[string]bool{}
	for _, m := range c.members {
		var meta kmsg.ConsumerMemberMetadata
		if meta.ReadFrom(m.metadata(c.protocol)) != nil {
			return nil
		}
		for _, t := range meta.Topics {
			topics[t] = true
		}
	}
	return topics
}

func (c *classic) subscribed(topic string) bool {
	return c.state != empty && (c.topics == nil || c.topics[topic])
}
