package kafka

import (
	"encoding/binary"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

// client is who sent a request.
type client struct {
	id                        string // client.id
	host                      string // its address, without the port
	software, softwareVersion string // from ApiVersions
	principal                 string // User:ANONYMOUS until there is authentication
}

// request is one request of a connection. answer is called exactly once, from
// any goroutine; answers go out in the order of the requests.
type request struct {
	conn        *conn
	api         *api
	key         int16
	version     int16
	correlation int32
	flexible    bool // the header of the answer has tagged fields
	client      client
	// body is the decoded request; nil for an api that walks frame itself.
	body kmsg.Request
	// frame is the body's bytes, for an api that walks them itself. They are the
	// handler's until it calls freeFrame.
	frame  []byte
	buffer []byte // of GetBuffer, holds frame

	charged int64 // bytes of memory, given back when the request is answered

	// What the connection's lock protects.
	answered bool
	encoded  []byte // an answer of GetBuffer, ready to go out
	late     reply  // or one that is made when its turn has come
	gone     func() // see whenGone
}

// reply is an answer that is made when those before it have gone out.
type reply interface {
	// write adds the whole answer, its length included, to out.
	write(out *output)
	// free is called once, when out is written or when nobody wants it any more.
	free()
}

// answer sends resp, which is handed over.
func (r *request) answer(resp kmsg.Response) {
	resp.SetVersion(r.version)
	b := r.begin(record.GetBuffer(0))
	b = resp.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-lengthSize))
	r.conn.answered(r, b, nil)
}

// answerLate sends what rep writes when its turn comes.
func (r *request) answerLate(rep reply) { r.conn.answered(r, nil, rep) }

// silence ends a request that gets no answer.
func (r *request) silence() { r.conn.answered(r, nil, nil) }

// whenGone makes fn be called, at most once, if the connection ends before the
// request is answered, or the server wants to stop: nobody waits for more. It
// answers false if that is so already.
func (r *request) whenGone(fn func()) bool {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	r.gone = fn
	return !c.closed && !c.drain
}

// background runs fn in a goroutine, for the part of a handler that may block.
func (r *request) background(fn func()) { go r.conn.guard(r, fn) }

// refuse ends a request, and the connection with it, where the protocol knows
// no answer.
func (r *request) refuse(err error) {
	r.conn.fail(err)
	r.silence()
}

// freeFrame gives the frame back. Nobody may use it afterwards.
func (r *request) freeFrame() {
	record.PutBuffer(r.buffer)
	r.frame, r.buffer = nil, nil
}

// begin appends the header of an answer, with room for its length.
func (r *request) begin(b []byte) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(r.correlation))
	if r.flexible {
		b = append(b, 0)
	}
	return b
}

func (r *request) log() *slog.Logger {
	return r.conn.server.log.With("api", r.api.name, "version", r.version, "client", r.client.id, "host", r.client.host)
}
