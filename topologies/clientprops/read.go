package clientprops

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies"
)

// Client is what settings come to.
type Client struct {
	Servers []string // bootstrap.servers
	Group   string   // group.id
	// TransactionalID, when set, makes a producer transactional.
	TransactionalID string
	// AutoCommit says that a consumer commits by itself; the default is true.
	AutoCommit bool
	// MaxPoll is max.poll.records.
	MaxPoll int
	// Options are for kgo.NewClient.
	Options []kgo.Opt
	// Remarks tell of settings that are taken and do nothing here, or otherwise.
	Remarks []string

	values map[string]string
}

// Value is a setting's text as it was given; "" when it was not.
func (c *Client) Value(name string) string { return c.values[name] }

// property is one name that Kafka's clients know.
type property struct {
	side  Side // "": both
	apply func(c *Client, text string) error
	// inert says why the value changes nothing here; such a name is taken with a
	// remark unless it is quiet.
	inert string
	quiet bool
}

// Read makes a client of settings; later ones win. All that is wrong is told
// in one error, with places.
func Read(side Side, settings []Setting) (*Client, error) {
	c := &Client{AutoCommit: true, MaxPoll: 500, values: map[string]string{}}
	last := map[string]Setting{}
	var order []string
	for _, s := range settings {
		if _, again := last[s.Name]; !again {
			order = append(order, s.Name)
		}
		last[s.Name] = s
		c.values[s.Name] = s.Value
	}
	var wrong []string
	for _, name := range order {
		s := last[name]
		if err := c.take(side, s); err != nil {
			wrong = append(wrong, place(s.Pos)+name+": "+err.Error())
		}
	}
	if len(wrong) == 0 {
		wrong = c.finish(side)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s settings: %s", side, strings.Join(wrong, "\n  "))
	}
	return c, nil
}

func place(p topologies.Pos) string {
	if p.File == "" {
		return ""
	}
	return p.String() + ": "
}

func (c *Client) take(side Side, s Setting) error {
	p, known := properties[s.Name]
	switch {
	case !known:
		remark := fmt.Sprintf("%s%q is no setting of Kafka's %s and is ignored, as Kafka does", place(s.Pos), s.Name, side)
		if near, ok := topologies.Nearest(s.Name, Names(side)); ok {
			remark += fmt.Sprintf("; did you mean %q?", near)
		}
		c.Remarks = append(c.Remarks, remark)
		return nil
	case p.side != "" && p.side != side:
		c.Remarks = append(c.Remarks, fmt.Sprintf("%s%s is a setting of the %s and is ignored", place(s.Pos), s.Name, p.side))
		return nil
	case p.apply == nil:
		if !p.quiet {
			c.Remarks = append(c.Remarks, fmt.Sprintf("%s%s is taken and changes nothing: %s", place(s.Pos), s.Name, p.inert))
		}
		return nil
	}
	return p.apply(c, strings.TrimSpace(s.Value))
}

// finish checks settings against each other.
func (c *Client) finish(side Side) (wrong []string) {
	if side == Consumer {
		return nil
	}
	acks, idempotent := c.values["acks"], c.values["enable.idempotence"]
	weak := acks == "0" || acks == "1"
	switch {
	case weak && idempotent == "true":
		wrong = append(wrong, "acks = "+acks+" with enable.idempotence = true: Kafka refuses that too; want acks = all")
	case weak && c.TransactionalID != "":
		wrong = append(wrong, "acks = "+acks+" with transactional.id: want acks = all")
	case idempotent == "false" && c.TransactionalID != "":
		wrong = append(wrong, "enable.idempotence = false with transactional.id: want true")
	case weak || idempotent == "false":
		c.Options = append(c.Options, kgo.DisableIdempotentWrite())
	}
	if c.values["linger.ms"] == "" {
		// What Kafka's own producer does since 4.0 waits 5 ms; before, none.
		c.Options = append(c.Options, kgo.ProducerLinger(0))
	}
	return wrong
}

// Names are the settings that side knows, sorted.
func Names(side Side) []string {
	var names []string
	for name, p := range properties {
		if p.side == "" || p.side == side {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
