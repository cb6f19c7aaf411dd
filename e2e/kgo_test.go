package e2e

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// suite is the test binary of franz-go's client, built once from the module cache.
var suite struct {
	once   sync.Once
	path   string
	source string // the folder of the package
	err    error
}

const suitePackage = "github.com/twmb/franz-go/pkg/kgo"

func kgoSuite(t *testing.T) string {
	t.Helper()
	suite.once.Do(func() {
		suite.path = filepath.Join(filepath.Dir(binary), "kgo.test")
		build := exec.Command("go", "test", "-c", "-o", suite.path, suitePackage)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			suite.err = fmt.Errorf("build %s: %w\n%s", suitePackage, err, out)
			return
		}
		dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", suitePackage).Output()
		suite.source, suite.err = strings.TrimSpace(string(dir)), err
	})
	if suite.err != nil {
		t.Fatal(suite.err)
	}
	return suite.path
}

// suiteVerdict is how a run of the suite ended, test by test.
type suiteVerdict struct {
	passed, failed, skipped []string
	output                  string
	err                     error
}

var suiteLine = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// runSuite runs tests of the suite against a broker; pattern "" is all.
func runSuite(t *testing.T, addr, pattern string, records int, limit time.Duration, env ...string) suiteVerdict {
	t.Helper()
	path := kgoSuite(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit+30*time.Second)
	defer cancel()
	args := []string{"-test.v", "-test.timeout", limit.String()}
	if pattern != "" {
		args = append(args, "-test.run", pattern)
	}
	c := exec.CommandContext(ctx, path, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Dir = suite.source // some of the tests read it
	c.Env = append(append(os.Environ(), "KGO_SEEDS="+addr, "KGO_TEST_RF=1", "KGO_TEST_MAX_TOPIC_PARTS=11", "KGO_LOG_LEVEL="+cmp.Or(os.Getenv("KGO_LOG_LEVEL"), "none"),
		fmt.Sprintf("KGO_TEST_RECORDS=%d", records)), env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	v := suiteVerdict{err: c.Run()}
	v.output = out.String()
	for _, m := range suiteLine.FindAllStringSubmatch(v.output, -1) {
		switch m[1] {
		case "PASS":
			v.passed = append(v.passed, m[2])
		case "FAIL":
			v.failed = append(v.failed, m[2])
		case "SKIP":
			v.skipped = append(v.skipped, m[2])
		}
	}
	if dir := os.Getenv("SLUICE_KEEP"); dir != "" {
		if f, err := os.CreateTemp("", strings.ReplaceAll(t.Name(), "/", "-")+"-*.log"); err == nil {
			f.Write(out.Bytes())
			f.Close()
			t.Logf("output of the suite: %s", f.Name())
		}
	}
	return v
}

// lastOf are the last lines of the output of a suite.
func (v suiteVerdict) lastOf(n int) string {
	lines := strings.Split(strings.TrimSpace(v.output), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// withoutAuthentication are the tests of franz-go that skip themselves unless
// they are told of a broker with users.
var withoutAuthentication = []string{"TestSCRAMAuth", "TestSCRAMAuthBadCredentials"}

// shareFetch is the API without which a broker has no share groups.
const shareFetch = 78

// serves says whether the node says that it serves an API.
func (k *kafkaNode) serves(key int16) bool {
	k.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		k.t.Fatal(err)
	}
	defer client.Close()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(k.t.Context(), client)
	if err != nil {
		k.t.Fatalf("which APIs are served: %v", err)
	}
	return slices.ContainsFunc(resp.ApiKeys, func(a kmsg.ApiVersionsResponseApiKey) bool { return a.ApiKey == key })
}

// All tests that franz-go has of its client, with a node in the place of Kafka.
// They are nobody's we know, and none is left out.
func TestFranzGosOwnTestsPass(t *testing.T) {
	k := newKafkaNode(t, "--auto-create-topics")
	from := time.Now()
	v := runSuite(t, k.addr, "", times(10_000, 30_000, 500_000), time.Duration(times(10, 10, 60))*time.Minute)
	t.Logf("%d passed, %d failed, %d skipped in %v", len(v.passed), len(v.failed), len(v.skipped), time.Since(from).Round(time.Second))
	shares := k.serves(shareFetch)
	for _, name := range v.skipped {
		switch {
		case slices.Contains(withoutAuthentication, name):
			t.Logf("skipped: %s: there is no authentication yet", name)
		case strings.Contains(name, "Share") && !shares:
			t.Logf("skipped: %s: share groups are not served yet", name)
		default:
			t.Errorf("skipped itself: %s", name)
		}
	}
	if len(v.failed) > 0 || v.err != nil {
		t.Errorf("failed: %s (%v)\n%s\n%s", strings.Join(v.failed, " "), v.err, v.lastOf(80), k.messages())
	}
	if len(v.passed) < 100 {
		t.Errorf("only %d tests ran", len(v.passed))
	}
	k.stop()
}
