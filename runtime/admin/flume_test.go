package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
)

func flume(t *testing.T, typ, method, path string, n *node) *http.Response {
	t.Helper()
	h, err := admin.FlumeHandler(typ, n.Status)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Result()
}

func TestFlumesJSONHasFlumesKeysAndOnlyStrings(t *testing.T) {
	res := flume(t, "http", "GET", "/metrics", healthy())
	if kind := res.Header.Get("Content-Type"); kind != "application/json;charset=utf-8" {
		t.Errorf("Content-Type: got %q", kind)
	}
	var got map[string]map[string]string // fails on anything but strings
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	always := "Type StartTime StopTime "
	for component, keys := range map[string]string{
		"SOURCE.r1": always + "EventReceivedCount EventAcceptedCount AppendReceivedCount AppendAcceptedCount " +
			"AppendBatchReceivedCount AppendBatchAcceptedCount OpenConnectionCount EventReadFail ChannelWriteFail GenericProcessingFail",
		"CHANNEL.c1": always + "ChannelSize ChannelCapacity ChannelFillPercentage EventPutAttemptCount EventPutSuccessCount " +
			"EventTakeAttemptCount EventTakeSuccessCount Open Closed Unhealthy EventPutErrorCount EventTakeErrorCount " +
			"CheckpointWriteErrorCount CheckpointBackupWriteErrorCount",
		"CHANNEL.c2": always + "ChannelSize ChannelCapacity ChannelFillPercentage EventPutAttemptCount EventPutSuccessCount " +
			"EventTakeAttemptCount EventTakeSuccessCount",
		"SINK.k1": always + "ConnectionCreatedCount ConnectionClosedCount ConnectionFailedCount BatchEmptyCount " +
			"BatchUnderflowCount BatchCompleteCount EventDrainAttemptCount EventDrainSuccessCount EventWriteFail ChannelReadFail",
	} {
		var have []string
		for k := range got[component] {
			have = append(have, k)
		}
		want := strings.Fields(keys)
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s: got keys %v, want %v", component, have, want)
		}
	}
	for _, c := range [][3]string{
		{"SOURCE.r1", "Type", "SOURCE"}, {"SOURCE.r1", "EventReceivedCount", "10"},
		{"SOURCE.r1", "StartTime", "1764000000000"}, {"SOURCE.r1", "StopTime", "0"},
		{"CHANNEL.c1", "ChannelFillPercentage", "33.33333333333333"}, {"CHANNEL.c1", "Open", "true"},
		{"CHANNEL.c2", "ChannelFillPercentage", "1.7976931348623157E308"},
	} {
		if got := got[c[0]][c[1]]; got != c[2] {
			t.Errorf("%s %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestAFillIsWrittenAsJavaWritesDoubles(t *testing.T) {
	for _, c := range []struct {
		size, capacity int64
		want           string
	}{
		{0, 100, "0.0"}, {1, 100, "1.0"}, {100, 100, "100.0"}, {1, 1000, "0.1"},
		{1, 1000000, "9.999999999999999E-5"}, {15, 10000000, "1.5000000000000001E-4"}, {1, 100000, "0.001"},
	} {
		n := healthy()
		n.st.Agents[0].Channels[0].Size, n.st.Agents[0].Channels[0].Capacity = c.size, c.capacity
		text, _ := io.ReadAll(flume(t, "http", "GET", "/metrics", n).Body)
		if want := `"ChannelFillPercentage":"` + c.want + `"`; !strings.Contains(string(text), want) {
			t.Errorf("%d of %d: no %s in %s", c.size, c.capacity, want, text)
		}
	}
}

func TestAFileChannelThatFailsIsUnhealthy(t *testing.T) {
	n := healthy()
	n.st.Agents[0].Channels[0].State = agent.Backoff
	text, _ := io.ReadAll(flume(t, "http", "GET", "/metrics", n).Body)
	if !strings.Contains(string(text), `"Unhealthy":"1"`) {
		t.Errorf(`no "Unhealthy":"1" in %s`, text)
	}
}

func TestFlumesMonitoringAnswersAsFlumeDoes(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/metrics", 200}, {"GET", "/", 200}, {"GET", "/other", 404},
		{"TRACE", "/metrics", 403}, {"OPTIONS", "/metrics", 403},
	} {
		if got := flume(t, "http", c.method, c.path, healthy()).StatusCode; got != c.want {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

func TestFlumesPrometheusTypeTellsGaugesFromCountersByJavasSetters(t *testing.T) {
	text, _ := io.ReadAll(flume(t, "prometheus", "GET", "/metrics", healthy()).Body)
	for _, want := range []string{
		"# TYPE Flume_EventReceivedCount counter\n",
		`Flume_EventReceivedCount{component="r1",} 10`,
		"# TYPE Flume_ChannelSize gauge\n",
		"# TYPE Flume_OpenConnectionCount gauge\n",
		`Flume_ChannelSize{component="c1",} 1`,
		`Flume_EventDrainSuccessCount{component="k1",} 8`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "Flume_Open{") || strings.Contains(string(text), "Flume_Type") {
		t.Errorf("words among the numbers:\n%s", text)
	}
}

func TestAnUnknownMonitoringTypeIsRefused(t *testing.T) {
	if _, err := admin.FlumeHandler("ganglia", healthy().Status); err == nil || !strings.Contains(err.Error(), "ganglia") {
		t.Errorf("got %v, want an error that names ganglia", err)
	}
}
