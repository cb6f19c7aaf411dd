package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
)

// FlumePort is Flume's default for flume.monitoring.port.
const FlumePort = 41414

// FlumeMonitor serves the counters of agents under Flume's names, for the
// scrapers that already read them.
type FlumeMonitor struct {
	server *http.Server
	Addr   net.Addr
}

// ListenFlume serves status on addr the way flume.monitoring.type=typ does:
// http (JSON) or prometheus.
func ListenFlume(addr, typ string, status func() Status, log *slog.Logger) (*FlumeMonitor, error) {
	h, err := FlumeHandler(typ, status)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("flume.monitoring.port: %w", err)
	}
	m := &FlumeMonitor{Addr: l.Addr(), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("flume monitoring ended", "addr", addr, "err", err)
		}
	}()
	return m, nil
}

// Close ends the listener.
func (m *FlumeMonitor) Close(ctx context.Context) error { return m.server.Shutdown(ctx) }

// FlumeHandler is Flume's monitoring of type typ without a listener.
func FlumeHandler(typ string, status func() Status) (http.Handler, error) {
	write := map[string]func(io.Writer, Status) error{"http": writeFlumeJSON, "prometheus": writeFlumePrometheus}[typ]
	if write == nil {
		return nil, fmt.Errorf("flume.monitoring.type=%s: sluice has http and prometheus; "+
			"its own metrics are at /metrics of --http", typ)
	}
	kind := map[string]string{"http": "application/json;charset=utf-8", "prometheus": "text/plain; version=0.0.4; charset=utf-8"}[typ]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodTrace || r.Method == http.MethodOptions:
			http.Error(w, r.Method+" is forbidden", http.StatusForbidden)
		case r.URL.Path == "/metrics":
			w.Header().Set("Content-Type", kind)
			write(w, status())
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html;charset=utf-8")
			io.WriteString(w, "<html><body>The counters are at <a href=\"/metrics\">/metrics</a>.</body></html>\n")
		default:
			http.NotFound(w, r)
		}
	}), nil
}

func writeFlumeJSON(w io.Writer, st Status) error {
	all := map[string]map[string]string{}
	for _, a := range st.Agents {
		for _, c := range flumeComponents(a) {
			values := map[string]string{"Type": c.category}
			for _, n := range c.counts {
				values[n.name] = n.text
			}
			all[c.category+"."+c.name] = values
		}
	}
	return json.NewEncoder(w).Encode(all)
}

// Flume's MBeans have a setter for these and only these: its exporter calls
// them gauges, all others counters.
var flumeGauges = []string{"OpenConnectionCount", "ChannelSize", "ChannelCapacity"}

