package group

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The scenarios in testdata are what a coordinator promises: each line that
// begins with > is an input, and the lines below it are all that follows from
// it: answers, records for the log, and when the coordinator wants to be woken.
//
//	> at 3s                      time passes; every timer on the way is due
//	> NAME API VERSION {json}    a request of the client NAME
//	> marker PRODUCER commit     a transaction ends
//	> topic NAME PARTITIONS      the topic exists; 0 partitions: no longer
//	> set GROUP NAME VALUE       a config of a group
//	> reload                     the coordinator reads its log anew
//
// UPDATE=1 writes the outputs anew; read the difference before you keep it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScenario(t).play(string(want))
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s tells another story:\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			from := max(0, i-3)
			return fmt.Sprintf("got\n%s\nwant\n%s", strings.Join(g[from:min(i+6, len(g))], "\n"), strings.Join(w[min(from, len(w)):min(i+6, len(w))], "\n"))
		}
	}
	return "the wanted story goes on"
}

// fakeWorld is a world that a scenario makes.
type fakeWorld struct {
	topics  map[string]Topic
	configs map[string]string
}

func (w *fakeWorld) Topic(name string) (Topic, bool) {
	t, ok := w.topics[name]
	return t, ok
}

func (w *fakeWorld) TopicByID(id TopicID) (Topic, bool) {
	for _, t := range w.topics {
		if t.ID == id {
			return t, true
		}
	}
	return Topic{}, false
}

func (w *fakeWorld) Topics() iter.Seq[Topic] {
	return func(yield func(Topic) bool) {
		for _, t := range w.topics {
			if !yield(t) {
				return
			}
		}
	}
}

func (w *fakeWorld) GroupConfig(group, name string) (string, bool) {
	v, ok := w.configs[group+"/"+name]
	return v, ok
}

func (w *fakeWorld) clone() *fakeWorld {
	c := &fakeWorld{map[string]Topic{}, map[string]string{}}
	for k, v := range w.topics {
		c.topics[k] = v
	}
	for k, v := range w.configs {
		c.configs[k] = v
	}
	return c
}

type logged struct {
	Record
	producer int64 // -1: none
	marker   *Marker
}

type scenario struct {
	t     *testing.T
	state *State
	world *fakeWorld
	now   int64
	log   []logged
	names map[*Request]string
	ids   int
	out   strings.Builder
}

func newScenario(t *testing.T) *scenario {
	s := &scenario{t: t, world: (&fakeWorld{}).clone(), names: map[*Request]string{}}
	for i, name := range []string{"a", "b"} {
		s.world.topics[name] = Topic{Name: name, ID: TopicID{15: byte(i + 1)}, Partitions: 4}
	}
	s.fresh()
	return s
}

func (s *scenario) fresh() {
	config := Defaults()
	config.MaxSize, config.ConsumerMaxSize, config.ShareMaxSize = 4, 4, 4
	s.state = NewState(config, s.world, func() string {
		s.ids++
		return fmt.Sprintf("id%d", s.ids)
	})
}

func (s *scenario) play(text string) string {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, ">"):
			s.out.WriteString(line + "\n")
			s.command(strings.TrimSpace(line[1:]))
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
			s.out.WriteString(line + "\n")
		}
	}
	return s.out.String()
}

func (s *scenario) command(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "at":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.until(d.Milliseconds())
	case "marker":
		m := Marker{int64(s.number(words[1])), words[2] == "commit"}
		s.log = append(s.log, logged{marker: &m})
		s.show(s.state.Step(s.now, m))
	case "topic":
		s.world = s.world.clone()
		n := s.number(words[2])
		if n == 0 {
			delete(s.world.topics, words[1])
		} else {
			old, ok := s.world.topics[words[1]]
			if !ok {
				s.ids++
				old = Topic{Name: words[1], ID: TopicID{14: 1, 15: byte(s.ids)}}
			}
			old.Partitions = int32(n)
			s.world.topics[words[1]] = old
		}
		s.show(s.state.Step(s.now, World(s.world)))
	case "set":
		s.world = s.world.clone()
		s.world.configs[words[1]+"/"+words[2]] = words[3]
		s.show(s.state.Step(s.now, World(s.world)))
	case "reload":
		s.reload()
	default:
		s.request(words[0], words[1], int16(s.number(words[2])), strings.Join(words[3:], " "))
	}
}

