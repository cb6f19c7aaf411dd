package topologies_test

import (
	"encoding/json"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
)

const sample = `a1.channels = c1
a1.sinks.k1.type = hdfs
a1.sinks.k1.hdfs.batchsize = 1000
a1.sources.r1.keystore-password = \
	hunter2 # not a comment
a1.sources.r1.größe = 7
`

func render(t *testing.T, f topologies.Fault) string {
	t.Helper()
	var b strings.Builder
	if err := topologies.RenderFaults(&b, []topologies.Fault{f}, func(string) []byte { return []byte(sample) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAFaultShowsPlaceSnippetHintAndWhatFlumeWouldDo(t *testing.T) {
	got := render(t, topologies.Fault{
		Code: "SL0104", Pos: topologies.Pos{File: "flume.conf", Line: 3, Column: 18}, End: 27,
		Message: `unknown property "batchsize" for sink "k1" (type hdfs)`,
		Hint:    `did you mean "batchSize"?`, Flume: "ignore this line and use 100",
		Related: []topologies.Related{{Pos: topologies.Pos{File: "flume.conf", Line: 1}, Text: "declared here"}},
	})
	want := `error[SL0104]: unknown property "batchsize" for sink "k1" (type hdfs)
  --> flume.conf:3:18
   2 | a1.sinks.k1.type = hdfs
   3 | a1.sinks.k1.hdfs.batchsize = 1000
     |                  ^^^^^^^^^ did you mean "batchSize"?
   = flume.conf:1: declared here
   = Flume would ignore this line and use 100
   = docs: sluice explain SL0104
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Validation output lands in logs and CI pages, so a secret beside a fault must
// not show, not even where it continues on a line of its own.
func TestASnippetHidesSecrets(t *testing.T) {
	for _, line := range []int{4, 5, 6} {
		got := render(t, topologies.Fault{Code: "SL0101", Pos: topologies.Pos{File: "f", Line: line, Column: 2}, Message: "x"})
		if strings.Contains(got, "hunter2") {
			t.Errorf("fault on line %d shows the password:\n%s", line, got)
		}
	}
}

func TestCaretsCountRunesWhereColumnsCountBytes(t *testing.T) {
	got := render(t, topologies.Fault{Code: "SL0101", Pos: topologies.Pos{File: "f", Line: 6, Column: 25}, End: 26, Message: "x"})
	lines := strings.Split(got, "\n")
	at := []rune(lines[3])
	if want := "7"; string(at[len([]rune(lines[4]))-1]) != want {
		t.Errorf("caret stands below %q, want %q:\n%s", string(at[len([]rune(lines[4]))-1]), want, got)
	}
}

func TestATerminalCannotBeSteeredFromAFile(t *testing.T) {
	var b strings.Builder
	f := topologies.Fault{Code: "SL0101", Pos: topologies.Pos{File: "f", Line: 1, Column: 1}, Message: "a\x1b[2Jb"}
	err := topologies.RenderFaults(&b, []topologies.Fault{f}, func(string) []byte { return []byte("a1.x = \x1b]0;owned\x07\x9b") })
	if err != nil || strings.ContainsAny(b.String(), "\x1b\x07") || strings.Contains(b.String(), "\x9b") || strings.Contains(f.String(), "\x1b") {
		t.Errorf("control bytes came through: %q, %v", b.String(), err)
	}
}

func TestAPlaceOutsideTheFileDoesNoHarm(t *testing.T) {
	for _, p := range []topologies.Pos{{}, {File: "f", Line: 99, Column: 7}, {File: "f", Line: 1, Column: 9999}, {File: "f", Line: 1}} {
		got := render(t, topologies.Fault{Code: "SL0101", Pos: p, End: 5, Message: "m", Hint: "do this"})
		if !strings.Contains(got, "do this") {
			t.Errorf("place %v lost the hint:\n%s", p, got)
		}
	}
}

func TestLongLinesAreCutAroundTheFault(t *testing.T) {
	line := strings.Repeat("x", 5000) + "HERE" + strings.Repeat("y", 5000)
	var b strings.Builder
	f := topologies.Fault{Code: "SL0101", Pos: topologies.Pos{File: "f", Line: 1, Column: 5001}, End: 5005, Message: "m"}
	if err := topologies.RenderFaults(&b, []topologies.Fault{f}, func(string) []byte { return []byte(line) }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	text, carets := []rune(lines[2]), []rune(lines[3])
	at := strings.IndexRune(lines[3], '^')
	if len(text) > 200 || string(text[len([]rune(lines[3][:at])):len(carets)]) != "HERE" {
		t.Errorf("carets are not below HERE:\n%s\n%s", lines[2], lines[3])
	}
}

func TestFaultsComeInTheOrderOfTheirPlaces(t *testing.T) {
	at := func(file string, line, column int) topologies.Fault {
		return topologies.Fault{Pos: topologies.Pos{File: file, Line: line, Column: column}}
	}
	got := []topologies.Fault{at("b", 1, 1), at("a", 10, 1), at("a", 2, 9), at("a", 2, 3)}
	want := []topologies.Fault{at("a", 2, 3), at("a", 2, 9), at("a", 10, 1), at("b", 1, 1)}
	topologies.SortFaults(got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnErrorOfAnotherAgentDoesNotStopThisOne(t *testing.T) {
	faults := []topologies.Fault{{Severity: topologies.Error, Agent: "a2"}, {Severity: topologies.Warning, Agent: "a1"}}
	for name, want := range map[string]bool{"a1": false, "a2": true, "": true} {
		if got := topologies.Failed(faults, name); got != want {
			t.Errorf("Failed for %q: got %v, want %v", name, got, want)
		}
	}
}

func TestAFaultComesBackFromJSON(t *testing.T) {
	want := topologies.Fault{Code: "SL0104", Severity: topologies.Warning, Agent: "a1",
		Pos: topologies.Pos{File: "f", Line: 3, Column: 4}, End: 9, Message: "m", Hint: "h", Flume: "w",
		Related: []topologies.Related{{Pos: topologies.Pos{File: "g", Line: 1, Column: 2}, Text: "t"}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got topologies.Fault
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("from %s: got %+v, %v, want %+v", text, got, err, want)
	}
	if !strings.Contains(string(text), `"severity":"warning"`) {
		t.Errorf("severity is not its word in %s", text)
	}
}

func TestNearestFindsWhatWasMeant(t *testing.T) {
	names := []string{"type", "channel", "hdfs.path", "hdfs.batchSize", "hdfs.rollSize", "capacity", "transactionCapacity", "max-line-length"}
	for word, want := range map[string]string{
		"hdfs.batchsize":      "hdfs.batchSize",
		"batchSize":           "hdfs.batchSize",
		"transactioncapacity": "transactionCapacity",
		"channels":            "channel",
		"maxLineLength":       "max-line-length",
		"capcity":             "capacity",
		"hdfs.rolSize":        "hdfs.rollSize",
		"tpye":                "type",
		"nothingLikeIt":       "",
		"":                    "",
		"ab":                  "",
	} {
		if got, ok := topologies.Nearest(word, names); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q): got %q, %v, want %q", word, got, ok, want)
		}
	}
}

// literals finds the codes that the Go files of the tree use in strings.
func literals(t *testing.T) map[string]string {
	t.Helper()
	code := regexp.MustCompile(`^["` + "`" + `]SL\d{4}["` + "`" + `]$`)
	used := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "codes") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var s scanner.Scanner
		files := token.NewFileSet()
		s.Init(files.AddFile(path, -1, len(text)), text, nil, 0)
		for {
			_, tok, lit := s.Scan()
			if tok == token.EOF {
				return nil
			}
			if tok == token.STRING && code.MatchString(lit) {
				used[lit[1:7]] = path
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func TestEveryCodeInUseIsExplainedAndEveryExplanationIsOfUse(t *testing.T) {
	used := literals(t)
	for code, path := range used {
		if text, ok := topologies.Explain(code); !ok || len(text) < 100 {
			t.Errorf("%s uses %s, which no text explains", path, code)
		}
	}
	for _, code := range topologies.Codes() {
		if _, ok := used[code]; !ok {
			t.Errorf("a text explains %s, which nothing uses", code)
		}
	}
	if _, ok := topologies.Explain("SL0000"); ok {
		t.Error("SL0000 is explained, and should not exist")
	}
}
