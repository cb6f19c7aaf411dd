package interceptor_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source/interceptor"
)

func compile(t testing.TB, pattern string) interceptor.Matcher {
	t.Helper()
	m, err := interceptor.CompileJava(pattern)
	if err != nil {
		t.Fatalf("compile %q: %v", pattern, err)
	}
	return m
}

// The answers are what java.util.regex gives.
func TestPatternsMeanWhatJavaMeansByThem(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          string // the groups of the first match, "-" when there is none
	}{
		{`status=(200|500) `, `a status=500 b`, `[status=500 ][500]`},
		{`status=(200|500) `, `a status=404 b`, `-`},
		{`a(b)?c`, `ac`, `[ac]<nil>`},
		{`^(\d+):(\d+)`, `12:34:56`, `[12:34][12][34]`},
		{`(a|ab)(c|bcd)`, `abcd`, `[abcd][a][bcd]`},
		{`foo$`, "foo\r", `[foo]`},
		{`foo$`, "foo\r\n", `[foo]`},
		{`foo$`, "foo\n\n", `-`},
		{`foo$\n`, "foo\n", "[foo\n]"},
		{`(foo$|bar)\r`, "foo\r", "[foo\r][foo]"},
		{`(.*)`, "abc\rdef", `[abc][abc]`},
		{`(?s)(.*)`, "abc\ndef", "[abc\ndef][abc\ndef]"},
		{`(?m)^b$`, "a\nb\nc", `[b]`},
		{`\Qa.b\E+`, `a.bb`, `[a.bb]`},
		{`\x41\u0042\0103\t`, "ABC\t", "[ABC\t]"},
		{`[a-z&&[^m-p]]+`, `mnoabc`, `[abc]`},
		{`[a-c[x-z]]+`, `mxaz`, `[xaz]`},
		{`[\w&&[^\d]]+`, `12ab3`, `[ab]`},
		{`[^\s,]+`, ` ,x;y z`, `[x;y]`},
		{`\p{Alpha}+\p{Punct}`, `1abc!`, `[abc!]`},
		{`\p{Lu}\p{IsLatin}`, `aÄb`, `[Äb]`},
		{`(?<user>\w+)@(?<host>\w+)`, `x me@here`, `[me@here][me][here]`},
		{`(?i)error`, `an ERROR`, `[ERROR]`},
		{`(?i)[^k]`, `Kkx`, `[x]`},
		{`(?x) a  b # the rest`, `xab`, `[ab]`},
		{`a++b`, `aaab`, `[aaab]`},
		{`a++ab`, `aaab`, `-`},
		{`(?<=x)y(?!z)`, `yxyzxy`, `[y]`},
		{`(\w)\1`, `abccd`, `[cc][c]`},
		{`(?<q>['"]).*?\k<q>`, `say "it's"`, `["it's"]["]`},
		{`\h\R`, "a \r\n", "[ \r\n]"},
		{`a{2,3}?`, `aaaa`, `[aa]`},
		{`x*`, `abc`, `[]`},
		{`\bcat\b`, `concat cat`, `[cat]`},
		{`é+`, `caféé`, `[éé]`},
		{`seq=\d{1,2000}`, `seq=12`, `[seq=12]`},
	} {
		m := compile(t, c.pattern)
		loc, err := m.Find([]byte(c.text), 0, nil)
		if err != nil {
			t.Errorf("%q in %q: %v", c.pattern, c.text, err)
			continue
		}
		if got := groups(c.text, loc); got != c.want {
			t.Errorf("%q in %q: got %s, want %s", c.pattern, c.text, got, c.want)
		}
		if ok, _ := m.Match([]byte(c.text)); ok != (c.want != "-") {
			t.Errorf("%q in %q: Match says %v, Find %q", c.pattern, c.text, ok, c.want)
		}
	}
}

func groups(text string, loc []int) string {
	if len(loc) == 0 {
		return "-"
	}
	s := ""
	for i := 0; i < len(loc); i += 2 {
		if loc[i] < 0 {
			s += "<nil>"
			continue
		}
		s += "[" + text[loc[i]:loc[i+1]] + "]"
	}
	return s
}

func TestFullMatchesTheWholeTextOnly(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{`.*\.log`, `a.log`, true}, {`.*\.log`, `a.log.1`, false}, {`a|ab`, `ab`, true},
		{`^.*$`, `x`, true}, {`^$`, ``, true}, {`^$`, `x`, false}, {`foo$`, "foo\n", false},
		{`(?!tmp).*`, `tmp1`, false}, {`(?!tmp).*`, `log1`, true},
	} {
		if got, err := compile(t, c.pattern).Full([]byte(c.text)); got != c.want || err != nil {
			t.Errorf("%q against %q: got %v, %v, want %v", c.pattern, c.text, got, err, c.want)
		}
	}
}