func (s *scenario) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// until lets time pass, timer by timer.
func (s *scenario) until(end int64) {
	for {
		at, wanted := s.state.Next()
		if !wanted || at > end {
			break
		}
		s.now = max(at, s.now)
		out := s.state.Step(s.now, Tick{})
		if len(out.Answers)+len(out.Records) > 0 {
			fmt.Fprintf(&s.out, "  at %v\n", time.Duration(s.now)*time.Millisecond)
			s.show(out)
		}
	}
	s.now = end
}

func (s *scenario) reload() {
	s.fresh()
	for _, l := range s.log {
		if l.marker != nil {
			s.state.ReplayMarker(*l.marker)
			continue
		}
		if err := s.state.Replay(l.Key, l.Value, l.producer); err != nil {
			s.t.Fatal(err)
		}
	}
	s.state.Loaded(s.now)
}

func (s *scenario) request(name, api string, version int16, body string) {
	s.t.Helper()
	req := requestNamed(api)
	if req == nil {
		s.t.Fatalf("no API is called %q", api)
	}
	req.SetVersion(version)
	var fields any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	if err := fill(reflect.ValueOf(req).Elem(), fields); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	// What a client can send and a broker reads is what counts.
	again := requestNamed(api)
	again.SetVersion(version)
	if err := again.ReadFrom(req.AppendTo(nil)); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	r := &Request{Client: Client{ID: name, Host: "/10.0.0.1"}, Body: again}
	s.names[r] = name
	s.show(s.state.Step(s.now, r))
}

func requestNamed(api string) kmsg.Request {
	for key := range kmsg.MaxKey + 1 {
		if r := kmsg.RequestForKey(int16(key)); r != nil && kmsg.NameForKey(int16(key)) == api {
			reflect.ValueOf(r).MethodByName("Default").Call(nil)
			return r
		}
	}
	return nil
}

// fill sets the fields that v names.
func fill(to reflect.Value, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			f := to.FieldByName(name)
			if !f.IsValid() {
				return fmt.Errorf("%v has no field %s", to.Type(), name)
			}
			if err := fill(f, field); err != nil {
				return err
			}
		}
	case []any:
		list := reflect.MakeSlice(to.Type(), len(v), len(v))
		for i, e := range v {
			if d := list.Index(i).Addr().MethodByName("Default"); d.IsValid() {
				d.Call(nil)
			}
			if err := fill(list.Index(i), e); err != nil {
				return err
			}
		}
		to.Set(list)
	case string:
		return fillString(to, v)
	case float64:
		to.SetInt(int64(v))
	case bool:
		to.SetBool(v)
	}
	return nil
}

func fillString(to reflect.Value, v string) error {
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		to.Elem().SetString(v)
	case reflect.Slice:
		b, err := bytesOf(v)
		if err != nil {
			return err
		}
		to.SetBytes(b)
	case reflect.Array: // a topic id, by its last bytes
		raw, err := hex.DecodeString(v)
		if err != nil {
			return err
		}
		reflect.Copy(to.Slice(16-len(raw), 16), reflect.ValueOf(raw))
	default:
		to.SetString(v)
	}
	return nil
}

// bytesOf is v, or what consumers say of their subscription: "topics:a,b".
func bytesOf(v string) ([]byte, error) {
	if list, ok := strings.CutPrefix(v, "topics:"); ok {
		meta := kmsg.NewConsumerMemberMetadata()
		meta.Version = 1
		meta.Topics = strings.Split(list, ",")
		return meta.AppendTo(nil), nil
	}
	if list, ok := strings.CutPrefix(v, "assigned:"); ok {
		a := kmsg.NewConsumerMemberAssignment()
		for part := range strings.SplitSeq(list, ",") {
			topic, number, _ := strings.Cut(part, "-")
			p, err := strconv.Atoi(number)
			if err != nil {
				return nil, err
			}
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: topic, Partitions: []int32{int32(p)}})
		}
		return a.AppendTo(nil), nil
	}
	return []byte(v), nil
}

