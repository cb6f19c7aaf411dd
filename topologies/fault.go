package topologies

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a fault weighs.
type Severity int

// The severities. An Error stops the agent it concerns, a Warning does not, a
// Note tells of something that works otherwise than the text suggests.
const (
	Error Severity = iota
	Warning
	Note
)

// String is the word that stands before the code: "error".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// MarshalText writes the severity as its word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word back.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, want := range []Severity{Error, Warning, Note} {
		if want.String() == string(text) {
			*s = want
			return nil
		}
	}
	return fmt.Errorf("%q is not a severity: error, warning or note", text)
}

// Fault is something wrong in what a user wrote down, with all that is needed
// to put it right.
type Fault struct {
	Code     string // "SL0104"; Explain tells more
	Severity Severity
	Agent    string // whose fault it is; "" is the whole file's
	Pos      Pos
	End      int       // the column after the last byte to underline; 0 is unknown
	Message  string    // what is wrong, in one line
	Hint     string    // what to do: `did you mean "batchSize"?`
	Flume    string    // what Flume would have done: "ignore this line and use 100"
	Related  []Related // other places that explain it
}

// Related is another place that a fault speaks of.
type Related struct {
	Pos  Pos
	Text string // "declared here"
}

// String is the fault in one line, for logs.
func (f Fault) String() string {
	var b strings.Builder
	if p := f.Pos.String(); p != "" {
		b.WriteString(p + ": ")
	}
	fmt.Fprintf(&b, "%s[%s]: %s", f.Severity, f.Code, f.Message)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	if f.Flume != "" {
		b.WriteString(" (Flume would " + f.Flume + ")")
	}
	return printable(b.String())
}

// faultJSON is the form of a fault that scripts read.
type faultJSON struct {
	Code     string        `json:"code"`
	Severity Severity      `json:"severity"`
	Agent    string        `json:"agent,omitempty"`
	File     string        `json:"file,omitempty"`
	Line     int           `json:"line,omitempty"`
	Column   int           `json:"column,omitempty"`
	End      int           `json:"endColumn,omitempty"`
	Message  string        `json:"message"`
	Hint     string        `json:"hint,omitempty"`
	Flume    string        `json:"flume,omitempty"`
	Related  []relatedJSON `json:"related,omitempty"`
}

type relatedJSON struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
}

// MarshalJSON writes the fault flat: code, severity, file, line, column,
// endColumn, message, hint, flume, related.
func (f Fault) MarshalJSON() ([]byte, error) {
	out := faultJSON{f.Code, f.Severity, f.Agent, f.Pos.File, f.Pos.Line, f.Pos.Column, f.End,
		f.Message, f.Hint, f.Flume, nil}
	for _, r := range f.Related {
		out.Related = append(out.Related, relatedJSON{r.Pos.File, r.Pos.Line, r.Pos.Column, r.Text})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Fault) UnmarshalJSON(text []byte) error {
	var in faultJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("read a fault: %w", err)
	}
	*f = Fault{in.Code, in.Severity, in.Agent, Pos{in.File, in.Line, in.Column}, in.End, in.Message, in.Hint, in.Flume, nil}
	for _, r := range in.Related {
		f.Related = append(f.Related, Related{Pos{r.File, r.Line, r.Column}, r.Text})
	}
	return nil
}

// SortFaults orders faults by place: file, line, column, then by code and text,
// so that equal input gives equal output.
func SortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// Failed says whether any of the faults stops the agent called name. With an
// empty name any error counts.
func Failed(faults []Fault, name string) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool {
		return f.Severity == Error && (name == "" || f.Agent == "" || f.Agent == name)
	})
}