func TestABadPatternIsRefusedWithItsPlace(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a`: "missing closing )", `a)`: "character 2", `[a`: "missing closing ]", `*a`: "nothing to repeat",
		`a\`: "backslash", `\p{Nope}`: "Nope", `é[z-a]`: "character 6", `(a)\2`: "no such group", `(?U)a`: "flag",
		`a**`: "nothing to repeat", `x{`: "repetition", `\y`: `\y`,
	} {
		_, err := interceptor.CompileJava(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("compile %q: got %v, want an error with %q", pattern, err, want)
		}
	}
}

func TestARunawayPatternStopsAtItsTimeLimit(t *testing.T) {
	m := compile(t, `(?=(a+)+$)\w+\1\1b`)
	if ok, err := m.Match([]byte(strings.Repeat("a", 60) + "!")); err == nil {
		t.Fatalf("an exponential match: got %v without error", ok)
	}
}

func TestALongTextIsSearchedLikeAShortOne(t *testing.T) {
	text := []byte(strings.Repeat("x", 30<<20) + "key=12 ")
	loc, err := compile(t, `k(e+)y=(\d+)`).Find(text, 5, nil)
	if want := fmt.Sprint([]int{30 << 20, 30<<20 + 6, 30<<20 + 1, 30<<20 + 2, 30<<20 + 4, 30<<20 + 6}); fmt.Sprint(loc) != want || err != nil {
		t.Fatalf("got %v, %v, want %s", loc, err, want)
	}
}

func line(i int) []byte {
	s := fmt.Sprintf("2026-11-22T12:00:00.000Z web07 INFO seq=%09d user=42 status=%d00 path=/api/v1/orders/%d msg=", i, 2+i%4, i)
	return []byte(s + strings.Repeat("words ", 40)[:207-len(s)])
}

func BenchmarkMatch(b *testing.B) {
	lines := make([][]byte, 1000)
	for i := range lines {
		lines[i] = line(i)
	}
	for _, pattern := range []string{`status=(200|500) `, `(ERROR|WARN) seq=[0-9]+`, `user=\d+ status=[23]`} {
		b.Run(pattern, func(b *testing.B) {
			m := compile(b, pattern)
			b.ReportAllocs()
			b.SetBytes(207 * 1000)
			for b.Loop() {
				for _, l := range lines {
					m.Match(l)
				}
			}
		})
	}
}

// A pattern with look-around is searched again behind every match: the text is
// decoded once, not each time.
func TestManyMatchesDoNotCostTheSquareOfTheText(t *testing.T) {
	r, err := interceptor.ParseReplacement("x", compile(t, "(?=b)b"))
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("b"), 20_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, _, err := r.Apply(nil, text)
	runtime.ReadMemStats(&after)
	if want := bytes.Repeat([]byte("x"), len(text)); err != nil || !bytes.Equal(out, want) {
		t.Fatalf("%d bytes, %v; want %d times x", len(out), err, len(want))
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 {
		t.Errorf("%d matches took %d MiB", len(text), took>>20)
	}
}

// What runs away is stopped, in one match as in the sum of all in a text.
func TestSlowMatchesEndWithAnError(t *testing.T) {
	slow := strings.Repeat("a", 18) + "c"
	for name, text := range map[string]string{"one": strings.Repeat("a", 60), "many": strings.Repeat(slow, 4000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := interceptor.ParseReplacement("x", compile(t, "(?=a)(?:(a+)+b|a+c)"))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := r.Apply(nil, []byte(text)); err == nil {
				t.Error("no error")
			}
			if out, _, err := r.Apply(nil, []byte("1aac2")); err != nil || string(out) != "1x2" {
				t.Errorf("the next text: %q, %v", out, err)
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	m := compile(b, `^(\S+) (\S+) (\w+) seq=(\d+) user=(\d+) status=(\d+) path=(\S+)`)
	l := line(7)
	var loc []int
	b.ReportAllocs()
	b.SetBytes(int64(len(l)))
	for b.Loop() {
		loc, _ = m.Find(l, 0, loc)
	}
	if len(loc) != 16 {
		b.Fatal(loc)
	}
}

// No pattern makes the compiler crash, and the three ways to ask about a match
// agree: the texts that are looked for first, package regexp, and the machine
// that finds groups.
func FuzzJavaRegex(f *testing.F) {
	for _, seed := range [][2]string{
		{`status=(200|500) `, `a status=500 b`}, {`^(\d+):(\d+)$`, "12:34\r\n"}, {`[a-z&&[^m-p]]+x*`, `mnoabc`}, {`(?i)(a|b)?c{1,3}`, `ABC`},
		{`\Qa.b\E|(x+)+y`, `xxxy`}, {`a(b|c)d(e|f)`, `abdf`}, {`(?m)^b$|\bword\b`, "a\nb"}, {`[^\s,]+\p{Lu}`, `xÄ`}, {`(?s)a.*?b|`, "a\nb"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 100 || len(text) > 1000 {
			return
		}
		m, err := interceptor.CompileJava(pattern)
		if err != nil {
			return
		}
		found, err := m.Match([]byte(text))
		loc, err2 := m.Find([]byte(text), 0, nil)
		if err != nil || err2 != nil {
			return // ran into its time limit
		}
		if found != (len(loc) > 0) {
			t.Fatalf("%q in %q: Match says %v, Find %v", pattern, text, found, loc)
		}
		if found && len(loc) != 2*m.Groups()+2 {
			t.Fatalf("%q: %d groups, found %v", pattern, m.Groups(), loc)
		}
		for i := 0; i < len(loc); i += 2 {
			if loc[i] > loc[i+1] || loc[i+1] > len(text) || (loc[i] < 0) != (loc[i+1] < 0) {
				t.Fatalf("%q in %q: group %d is %v", pattern, text, i/2, loc)
			}
		}
		if full, err := m.Full([]byte(text)); err == nil && full && !found {
			t.Fatalf("%q is all of %q and not in it", pattern, text)
		}
	})
}
