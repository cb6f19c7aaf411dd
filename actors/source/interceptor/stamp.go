package interceptor

import "github.com/sluicehq/sluice/persistence/record"

// stamp sets header key of every record to value. With preserve a record that
// has one keeps it. The value is stored once.
func stamp(batch *record.Slab, key string, value []byte, preserve bool) {
	if batch.Len() == 0 {
		return
	}
	if _, all := batch.Common(key); all && preserve {
		return
	}
	if !preserve || !anyHas(batch, key) {
		batch.SetCommon(key, value)
		return
	}
	start := len(batch.Buffer())
	copy(batch.Tail(len(value)), value)
	batch.Advance(len(value))
	for i := range batch.Len() {
		if _, has := batch.Header(i, key); !has {
			batch.MarkHeader(i, key, start, start+len(value))
		}
	}
}

func anyHas(batch *record.Slab, key string) bool {
	for i := range batch.Len() {
		if _, has := batch.Header(i, key); has {
			return true
		}
	}
	return false
}