func (s *scenario) show(out Output) {
	for _, r := range out.Records {
		producer, of := int64(-1), ""
		if out.Txn != nil {
			producer = out.Txn.Producer
			of = fmt.Sprintf(" of producer %d/%d", out.Txn.Producer, out.Txn.Epoch)
		}
		s.log = append(s.log, logged{Record: r, producer: producer})
		fmt.Fprintf(&s.out, "  log%s %s\n", of, recordText(r))
		if out.Txn != nil {
			if err := s.state.Replay(r.Key, r.Value, producer); err != nil {
				s.t.Error(err)
			}
		}
	}
	for _, a := range out.Answers {
		resp := a.Response
		// It must survive the wire in the version that was asked.
		wire := resp.AppendTo(nil)
		again := a.Request.Body.ResponseKind()
		if err := again.ReadFrom(wire); err != nil {
			s.t.Errorf("answer %T: %v", resp, err)
		}
		fmt.Fprintf(&s.out, "  %s <- %s\n", s.names[a.Request], text(reflect.ValueOf(resp).Elem()))
	}
}

func recordText(r Record) string {
	switch version := int(r.Key[0])<<8 | int(r.Key[1]); version {
	case offsetKeyVersion:
		var k kmsg.OffsetCommitKey
		var v kmsg.OffsetCommitValue
		if k.ReadFrom(r.Key) != nil || r.Value != nil && v.ReadFrom(r.Value) != nil {
			return "unreadable"
		}
		if r.Value == nil {
			return fmt.Sprintf("offset %s %s-%d gone", k.Group, k.Topic, k.Partition)
		}
		return fmt.Sprintf("offset %s %s-%d %s", k.Group, k.Topic, k.Partition, text(reflect.ValueOf(v)))
	case groupKeyVersion:
		var k kmsg.GroupMetadataKey
		var v kmsg.GroupMetadataValue
		if k.ReadFrom(r.Key) != nil || r.Value != nil && v.ReadFrom(r.Value) != nil {
			return "unreadable"
		}
		if r.Value == nil {
			return fmt.Sprintf("group %s gone", k.Group)
		}
		return fmt.Sprintf("group %s %s", k.Group, text(reflect.ValueOf(v)))
	default:
		name := strings.Map(func(c rune) rune {
			if c < ' ' {
				return ' '
			}
			return c
		}, string(r.Key[2:]))
		if r.Value == nil {
			return fmt.Sprintf("%d%s gone", version, name)
		}
		return fmt.Sprintf("%d%s %s", version, name, r.Value[2:])
	}
}

// text is a value in short: fields that are zero are left out.
func text(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return text(v.Elem())
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			if name == "Version" || name == "UnknownTags" || f.IsZero() {
				continue
			}
			if t := text(f); t != "" {
				parts = append(parts, name+"="+t)
			}
		}
		return "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytesText(v.Bytes())
		}
		var parts []string
		for i := range v.Len() {
			parts = append(parts, text(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.Array:
		return strings.TrimLeft(fmt.Sprintf("%x", v.Interface()), "0")
	case reflect.String:
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

func bytesText(b []byte) string {
	if slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' }) {
		var meta kmsg.ConsumerMemberMetadata
		if b[1] == 1 && meta.ReadFrom(b) == nil && len(meta.Topics) > 0 {
			return "topics:" + strings.Join(meta.Topics, ",")
		}
		var a kmsg.ConsumerMemberAssignment
		if a.ReadFrom(b) == nil {
			var parts []string
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					parts = append(parts, fmt.Sprintf("%s-%d", t.Topic, p))
				}
			}
			return "assigned:" + strings.Join(parts, ",")
		}
		return hex.EncodeToString(b)
	}
	return string(b)
}
