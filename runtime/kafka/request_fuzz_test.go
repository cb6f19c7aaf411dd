package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every API that is served, in every version, with any body, over a whole
// broker: nothing panics, what is allocated is bounded by what came, and an
// answer, if there is one, is one that a client can read.
func FuzzKafkaRequest(f *testing.F) {
	w := startWhole(f, func(o *Options) { o.AutoCreateTopics = true })
	id := w.topic("orders", 2)
	mustProduce(w, "orders", id, 0, "a", "b")
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, a := range w.apis {
		if a == nil {
			continue
		}
		for version := a.min; version <= a.max; version++ {
			for range 3 {
				req := kmsg.RequestForKey(a.key)
				req.SetVersion(version)
				fill(reflect.ValueOf(req).Elem(), rnd)
				req.SetVersion(version)
				f.Add(a.key, version, req.AppendTo(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if key < 0 || int(key) >= len(w.apis) || w.apis[key] == nil || tooMuch(key, version, body) {
			return
		}
		a := w.apis[key]
		version = a.min + int16(uint16(version)%uint16(a.max-a.min+1))
		ours, theirs := net.Pipe()
		c := newConn(w.Server, ours, "127.0.0.1")
		if why := w.register(c); why != "" {
			t.Fatal(why)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan struct{})
		go func() { c.read(); close(done) }()
		frame := []byte{0, 4, 'f', 'u', 'z', 'z'}
		if version >= a.flexibleFrom {
			frame = append(frame, 0)
		}
		_ = theirs.SetDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = theirs.Write(rawRequest(key, version, 9, append(frame, body...)))
		answer, err := readAnswer(theirs)
		theirs.Close()
		<-done
		runtime.ReadMemStats(&after)
		if n := w.Figures().Panics; n != 0 {
			t.Fatalf("%s v%d: %d panics", a.name, version, n)
		}
		// What else the process does is in there too.
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 {
			t.Fatalf("%s v%d: %d bytes were allocated for %d", a.name, version, n, len(body))
		}
		if err == nil {
			checkAnswer(t, a, version, answer)
		}
	})
}

// tooMuch are requests for thousands of partitions: they are served, but not
// here.
func tooMuch(key, version int16, body []byte) bool {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if schema, err := parseSchema(schemas[key]); err != nil || lookAt(body, schema, key, version, req.IsFlexible()) != nil || req.ReadFrom(body) != nil {
		return false
	}
	switch r := req.(type) {
	case *kmsg.CreateTopicsRequest:
		for _, t := range r.Topics {
			if t.NumPartitions > 16 {
				return true
			}
		}
	case *kmsg.CreatePartitionsRequest:
		for _, t := range r.Topics {
			if t.Count > 16 {
				return true
			}
		}
	}
	return false
}

func readAnswer(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<26 {
		return nil, errors.New("no such length")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, err
	}
	return b, err
}

func checkAnswer(t *testing.T, a *api, version int16, answer []byte) {
	t.Helper()
	req := kmsg.RequestForKey(a.key)
	req.SetVersion(version)
	body := answer[4:]
	if version >= a.flexibleFrom && a.key != apiVersionsKey {
		if len(body) == 0 || body[0] != 0 {
			t.Fatalf("%s v%d: the header of the answer has no tags", a.name, version)
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: the answer of %d bytes cannot be read: %v", a.name, version, len(body), err)
	}
}
