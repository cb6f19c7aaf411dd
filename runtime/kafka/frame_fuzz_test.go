package kafka

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whatever bytes come: no handler panics, no memory stays charged, the
// connection ends with the bytes.
func FuzzKafkaFrame(f *testing.F) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	hello := format.AppendRequest(nil, versions(4), 1)
	beat := format.AppendRequest(nil, kmsg.NewPtrHeartbeatRequest(), 2)
	f.Add(hello)
	f.Add(append(append([]byte{}, hello...), beat...))
	f.Add(append(append([]byte{}, beat...), 0, 0, 0, 12, 0, 12))
	f.Add(rawRequest(18, 77, 1, []byte{0, 0}))
	f.Add(binary.BigEndian.AppendUint32(nil, 1<<31-1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(Options{})
		s.apis = newAPIs([]api{
			{key: 18, max: 4, name: "ApiVersions", maxBytes: sizeSmall, handle: (*Server).apiVersions},
			{key: 12, max: 4, name: "Heartbeat", maxBytes: sizeAdmin, handle: func(_ *Server, r *request) {
				r.answer(kmsg.NewPtrHeartbeatResponse())
			}},
			{key: 11, max: 9, name: "JoinGroup", maxBytes: sizeGroup, waits: true, handle: func(_ *Server, r *request) {
				r.answer(kmsg.NewPtrJoinGroupResponse())
			}},
			{key: 0, min: 3, max: 13, name: "Produce", maxBytes: sizeMax, pooled: true, handle: func(_ *Server, r *request) {
				r.freeFrame()
				r.silence()
			}},
		})
		ours, theirs := net.Pipe()
		c := newConn(s, ours, "pipe")
		if why := s.register(c); why != "" {
			t.Fatal(why)
		}
		read := make(chan struct{})
		go func() { c.read(); close(read) }()
		go io.Copy(io.Discard, theirs)
		_, _ = theirs.Write(data)
		c.stopReading()
		<-read
		theirs.Close()
		if figures := s.Figures(); figures.MemoryFree != s.limits.Memory || figures.Panics != 0 || figures.Connections != 0 {
			t.Fatalf("afterwards: %+v", figures)
		}
	})
}
