package record

import "strings"

// names are the header names of a slab, each kept once and known by its
// number.
type names struct {
	list []string
	// index finds the number of a name once there are too many to look
	// through. Only the slab's writer builds it, so that readers may share it.
	index map[string]uint32
}

const (
	indexedFrom = 24  // names
	pooledNames = 256 // names that a slab may take into the pool
)

func (n *names) find(name string) (uint32, bool) {
	if n.index != nil {
		id, ok := n.index[name]
		return id, ok
	}
	for i, k := range n.list {
		if k == name {
			return uint32(i), true
		}
	}
	return 0, false
}

func (n *names) add(name string) uint32 {
	if id, ok := n.find(name); ok {
		return id
	}
	return n.append(name)
}

// addView is add for a name that will not live: what is kept is a copy. The
// slab that comes from the pool still holds the names of its last batch, most
// often the same ones, and then none is copied.
func (n *names) addView(name string) uint32 {
	if id, ok := n.find(name); ok {
		return id
	}
	if at := len(n.list); at < cap(n.list) {
		if before := n.list[:at+1][at]; before == name {
			return n.append(before)
		}
	}
	return n.append(strings.Clone(name))
}

func (n *names) append(name string) uint32 {
	id := uint32(len(n.list))
	n.list = append(n.list, name)
	switch {
	case n.index != nil:
		n.index[name] = id
	case len(n.list) == indexedFrom:
		n.index = make(map[string]uint32, 2*indexedFrom)
		for i, k := range n.list {
			n.index[k] = uint32(i)
		}
	}
	return id
}

func (n *names) copyOf(o *names) {
	n.reset()
	for _, k := range o.list {
		n.append(k)
	}
}

// reset forgets all names, but leaves their texts behind the end of the list
// for addView.
func (n *names) reset() {
	n.index = nil
	if cap(n.list) > pooledNames {
		n.list = nil
		return
	}
	bytes := 0
	for _, k := range n.list {
		bytes += len(k)
	}
	if bytes > 16*pooledNames {
		clear(n.list[:cap(n.list)])
	}
	n.list = n.list[:0]
}
