package interceptor

import (
	"strconv"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// timestamp sets a header to the time in ms since the epoch.
type timestamp struct {
	header   string
	preserve bool
	text     []byte // scratch
}

func newTimestamp(s topologies.Settings, _ Env) (Interceptor, error) {
	return &timestamp{header: s.String("headerName"), preserve: s.Bool("preserveExisting")}, s.Err()
}

func (t *timestamp) Intercept(batch *record.Slab) error {
	t.text = strconv.AppendInt(t.text[:0], time.Now().UnixMilli(), 10)
	stamp(batch, t.header, t.text, t.preserve)
	return nil
}
