package interceptor

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// lookupTime bounds how long the name of this machine is looked up.
const lookupTime = 3 * time.Second

// host sets a header to the address or name of this machine. Both are looked
// up once.
type host struct {
	header   string
	value    []byte
	preserve bool
}

func newHost(s topologies.Settings, env Env) (Interceptor, error) {
	h := &host{header: s.String("hostHeader"), preserve: s.Bool("preserveExisting")}
	value, err := localHost(s.Bool("useIP"))
	if err != nil {
		env.Log.Warn("this machine's name was not found", "interceptor", s.Name(), "used", value, "err", err)
	}
	h.value = []byte(value)
	return h, s.Err()
}

func (h *host) Intercept(batch *record.Slab) error {
	stamp(batch, h.header, h.value, h.preserve)
	return nil
}

// localHost is what Java calls the local host: the address that the machine's
// own name stands for, or the full name of that address. Where the name stands
// for nothing it is the first address of an interface, or the short name.
func localHost(useIP bool) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	name, err := os.Hostname()
	if err != nil {
		return interfaceAddress(), err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil || len(found) == 0 {
		if useIP {
			return interfaceAddress(), err
		}
		return name, err
	}
	addr := found[0].Unmap()
	for _, a := range found {
		if a.Unmap().Is4() { // Java prefers it
			addr = a.Unmap()
			break
		}
	}
	if useIP {
		return addr.String(), nil
	}
	names, _ := net.DefaultResolver.LookupAddr(ctx, addr.String())
	if len(names) > 0 {
		name = strings.TrimSuffix(names[0], ".")
	}
	return name, nil
}

func interfaceAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	return "127.0.0.1"
}
