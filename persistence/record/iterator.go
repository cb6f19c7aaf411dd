package record

// Iterator walks the records of a batch without a heap object for any of them:
//
//	it := record.Iterate(payload, batch.Count())
//	for it.Next() {
//		use(it.Value())
//	}
//	if err := it.Err(); err != nil { … }
//
// Payload is what Batch.Payload returns. Nothing in it is trusted.
type Iterator struct {
	data  []byte
	next  int // where the next record begins
	count int
	n     int // records so far

	offsetDelta    int32
	timestampDelta int64
	key, value     field
	headers        field // all headers of the record, without their count
	headerCount    int
	err            error
}

// field is data[start:end], or null when start is -1.
type field struct{ start, end int }

func (f field) of(data []byte) []byte {
	if f.start < 0 {
		return nil
	}
	return data[f.start:f.end:f.end]
}

// Iterate returns an Iterator over count records in payload.
func Iterate(payload []byte, count int) Iterator {
	return Iterator{data: payload, count: count}
}

// Next goes to the next record. It answers false after the last one and at the
// first that is damaged.
func (it *Iterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.n == it.count {
		if it.next != len(it.data) {
			it.err = corrupt("%d bytes behind the last of %d records", len(it.data)-it.next, it.count)
		}
		return false
	}
	if what, at := it.read(); what != "" {
		it.err = corrupt("record %d at byte %d of the records: %s at byte %d", it.n, it.next, what, at)
		return false
	}
	it.n++
	return true
}

// read takes the record at next apart. What it finds wrong it names, with the
// place.
func (it *Iterator) read() (what string, at int) {
	length, at, ok := varint(it.data, it.next)
	if !ok || length < 0 || length > int64(len(it.data)-at) {
		return "bad length", it.next
	}
	end := at + int(length)
	rec := it.data[:end] // no field may reach further
	if at++; at > end {
		return "no attributes", at
	}
	begin := at
	if it.timestampDelta, at, ok = varint(rec, at); !ok {
		return "bad timestamp delta", begin
	}
	delta, after, ok := varint(rec, at)
	if !ok || delta != int64(int32(delta)) {
		return "bad offset delta", at
	}
	it.offsetDelta, at = int32(delta), after
	begin = at
	if it.key, at, ok = bytesField(rec, at); !ok {
		return "bad key length", begin
	}
	begin = at
	if it.value, at, ok = bytesField(rec, at); !ok {
		return "bad value length", begin
	}
	count, after, ok := varint(rec, at)
	if !ok || count < 0 || count > int64(end-after)/2 {
		return "bad header count", at
	}
	it.headers.start, it.headerCount = after, int(count)
	at = after
	for range it.headerCount {
		begin = at
		if _, _, at, ok = header(rec, at); !ok {
			return "bad header", begin
		}
	}
	if at != end {
		return "bytes behind the last header", at
	}
	it.headers.end = end
	it.next = end
	return "", 0
}

// Err is what was wrong with the record at which Next stopped, nil after the
// last.
func (it *Iterator) Err() error { return it.err }

// OffsetDelta is the record's distance from the batch's base offset.
func (it *Iterator) OffsetDelta() int32 { return it.offsetDelta }

// TimestampDelta is the record's distance from the batch's base timestamp, ms.
func (it *Iterator) TimestampDelta() int64 { return it.timestampDelta }

// Key is the record's key, nil when it is null.
func (it *Iterator) Key() []byte { return it.key.of(it.data) }

// Value is the record's value, nil when it is null.
func (it *Iterator) Value() []byte { return it.value.of(it.data) }

// HeaderCount is the number of the record's headers.
func (it *Iterator) HeaderCount() int { return it.headerCount }

// Headers yields the record's headers in their order; a null value is nil. A
// name may come more than once.
func (it *Iterator) Headers(yield func(name, value []byte) bool) {
	at := it.headers.start
	for range it.headerCount {
		name, value, next, _ := header(it.data, at)
		if !yield(name.of(it.data), value.of(it.data)) {
			return
		}
		at = next
	}
}

// header reads the header at byte at: a name, which is never null, and a value.
func header(data []byte, at int) (name, value field, next int, ok bool) {
	name, at, ok = bytesField(data, at)
	if !ok || name.start < 0 {
		return field{}, field{}, at, false
	}
	value, at, ok = bytesField(data, at)
	return name, value, at, ok
}

// bytesField reads a length and that many bytes; length -1 is null.
func bytesField(data []byte, at int) (field, int, bool) {
	n, at, ok := varint(data, at)
	switch {
	case !ok, n < -1, n > int64(len(data)-at):
		return field{}, at, false
	case n == -1:
		return field{-1, -1}, at, true
	}
	return field{at, at + int(n)}, at + int(n), true
}

// varint reads a zigzag varint of up to 64 bits.
func varint(data []byte, at int) (v int64, next int, ok bool) {
	if at < len(data) && data[at] < 0x80 { // nearly all of them
		u := uint64(data[at])
		return int64(u>>1) ^ -int64(u&1), at + 1, true
	}
	var u uint64
	for shift := uint(0); shift < 64 && at < len(data); shift += 7 {
		c := data[at]
		at++
		if shift == 63 && c > 1 {
			break // more than 64 bits
		}
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), at, true
		}
	}
	return 0, at, false
}

// appendVarint appends v as a zigzag varint.
func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// lengthSize is the number of bytes of n >= 0 as a zigzag varint.
func lengthSize(n int) int {
	size := 1
	for u := uint64(n) << 1; u >= 0x80; u >>= 7 {
		size++
	}
	return size
}
