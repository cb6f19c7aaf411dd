package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// client is a Kafka client that the tests in this package run against a node.
type client struct {
	name, version string
	runs          string
	test          string // its tests begin so
	jar           string // below $SLUICE_JAVA
}

// testedClients are those that have been seen to pass.
var testedClients = []client{
	{
		name: "franz-go", version: "1.22.2", test: "TestFranzGosOwnTestsPass",
		runs: "all tests of its own `pkg/kgo` but the two of SCRAM; its chains of groups and of transactions while the node is killed with `-9`",
	},
	{
		name: "kcat with librdkafka", version: "1.7.1 with 2.0.2", test: "TestKcat",
		runs: "every compression, headers, offsets by number, tail and time, idempotence, transactions, large messages, groups with each assignor",
	},
	{
		name: "Java `kafka-clients`", version: "4.1.1", test: "TestJavaApplicationsRun", jar: "tools/kafka-clients-4.1.1.jar",
		runs: "administration, every compression, groups, consume-transform-produce in transactions with aborts, fencing",
	},
	{
		name: "Java `kafka-clients`", version: "2.8.2", test: "TestJavaApplicationsRun", jar: "old/kafka-clients-2.8.2.jar",
		runs: "the same program",
	},
	{
		name: "Kafka's tools", version: "4.1.1", test: "TestJava", jar: "tools/kafka-tools-4.1.1.jar",
		runs: "`kafka-topics`, `-configs`, `-console-producer`, `-console-consumer`, `-consumer-groups` (both protocols), `-groups`, `-get-offsets`, " +
			"`-delete-records`, `-log-dirs`, `-leader-election`, `-reassign-partitions --list`, `-features`, `-cluster`, `-broker-api-versions`, `-transactions`, " +
			"`-producer-perf-test`, `-consumer-perf-test`, `-verifiable-producer`, `-verifiable-consumer`, `-console-share-consumer`, `-share-groups`, " +
			"`-verifiable-share-consumer`, the transactional copier of Kafka's system tests with random aborts",
	},
}

const (
	readme       = "../README.md"
	clientsBegin = "<!-- clients: from e2e/clients_test.go; UPDATE_README=1 go test ./e2e -run Readme -->\n"
	clientsEnd   = "<!-- end of clients -->\n"
)

// The README's table of clients is made of the list above.
func TestTheReadmesTableIsOfTheClientsTested(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), clientsBegin)
	old, after, closed := strings.Cut(rest, clientsEnd)
	if !ok || !closed {
		t.Fatal("the README has no place for the table")
	}
	var want strings.Builder
	want.WriteString("| client | version | what is run |\n|---|---|---|\n")
	for _, c := range testedClients {
		fmt.Fprintf(&want, "| %s | %s | %s |\n", c.name, c.version, c.runs)
	}
	if old == want.String() {
		return
	}
	if os.Getenv("UPDATE_README") == "" {
		t.Fatalf("the README's table is not that of the tests; UPDATE_README=1 writes it:\n%s", want.String())
	}
	if err := os.WriteFile(readme, []byte(before+clientsBegin+want.String()+clientsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The list names the versions that are run, and tests that exist.
func TestTheClientsTestedAreOfTheVersionsRun(t *testing.T) {
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	pom, err := os.ReadFile("java/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range []string{"kgo_test.go", "kcat_test.go", "java_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, c := range testedClients {
		if !strings.Contains(tests.String(), "\nfunc "+c.test) {
			t.Errorf("%s %s: there is no test %s", c.name, c.version, c.test)
		}
		switch {
		case c.name == "franz-go":
			if !strings.Contains(string(gomod), "\tgithub.com/twmb/franz-go v"+c.version+"\n") {
				t.Errorf("go.mod has another franz-go than %s", c.version)
			}
		case c.jar != "":
			if !strings.Contains(string(pom), ">"+c.version+"</kafka.") {
				t.Errorf("java/pom.xml has no %s", c.version)
			}
		default:
			runsKcatOf(t, c.version)
		}
	}
}

var kcatVersions = regexp.MustCompile(`Version (\S+) \(.*librdkafka (\S+)`)

// runsKcatOf compares with the kcat that is installed, if it is Debian's.
func runsKcatOf(t *testing.T, version string) {
	t.Helper()
	out, err := exec.Command("kcat", "-V").CombinedOutput()
	if err != nil {
		t.Log("kcat is not installed: its version is not compared")
		return
	}
	m := kcatVersions.FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("what version is this? %s", out)
	}
	if got := m[1] + " with " + m[2]; got != version {
		t.Logf("this machine has kcat %s; the README names %s", got, version)
	}
}
