package kafka_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/runtime/kafka"
)

const (
	readme     = "../../README.md"
	tableBegin = "<!-- APIs: from runtime/kafka/apis.go; UPDATE_README=1 go test ./runtime/kafka -run Readme -->\n"
	tableEnd   = "<!-- end of APIs -->\n"
)

// The README's table of what is served is made of the table in the code.
func TestTheReadmesTableIsWhatIsServed(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	old, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		t.Fatal("the README has no place for the table")
	}
	want := supportedTable()
	if old == want {
		return
	}
	if os.Getenv("UPDATE_README") == "" {
		t.Fatalf("the README's table is not that of the code; UPDATE_README=1 writes it:\n%s", want)
	}
	if err := os.WriteFile(readme, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// supportedTable has three requests in a row.
func supportedTable() string {
	const columns = 3
	all := kafka.SupportedAPIs()
	rows := (len(all) + columns - 1) / columns
	var b strings.Builder
	b.WriteString("|" + strings.Repeat(" key | request | versions |", columns) + "\n|" + strings.Repeat("--:|---|---|", columns) + "\n")
	for r := range rows {
		b.WriteString("|")
		for c := range columns {
			if i := c*rows + r; i < len(all) {
				fmt.Fprintf(&b, " %d | %s | %d–%d |", all[i].Key, all[i].Name, all[i].Min, all[i].Max)
			} else {
				b.WriteString(" | | |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
