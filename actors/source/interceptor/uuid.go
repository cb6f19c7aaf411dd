package interceptor

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// uuid sets a header to a random identifier (version 4) behind a prefix.
type uuid struct {
	header   string
	preserve bool
	text     []byte // the prefix, then 36 characters
	prefix   int
	random   [16 * 64]byte // drawn for many records at once
	used     int
}

func newUUID(s topologies.Settings, _ Env) (Interceptor, error) {
	prefix := s.String("prefix")
	u := &uuid{header: s.String("headerName"), preserve: s.Bool("preserveExisting"), prefix: len(prefix)}
	u.text = append([]byte(prefix), make([]byte, 36)...)
	u.used = len(u.random)
	return u, s.Err()
}

func (u *uuid) Intercept(batch *record.Slab) error {
	for i := range batch.Len() {
		if u.preserve {
			if _, has := batch.Header(i, u.header); has {
				continue
			}
		}
		u.draw(u.text[u.prefix:])
		batch.SetHeader(i, u.header, u.text)
	}
	return nil
}

// draw writes a new identifier to to.
func (u *uuid) draw(to []byte) {
	if u.used == len(u.random) {
		rand.Read(u.random[:]) // never fails
		u.used = 0
	}
	b := u.random[u.used : u.used+16]
	u.used += 16
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	at := 0
	for _, n := range [...]int{4, 2, 2, 2, 6} {
		hex.Encode(to[at:], b[:n])
		b = b[n:]
		if at += 2 * n; at < len(to) {
			to[at] = '-'
			at++
		}
	}
}
