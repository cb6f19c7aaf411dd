package interceptor

import (
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// static sets a header to a fixed value.
type static struct {
	key      string
	value    []byte
	preserve bool
}

func newStatic(s topologies.Settings, _ Env) (Interceptor, error) {
	return &static{key: s.String("key"), value: []byte(s.String("value")), preserve: s.Bool("preserveExisting")}, s.Err()
}

func (c *static) Intercept(batch *record.Slab) error {
	stamp(batch, c.key, c.value, c.preserve)
	return nil
}
