package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// start serves what is in rows beside ApiVersions.
func start(t *testing.T, o Options, rows ...api) (*Server, string) {
	t.Helper()
	s := New(o)
	s.apis = newAPIs(append(served(), rows...))
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, addr.String()
}

// peer is a client that writes bytes as it likes.
type peer struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return newPeer(t, c)
}

func newPeer(t testing.TB, c net.Conn) *peer { return &peer{t, c, bufio.NewReader(c)} }

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) ask(correlation int32, req kmsg.Request) {
	p.t.Helper()
	p.send(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, correlation))
}

// answer reads one answer: its correlation id and the rest.
func (p *peer) answer() (int32, []byte) {
	p.t.Helper()
	b, err := p.frame()
	if err != nil || len(b) < 4 {
		p.t.Fatalf("an answer of %d bytes: %v", len(b), err)
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

func (p *peer) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(p.in, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(p.in, b)
	return b, err
}

// wantClosed expects the server to have ended the connection without a word.
func (p *peer) wantClosed() {
	p.t.Helper()
	if b, err := p.frame(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("got %d bytes and %v, want the connection closed", len(b), err)
	}
}

func versions(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "test", "1.0"
	return req
}

func TestApiVersionsIsAnsweredInEveryVersionWithAnOldHeader(t *testing.T) {
	s, addr := start(t, Options{})
	p := dial(t, addr)
	for v := int16(0); v <= 4; v++ {
		p.ask(int32(v)+7, versions(v))
		correlation, body := p.answer()
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = v
		if err := resp.ReadFrom(body); err != nil || correlation != int32(v)+7 || resp.ErrorCode != 0 {
			t.Fatalf("v%d: correlation %d, error %d, %v", v, correlation, resp.ErrorCode, err)
		}
		n := 0
		for _, k := range resp.ApiKeys {
			if a := s.apis[k.ApiKey]; a == nil || a.min != k.MinVersion || a.max != k.MaxVersion {
				t.Errorf("v%d: key %d as %d to %d is not what is served", v, k.ApiKey, k.MinVersion, k.MaxVersion)
			}
			n++
		}
		if n != len(served()) {
			t.Errorf("v%d: %d keys, want %d", v, n, len(served()))
		}
	}
}

// Clients of the future begin with their newest version, whose body nobody here
// can read, and go on with what the answer tells.
func TestAnUnknownVersionOfApiVersionsLearnsTheRange(t *testing.T) {
	_, addr := start(t, Options{})
	p := dial(t, addr)
	p.send(rawRequest(18, 99, 5, []byte("\x00\x04test\xff\xff\xff\xff\xff")))
	correlation, body := p.answer()
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	if correlation != 5 || resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 ||
		resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MaxVersion != 4 {
		t.Fatalf("got %d: %+v", correlation, resp)
	}
	p.ask(6, versions(4))
	if correlation, _ := p.answer(); correlation != 6 {
		t.Fatalf("the next answer has correlation %d", correlation)
	}
}

func TestNamesOfClientsAreHarmlessOrRefused(t *testing.T) {
	_, addr := start(t, Options{})
	p := dial(t, addr)
	for name, want := range map[string]int16{
		"apache-kafka-java": 0, "a": 0, "1.2.3": 0, "": 42, "-a": 42, "a.": 42, "a b": 42, "a\nb": 42, "é": 42,
		strings.Repeat("a", 5000): 42,
	} {
		req := versions(3)
		req.ClientSoftwareName = name
		p.ask(1, req)
		_, body := p.answer()
		if got := int16(binary.BigEndian.Uint16(body)); got != want {
			t.Errorf("%.20q: error %d, want %d", name, got, want)
		}
	}
}

// rawRequest is a frame with its length; body begins with the client's id.
func rawRequest(key, version int16, correlation int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(prefixSize+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	return append(b, body...)
}

func TestWhatIsNoRequestEndsTheConnection(t *testing.T) {
	s, addr := start(t, Options{})
	for name, b := range map[string][]byte{
		"length 0":                {0, 0, 0, 0},
		"length -1":               {0xff, 0xff, 0xff, 0xff},
		"length 2^31-1":           {0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0, 0, 0, 0, 1},
		"shorter than a header":   {0, 0, 0, 9, 0, 18, 0, 0, 0, 0, 0, 1, 0},
		"key -1":                  rawRequest(-1, 0, 1, []byte{0, 0}),
		"key 999":                 rawRequest(999, 0, 1, []byte{0, 0}),
		"a key between brokers":   rawRequest(4, 0, 1, []byte{0, 0}),
		"larger than its key may": append(binary.BigEndian.AppendUint32(nil, sizeSmall+20), rawRequest(18, 0, 1, nil)[4:]...),
		"client id -2":            rawRequest(18, 0, 1, []byte{0xff, 0xfe}),
		"client id cut off":       rawRequest(18, 0, 1, []byte{0, 9, 'a'}),
		"tags without end":        rawRequest(18, 3, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"a tag longer than all":   rawRequest(18, 3, 1, []byte{0xff, 0xff, 1, 0, 0xff, 0x01}),
		"a body cut off":          rawRequest(18, 3, 1, []byte{0xff, 0xff, 0, 5, 'a'}),
	} {
		t.Run(name, func(t *testing.T) {
			before := s.bad.Load() + s.dropped.Load()
			p := dial(t, addr)
			p.send(b)
			p.wantClosed()
			if after := s.bad.Load() + s.dropped.Load(); after != before+1 {
				t.Errorf("%d connections counted as cut off, want 1", after-before)
			}
		})
	}
	if !s.memory.take(s.limits.Memory, nil, time.Minute) {
		t.Errorf("%d bytes are still charged", s.limits.Memory-s.memory.left())
	}
}

// held is an API (Heartbeat's key) whose requests are answered by the test.
func held(requests chan *request) api {
	return api{key: 12, min: 0, max: 4, name: "Heartbeat", maxBytes: sizeSmall, handle: func(_ *Server, r *request) { requests <- r }}
}

func TestAnswersGoOutInTheOrderOfTheRequests(t *testing.T) {
	requests := make(chan *request, 10)
	_, addr := start(t, Options{}, held(requests))
	p := dial(t, addr)
	var list []*request
	for i := range int32(5) {
		p.ask(i, kmsg.NewPtrHeartbeatRequest())
		list = append(list, <-requests)
	}
	slices.Reverse(list)
	for _, r := range list[:2] {
		r.answer(kmsg.NewPtrHeartbeatResponse())
	}
	list[2].silence() // correlation 2 gets no answer
	list[3].answer(kmsg.NewPtrHeartbeatResponse())
	list[4].answer(kmsg.NewPtrHeartbeatResponse())
	for _, want := range []int32{0, 1, 3, 4} {
		if got, _ := p.answer(); got != want {
			t.Fatalf("got the answer to %d, want that to %d", got, want)
		}
	}
}

func TestAClientThatAsksWithoutEndIsNotReadFurther(t *testing.T) {
	requests := make(chan *request, 10)
	_, addr := start(t, Options{Limits: Limits{InFlight: 3}}, held(requests))
	p := dial(t, addr)
	for i := range int32(4) {
		p.ask(i, kmsg.NewPtrHeartbeatRequest())
	}
	first := <-requests
	second, third := <-requests, <-requests
	for _, r := range []*request{second, third} {
		r.answer(kmsg.NewPtrHeartbeatResponse()) // their turn has not come
	}
	select {
	case <-requests:
		t.Fatal("a fourth request was read while three were not answered")
	default:
	}
	first.answer(kmsg.NewPtrHeartbeatResponse())
	(<-requests).answer(kmsg.NewPtrHeartbeatResponse())
	for want := range int32(4) {
		if got, _ := p.answer(); got != want {
			t.Fatalf("got the answer to %d, want that to %d", got, want)
		}
	}
}

// An answer that nobody reads stays in memory, so a client that does not read
// is not read either.
func TestAClientThatDoesNotReadIsNotReadFurther(t *testing.T) {
	requests := make(chan *request, 100)
	s, addr := start(t, Options{Limits: Limits{Unread: 1 << 20}}, held(requests))
	p := dial(t, addr)
	go func() {
		for i := range int32(100) {
			p.ask(i, kmsg.NewPtrHeartbeatRequest())
		}
	}()
	first := <-requests
	big := kmsg.NewPtrApiVersionsResponse()
	big.ApiKeys = make([]kmsg.ApiVersionsResponseApiKey, 100_000)
	answers := 0
	for range 2 {
		(<-requests).answer(big)
		answers++
	}
	s.mu.Lock()
	var c *conn
	for c = range s.conns {
	}
	s.mu.Unlock()
	c.mu.Lock()
	waits := c.unread >= s.limits.Unread
	c.mu.Unlock()
	if !waits {
		t.Fatalf("%d unread bytes do not stop the reader", c.unread)
	}
	first.answer(big)
	for want := range int32(100) {
		if want > 2 {
			(<-requests).answer(kmsg.NewPtrHeartbeatResponse())
		}
		if got, _ := p.answer(); got != want {
			t.Fatalf("got the answer to %d, want that to %d", got, want)
		}
	}
}

func TestAHandlerThatPanicsCostsItsConnectionOnly(t *testing.T) {
	for _, waits := range []bool{false, true} {
		s, addr := start(t, Options{}, api{key: 12, max: 4, name: "Heartbeat", maxBytes: sizeSmall, waits: waits,
			handle: func(*Server, *request) { panic("on purpose") }})
		p, other := dial(t, addr), dial(t, addr)
		p.ask(1, kmsg.NewPtrHeartbeatRequest())
		p.wantClosed()
		other.ask(2, versions(0))
		if got, _ := other.answer(); got != 2 {
			t.Fatalf("got the answer to %d", got)
		}
		if n := s.Figures().Panics; n != 1 || !s.memory.take(s.limits.Memory, nil, time.Minute) {
			t.Errorf("%d panics are counted, %d bytes are still charged", n, s.limits.Memory-s.memory.left())
		}
	}
}

func TestAStoppingServerAnswersWhatItHasRead(t *testing.T) {
	requests := make(chan *request, 1)
	s, addr := start(t, Options{}, held(requests))
	p := dial(t, addr)
	p.ask(3, kmsg.NewPtrHeartbeatRequest())
	r := <-requests
	done := make(chan error)
	go func() { done <- s.Close(t.Context()) }()
	<-s.stopping
	r.answer(kmsg.NewPtrHeartbeatResponse())
	if got, _ := p.answer(); got != 3 {
		t.Fatalf("got the answer to %d", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.wantClosed()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the stopped server takes connections")
	}
}

func TestConnectionsAboveTheLimitAreRefused(t *testing.T) {
	s, addr := start(t, Options{Limits: Limits{Connections: 2}})
	for range 2 {
		p := dial(t, addr)
		p.ask(1, versions(0))
		p.answer()
	}
	dial(t, addr).wantClosed()
	if n := s.refused.Load(); n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
}

func TestOneAddressMayNotOpenConnectionsWithoutEnd(t *testing.T) {
	r := rates{perSecond: 20, burst: 100, buckets: map[string]*bucket{}}
	now := time.Unix(0, 0)
	allowed := 0
	for range 200 {
		if r.allow("192.0.2.1", now) {
			allowed++
		}
	}
	if allowed != 100 || !r.allow("192.0.2.2", now) {
		t.Fatalf("%d at once, want 100, and others unharmed", allowed)
	}
	now = now.Add(time.Second)
	for range 200 {
		if r.allow("192.0.2.1", now) {
			allowed++
		}
	}
	if allowed != 120 {
		t.Fatalf("%d after a second, want 120", allowed)
	}
}

func TestSlowFramesEndTheConnection(t *testing.T) {
	_, addr := start(t, Options{Limits: Limits{Frame: 50 * time.Millisecond}})
	p := dial(t, addr)
	p.send(rawRequest(18, 0, 1, []byte{0, 0})[:9])
	p.wantClosed()
}

// The length of a frame is a claim: memory is taken for what has arrived.
func TestAFrameTakesMemoryOnlyForWhatHasArrived(t *testing.T) {
	var charged []int64
	in := io.MultiReader(io.LimitReader(zeros{}, 100_000), eof{})
	_, err := readBody(in, 50<<20, 0, true, func(n int64) error { charged = append(charged, n); return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) || !slices.Equal(charged, []int64{64 << 10, 192 << 10}) {
		t.Fatalf("%v after charges of %v", err, charged)
	}
	refuse := errors.New("no memory")
	if _, err := readBody(zeros{}, 50<<20, 0, true, func(int64) error { return refuse }); !errors.Is(err, refuse) {
		t.Fatalf("got %v, want %v", err, refuse)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func TestMemoryIsGivenInOrderAndTakenBackByWhoGivesUp(t *testing.T) {
	b := newBudget(10)
	if !b.take(8, nil, 0) || b.tryTake(3) {
		t.Fatal("8 of 10 taken, 3 more must not be there")
	}
	if b.take(5, nil, time.Millisecond) {
		t.Fatal("5 of 2 were given")
	}
	quit := make(chan struct{})
	close(quit)
	if b.take(5, quit, time.Hour) {
		t.Fatal("given to one who went away")
	}
	if !b.tryTake(2) {
		t.Fatal("who gave up stands in the way")
	}
	b.put(10)
	if !b.tryTake(10) {
		t.Fatal("what was given back is gone")
	}
}