func writeFlumePrometheus(w io.Writer, st Status) error {
	type sample struct{ component, text string }
	var names []string
	samples := map[string][]sample{}
	for _, a := range st.Agents {
		for _, c := range flumeComponents(a) {
			for _, n := range c.counts {
				if _, err := strconv.ParseFloat(n.text, 64); err != nil {
					continue // "Open" is a word
				}
				if samples[n.name] == nil {
					names = append(names, n.name)
				}
				samples[n.name] = append(samples[n.name], sample{c.name, n.text})
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		typ := "counter"
		if slices.Contains(flumeGauges, name) {
			typ = "gauge"
		}
		if _, err := fmt.Fprintf(w, "# HELP Flume_%s %s\n# TYPE Flume_%s %s\n", name, name, name, typ); err != nil {
			return err
		}
		for _, s := range samples[name] {
			if _, err := fmt.Fprintf(w, "Flume_%s{component=%q,} %s\n", name, s.component, s.text); err != nil {
				return err
			}
		}
	}
	return nil
}

// flumeComponent is a source, channel or sink as Flume counts it.
type flumeComponent struct {
	category, name string
	counts         []flumeCount
}

type flumeCount struct{ name, text string }

func flumeComponents(a agent.Status) []flumeComponent {
	var out []flumeComponent
	for _, s := range a.Sources {
		n := s.Counts
		out = append(out, flumeComponent{"SOURCE", s.Name, append(lifetime(s.Part),
			number("EventReceivedCount", n.EventReceived),
			number("EventAcceptedCount", n.EventAccepted),
			number("AppendReceivedCount", n.AppendReceived),
			number("AppendAcceptedCount", n.AppendAccepted),
			number("AppendBatchReceivedCount", n.AppendBatchReceived),
			number("AppendBatchAcceptedCount", n.AppendBatchAccepted),
			number("OpenConnectionCount", n.OpenConnections),
			number("EventReadFail", n.EventReadFail),
			number("ChannelWriteFail", n.ChannelWriteFail),
			number("GenericProcessingFail", n.GenericProcessingFail))})
	}
	for _, c := range a.Channels {
		out = append(out, flumeComponent{"CHANNEL", c.Name, channelCounts(c)})
	}
	for _, k := range a.Sinks {
		n := k.Counts
		out = append(out, flumeComponent{"SINK", k.Name, append(lifetime(k.Part),
			number("ConnectionCreatedCount", n.ConnectionCreated),
			number("ConnectionClosedCount", n.ConnectionClosed),
			number("ConnectionFailedCount", n.ConnectionFailed),
			number("BatchEmptyCount", n.BatchEmpty),
			number("BatchUnderflowCount", n.BatchUnderflow),
			number("BatchCompleteCount", n.BatchComplete),
			number("EventDrainAttemptCount", n.EventDrainAttempt),
			number("EventDrainSuccessCount", n.EventDrainSuccess),
			number("EventWriteFail", n.EventWriteFail),
			number("ChannelReadFail", n.ChannelReadFail))})
	}
	return out
}

func channelCounts(c agent.ChannelStatus) []flumeCount {
	// What Java prints for the largest double: Flume's answer where there is no
	// capacity to fill.
	fill := "1.7976931348623157E308"
	if c.Capacity > 0 {
		fill = javaDouble(float64(c.Size) / float64(c.Capacity) * 100)
	}
	counts := append(lifetime(c.Part),
		number("ChannelSize", c.Size),
		number("ChannelCapacity", c.Capacity),
		flumeCount{"ChannelFillPercentage", fill},
		number("EventPutAttemptCount", c.PutAttempt),
		number("EventPutSuccessCount", c.PutSuccess),
		number("EventTakeAttemptCount", c.TakeAttempt),
		number("EventTakeSuccessCount", c.TakeSuccess))
	if c.Kind != "file" {
		return counts
	}
	open, closed, unhealthy := "true", int64(0), int64(0)
	switch c.State {
	case agent.Stopped, agent.Starting, agent.Stopping:
		open, closed = "false", 1
	case agent.Failed, agent.Backoff:
		unhealthy = 1
	}
	return append(counts,
		flumeCount{"Open", open},
		number("Closed", closed),
		number("Unhealthy", unhealthy),
		number("EventPutErrorCount", c.PutError),
		number("EventTakeErrorCount", c.TakeError),
		// The store writes no checkpoints: these cannot fail.
		number("CheckpointWriteErrorCount", 0),
		number("CheckpointBackupWriteErrorCount", 0))
}

func lifetime(p agent.Part) []flumeCount {
	stop := int64(0)
	if !p.Stopped.IsZero() {
		stop = p.Stopped.UnixMilli()
	}
	start := int64(0)
	if !p.Started.IsZero() {
		start = p.Started.UnixMilli()
	}
	return []flumeCount{number("StartTime", start), number("StopTime", stop)}
}

func number(name string, n int64) flumeCount {
	return flumeCount{name, strconv.FormatInt(n, 10)}
}

// javaDouble writes f as Java's Double.toString does for values from 0 to 100:
// always with a decimal point, in scientific form below a thousandth.
func javaDouble(f float64) string {
	if f != 0 && f < 1e-3 {
		mantissa, exponent := cutExponent(strconv.FormatFloat(f, 'e', -1, 64))
		return withPoint(mantissa) + "E" + exponent
	}
	return withPoint(strconv.FormatFloat(f, 'f', -1, 64))
}

func withPoint(digits string) string {
	for _, r := range digits {
		if r == '.' {
			return digits
		}
	}
	return digits + ".0"
}

// cutExponent parts "1.5e-05" into "1.5" and "-5".
func cutExponent(s string) (mantissa, exponent string) {
	i := slices.Index([]byte(s), 'e')
	n, _ := strconv.Atoi(s[i+1:])
	return s[:i], strconv.Itoa(n)
}
