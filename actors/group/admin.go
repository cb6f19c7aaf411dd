package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// allowed are all operations on a group, as bits of Kafka's numbers for them.
const allowed = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11 // read, delete, describe, describe and alter configs

func (s *State) listGroups(r *Request, b *kmsg.ListGroupsRequest) {
	resp := response[*kmsg.ListGroupsResponse](r)
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		if !wanted(b.StatesFilter, g.stateName()) || !wanted(b.TypesFilter, g.typeName()) {
			continue
		}
		e := kmsg.NewListGroupsResponseGroup()
		e.Group, e.ProtocolType, e.GroupState, e.GroupType = id, g.protocolType(), g.stateName(), g.typeName()
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}

// wanted says whether a filter lets a name through; none lets all.
func wanted(filter []string, name string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, name) })
}

func (s *State) describeGroups(r *Request, b *kmsg.DescribeGroupsRequest) {
	resp := response[*kmsg.DescribeGroupsResponse](r)
	for _, id := range b.Groups {
		e := kmsg.NewDescribeGroupsResponseGroup()
		e.Group = id
		switch g := s.group(id); {
		case id == "":
			e.ErrorCode = kerr.InvalidGroupID.Code
		case g == nil || g.classic == nil:
			e.State = "Dead"
			if b.Version >= 6 {
				e.ErrorCode, e.ErrorMessage = kerr.GroupIDNotFound.Code, ptr("Group "+id+" is not a classic group.")
				if g == nil {
					e.ErrorMessage = ptr("Group " + id + " not found.")
				}
			}
		default:
			g.classic.describe(&e)
		}
		if b.IncludeAuthorizedOperations && e.ErrorCode == 0 {
			e.AuthorizedOperations = allowed
		}
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}

func (c *classic) describe(e *kmsg.DescribeGroupsResponseGroup) {
	e.State, e.ProtocolType = string(c.state), c.protocolType
	if c.state == stable {
		e.Protocol = c.protocol
	}
	for _, id := range c.order {
		m := c.members[id]
		d := kmsg.NewDescribeGroupsResponseGroupMember()
		d.MemberID, d.InstanceID, d.ClientID, d.ClientHost = id, m.instance, m.clientID, m.clientHost
		if c.state == stable {
			d.ProtocolMetadata = m.metadata(c.protocol)
			d.MemberAssignment = m.assignment
		}
		e.Members = append(e.Members, d)
	}
}

func (s *State) deleteGroups(r *Request, b *kmsg.DeleteGroupsRequest) {
	resp := response[*kmsg.DeleteGroupsResponse](r)
	for _, id := range b.Groups {
		e := kmsg.NewDeleteGroupsResponseGroup()
		e.Group = id
		switch g := s.group(id); {
		case id == "":
			e.ErrorCode = kerr.InvalidGroupID.Code
		case g == nil:
			e.ErrorCode = kerr.GroupIDNotFound.Code
		case g.size() > 0 || !g.idle():
			e.ErrorCode = kerr.NonEmptyGroup.Code
		default:
			s.remove(g)
		}
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}
