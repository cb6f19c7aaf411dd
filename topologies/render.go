package topologies

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// snippetMax bounds a line shown in a snippet; a longer one is cut around the
// place of the fault.
const snippetMax = 120 // runes

// lineMax bounds how much of a line is looked at.
const lineMax = 8 << 10

// RenderFaults writes faults for people, in the order given: what is wrong, the
// place with the line before it, what to do, and what Flume would have done.
// source gives the text of a file by the name its places carry, nil when it is
// not at hand. The values of secrets are not shown.
func RenderFaults(w io.Writer, faults []Fault, source func(file string) []byte) error {
	lines := map[string][]string{}
	for i, f := range faults {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if _, seen := lines[f.Pos.File]; !seen && source != nil {
			lines[f.Pos.File] = splitLines(source(f.Pos.File))
		}
		if _, err := io.WriteString(w, renderFault(f, lines[f.Pos.File])); err != nil {
			return err
		}
	}
	return nil
}

func renderFault(f Fault, lines []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s[%s]: %s\n", f.Severity, f.Code, printable(f.Message))
	if place := f.Pos.String(); place != "" {
		fmt.Fprintf(&b, "  --> %s\n", printable(place))
	}
	hinted := writeSnippet(&b, f, lines)
	if f.Hint != "" && !hinted {
		fmt.Fprintf(&b, "   = %s\n", printable(f.Hint))
	}
	for _, r := range f.Related {
		fmt.Fprintf(&b, "   = %s: %s\n", printable(r.Pos.String()), printable(r.Text))
	}
	if f.Flume != "" {
		fmt.Fprintf(&b, "   = Flume would %s\n", printable(f.Flume))
	}
	fmt.Fprintf(&b, "   = docs: sluice explain %s\n", f.Code)
	return b.String()
}

// writeSnippet shows the line of the fault, the one before it, and carets below
// with the hint beside them. It says whether the hint has been written.
func writeSnippet(b *strings.Builder, f Fault, lines []string) bool {
	n := f.Pos.Line
	if n < 1 || n > len(lines) {
		return false
	}
	if f.Pos.Column > lineMax {
		return false
	}
	shown, width := maskSecrets(lines, n), len(fmt.Sprint(n))
	if n > 1 && strings.TrimSpace(lines[n-2]) != "" {
		fmt.Fprintf(b, "   %*d | %s\n", width, n-1, cut(printable(shown[0]), 0))
	}
	line, column := shown[1], max(f.Pos.Column, 1)
	from := runesBefore(line, column-1)
	start := max(0, from-snippetMax*2/3)
	fmt.Fprintf(b, "   %*d | %s\n", width, n, cut(printable(line), start))
	if f.Pos.Column == 0 {
		return false
	}
	carets := 1
	if f.End > column {
		carets = max(1, runesBefore(line, f.End-1)-from)
	}
	carets = min(carets, snippetMax-(from-start))
	pad := strings.Repeat(" ", from-start)
	if start > 0 {
		pad += " " // below the mark of what was cut
	}
	fmt.Fprintf(b, "   %*s | %s%s", width, "", pad, strings.Repeat("^", carets))
	if f.Hint != "" {
		b.WriteString(" " + printable(f.Hint))
	}
	b.WriteString("\n")
	return true
}

// runesBefore counts the runes in the first n bytes of line.
func runesBefore(line string, n int) int {
	return utf8.RuneCountInString(line[:min(max(n, 0), len(line))])
}

// cut is at most snippetMax runes of line from rune start on, with marks where
// something was left out.
func cut(line string, start int) string {
	runes := []rune(line)
	if start == 0 && len(runes) <= snippetMax {
		return line
	}
	end := min(len(runes), start+snippetMax)
	out := string(runes[min(start, end):end])
	if start > 0 {
		out = "…" + out
	}
	if end < len(runes) {
		out += "…"
	}
	return out
}

// printable replaces what could move a terminal's cursor, one rune for one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

// secretWords are what the names of secrets hold.
const secretWords = `(?:password|passwd|pwd|passphrase|secret|token|credential|apikey|api\.key|jaas)`

var (
	secretName = regexp.MustCompile(`(?i)` + secretWords)
	// secretLine matches a line whose key names a secret, up to the value.
	secretLine = regexp.MustCompile(`(?i)^(\s*[^=:#!\s]*` + secretWords + `[^=:\s]*\s*[=:\s]\s*)\S`)
)

// IsSecret says whether the value of the property called name is likely one
// that no message may show.
func IsSecret(name string) bool { return secretName.MatchString(name) }

// maskSecrets is line n of lines and the one before it (empty for the first),
// with the values of secrets replaced. What continues a secret is one too.
func maskSecrets(lines []string, n int) [2]string {
	var out [2]string
	first := max(1, n-1)
	for first > 1 && n-first < 100 && continues(lines[first-2]) {
		first--
	}
	inSecret := false
	for i := first; i <= n; i++ {
		text := lines[i-1][:min(len(lines[i-1]), lineMax)]
		if m := secretLine.FindStringSubmatchIndex(text); m != nil {
			inSecret = true
			text = text[:m[3]] + "***"
		} else if inSecret {
			text = "***"
		}
		inSecret = inSecret && continues(lines[i-1])
		if i >= n-1 {
			out[i-(n-1)] = text
		}
	}
	return out
}

// continues says whether a line of a properties file goes on in the next.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitLines splits at LF, CR and CRLF.
func splitLines(text []byte) []string {
	if text == nil {
		return nil
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return strings.Split(string(bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))), "\n")
}
