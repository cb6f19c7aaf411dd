package source

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

const (
	// hostLookupMax bounds the search for a sender's name.
	hostLookupMax = time.Second
	// sendersMax bounds the senders whose names are remembered.
	sendersMax = 1000
)

// sender is what a source tells about who sent a message: headers that are set
// where they have a name.
type sender struct{ ipHeader, ip, nameHeader, name string }

// senderOf looks a sender up, once per connection.
func (o *syslogOptions) senderOf(ctx context.Context, addr net.Addr) sender {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return sender{}
	}
	return o.senderAt(ctx, at.Addr().Unmap())
}

func (o *syslogOptions) senderAt(ctx context.Context, ip netip.Addr) sender {
	s := sender{ipHeader: o.ipHeader, nameHeader: o.nameHeader, ip: ip.WithZone("").String()}
	if s.name = s.ip; o.nameHeader == "" {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, hostLookupMax)
	defer cancel()
	if names, err := net.DefaultResolver.LookupAddr(ctx, s.ip); err == nil && len(names) > 0 {
		s.name = strings.TrimSuffix(names[0], ".")
	}
	return s
}

// mark sets the headers of all records.
func (s sender) mark(slab *record.Slab) {
	if s.ipHeader != "" {
		slab.SetCommon(s.ipHeader, []byte(s.ip))
	}
	if s.nameHeader != "" {
		slab.SetCommon(s.nameHeader, []byte(s.name))
	}
}

// markOne sets the headers of record i.
func (s sender) markOne(slab *record.Slab, i int) {
	if s.ipHeader != "" {
		slab.SetHeader(i, s.ipHeader, []byte(s.ip))
	}
	if s.nameHeader != "" {
		slab.SetHeader(i, s.nameHeader, []byte(s.name))
	}
}
