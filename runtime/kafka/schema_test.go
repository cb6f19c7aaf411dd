package kafka

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// words are the texts of requests that are made up.
var words = []string{"", "orders", "g", "m-1", "cleanup.policy", "consumer", "range", strings.Repeat("x", 200)}

// fill gives v and all below it values, arrays of up to three elements.
func fill(v reflect.Value, rnd *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "UnknownTags" && name != "Version" {
				fill(v.Field(i), rnd)
			}
		}
	case reflect.Slice:
		n := rnd.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), rnd)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), rnd)
		}
	case reflect.Pointer:
		if v.SetZero(); rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), rnd)
		}
	case reflect.String:
		v.SetString(words[rnd.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(rnd.Float64())
	case reflect.Uint8:
		v.SetUint(rnd.Uint64() & 0xff)
	default:
		v.SetInt(int64(rnd.IntN(100)))
	}
}

// The table of fields says the same as the code that encodes requests, for
// every version.
func TestTheSchemasAreThoseOfTheRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for key, text := range schemas {
		fields, err := parseSchema(text)
		if err != nil {
			t.Fatalf("key %d: %v", key, err)
		}
		req := kmsg.RequestForKey(key)
		for version := int16(0); version <= req.MaxVersion(); version++ {
			for range 20 {
				req = kmsg.RequestForKey(key)
				req.SetVersion(version)
				fill(reflect.ValueOf(req).Elem(), rnd)
				if r, ok := req.(*kmsg.FetchRequest); ok {
					r.ReplicaState.UnknownTags, r.Version = kmsg.Tags{}, version
				}
				body := req.AppendTo(nil)
				if err := lookAt(body, fields, key, version, req.IsFlexible()); err != nil {
					t.Fatalf("%s v%d: %v", kmsg.NameForKey(key), version, err)
				}
				if len(body) > 0 {
					if err := lookAt(body[:len(body)-1], fields, key, version, req.IsFlexible()); err == nil {
						t.Fatalf("%s v%d: the last byte is not missed", kmsg.NameForKey(key), version)
					}
				}
			}
		}
	}
}

func TestEverythingServedHasASchema(t *testing.T) {
	for _, a := range served() {
		if schemas[a.key] == "" {
			t.Errorf("%s has none", a.name)
		}
	}
}

// A few bytes that count thousands of millions of tagged fields would keep the
// decoder at work for a minute.
func TestMoreTaggedFieldsThanBytesAreRefused(t *testing.T) {
	many := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for key, text := range schemas {
		fields, _ := parseSchema(text)
		req := kmsg.RequestForKey(key)
		if req.SetVersion(req.MaxVersion()); !req.IsFlexible() {
			continue
		}
		body := req.AppendTo(nil)
		body = append(body[:len(body)-1], many...)
		if err := lookAt(body, fields, key, req.GetVersion(), true); err == nil {
			t.Errorf("%s: %d tagged fields are let through", kmsg.NameForKey(key), 1<<32-1)
		}
	}
	fields, _ := parseSchema(schemas[fetchKey])
	req := kmsg.NewPtrFetchRequest()
	req.Version = 18
	body := req.AppendTo(nil)
	inner := append(binary.BigEndian.AppendUint64(make([]byte, 4), 0), many...)
	body = append(append(body[:len(body)-1], 1, 1, byte(len(inner))), inner...)
	if err := lookAt(body, fields, fetchKey, 18, true); err == nil {
		t.Error("Fetch: tagged fields inside of a tagged field are let through")
	}
}
