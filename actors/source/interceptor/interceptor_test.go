package interceptor_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// settingsOf are a source with one interceptor of kind typ; kv are its
// properties.
func settingsOf(typ string, kv ...string) topologies.Settings {
	texts := map[string]string{"interceptors": "i1", "interceptors.i1.type": typ}
	for i := 0; i+1 < len(kv); i += 2 {
		texts["interceptors.i1."+kv[i]] = kv[i+1]
	}
	return topologies.SettingsOf(kinds.Source, "seq", texts)
}

func newOne(t testing.TB, compat bool, typ string, kv ...string) interceptor.Interceptor {
	t.Helper()
	chain, err := interceptor.Chain(settingsOf(typ, kv...), interceptor.Env{Compat: compat})
	if err != nil {
		t.Fatalf("%s %v: %v", typ, kv, err)
	}
	return chain[0]
}

// batchOf has one record per text: "a=1;b=2|body".
func batchOf(texts ...string) *record.Slab {
	s := record.NewSlab(0)
	for i, text := range texts {
		headers, body, ok := strings.Cut(text, "|")
		if !ok {
			headers, body = "", text
		}
		s.Append([]byte(body))
		for _, h := range strings.FieldsFunc(headers, func(r rune) bool { return r == ';' }) {
			k, v, _ := strings.Cut(h, "=")
			s.SetHeader(i, k, []byte(v))
		}
	}
	return s
}

// texts is what batchOf takes, the headers sorted.
func texts(s *record.Slab) []string {
	var all []string
	for i := range s.Len() {
		headers := map[string]string{}
		for k, v := range s.Headers(i) {
			headers[k] = string(v)
		}
		text := ""
		for _, k := range slices.Sorted(maps.Keys(headers)) {
			text += k + "=" + headers[k] + ";"
		}
		all = append(all, text+"|"+string(s.Body(i)))
	}
	return all
}

func intercept(t testing.TB, one interceptor.Interceptor, batch *record.Slab) []string {
	t.Helper()
	if err := one.Intercept(batch); err != nil {
		t.Fatalf("intercept: %v", err)
	}
	return texts(batch)
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTimestampSetsTheTimeUnlessItIsToKeepOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands at 2000-01-01
		const now = "946684800000"
		check(t, intercept(t, newOne(t, false, "timestamp"), batchOf("a", "timestamp=5|b")),
			"timestamp="+now+";|a", "timestamp="+now+";|b")
		keep := newOne(t, false, "timestamp", "preserveExisting", "true", "headerName", "t")
		check(t, intercept(t, keep, batchOf("a", "t=5|b", "x=1|c")), "t="+now+";|a", "t=5;|b", "t="+now+";x=1;|c")
		check(t, intercept(t, keep, batchOf("a", "b")), "t="+now+";|a", "t="+now+";|b")
		common := batchOf("a", "b")
		common.SetCommon("t", []byte("7"))
		check(t, intercept(t, keep, common), "t=7;|a", "t=7;|b")
	})
}

func TestHostSetsOneNonEmptyValue(t *testing.T) {
	for _, useIP := range []string{"true", "false"} {
		got := intercept(t, newOne(t, false, "host", "useIP", useIP, "hostHeader", "h"), batchOf("h=old|a", "b"))
		a, b := strings.TrimSuffix(got[0], ";|a"), strings.TrimSuffix(got[1], ";|b")
		if a != b || a == "h=" || a == "h=old" {
			t.Errorf("useIP=%s: got %q", useIP, got)
		}
	}
	check(t, intercept(t, newOne(t, false, "host", "preserveExisting", "true"), batchOf("host=old|a")), "host=old;|a")
}

func TestStaticKeepsWhatIsThereByDefault(t *testing.T) {
	check(t, intercept(t, newOne(t, false, "static"), batchOf("a", "key=x|b")), "key=value;|a", "key=x;|b")
	check(t, intercept(t, newOne(t, false, "static", "key", "dc", "value", "ams", "preserveExisting", "false"), batchOf("dc=x|a")), "dc=ams;|a")
	check(t, intercept(t, newOne(t, false, "static"), batchOf()))
}

func TestRegexFilterKeepsOrDropsMatches(t *testing.T) {
	check(t, intercept(t, newOne(t, false, "regex_filter", "regex", "status=(200|500) "), batchOf("status=200 a", "status=404 b", "h=1|status=500 c")),
		"|status=200 a", "h=1;|status=500 c")
	check(t, intercept(t, newOne(t, false, "regex_filter", "regex", "^#", "excludeEvents", "true"), batchOf("#a", "b#")), "|b#")
	check(t, intercept(t, newOne(t, false, "regex_filter"), batchOf("", "a")), "|", "|a")
	check(t, intercept(t, newOne(t, false, "regex_filter", "regex", "a(?!b)"), batchOf("ab", "ac")), "|ac")
}

func TestRegexExtractorSetsGroupsAsHeaders(t *testing.T) {
	one := newOne(t, false, "regex_extractor", "regex", `(\d):(\d)(:(\d))?`, "serializers", "s1 s2 s3 s4",
		"serializers.s1.name", "one", "serializers.s2.name", "two", "serializers.s3.name", "all", "serializers.s4.name", "three")
	check(t, intercept(t, one, batchOf("1:2:3 4:5:6", "1:2", "none", "one=x|7:8")),
		"all=:3;one=1;three=3;two=2;|1:2:3 4:5:6", "one=1;two=2;|1:2", "|none", "one=7;two=8;|7:8")
	one = newOne(t, true, "regex_extractor", "regex", `(a)|(b)`, "serializers", "s1 s2", "serializers.s1.name", "one", "serializers.s2.name", "two")
	check(t, intercept(t, one, batchOf("a")), "one=a;two=;|a")
	// More groups than serializers, and more serializers than groups.
	one = newOne(t, false, "regex_extractor", "regex", `(a)(b)`, "serializers", "s1", "serializers.s1.name", "one")
	check(t, intercept(t, one, batchOf("ab")), "one=a;|ab")
	one = newOne(t, false, "regex_extractor", "regex", `(a)b`, "serializers", "s1 s2", "serializers.s1.name", "one", "serializers.s2.name", "two")
	check(t, intercept(t, one, batchOf("ab")), "one=a;|ab")
}

const millis = "org.apache.flume.interceptor.RegexExtractorInterceptorMillisSerializer"

func TestMillisLeavesOutATimeThatItCannotRead(t *testing.T) {
	kv := []string{"regex", `^(\S+ \S+)`, "serializers", "s1", "serializers.s1.name", "timestamp",
		"serializers.s1.type", millis, "serializers.s1.pattern", "yyyy-MM-dd HH:mmZ"}
	check(t, intercept(t, newOne(t, false, "regex_extractor", kv...), batchOf("2012-10-17 15:34+0100 x", "2012-13-17 15:34Z y")),
		"timestamp=1350484440000;|2012-10-17 15:34+0100 x", "|2012-13-17 15:34Z y")
	if err := newOne(t, true, "regex_extractor", kv...).Intercept(batchOf("never ever")); err == nil {
		t.Error("with Flume's defects a bad time fails the batch: got no error")
	}
}

func TestSearchReplaceTakesJavasReplacements(t *testing.T) {
	for _, c := range []struct{ pattern, with, in, want string }{
		{`^[A-Za-z0-9_]+`, ``, "word rest", " rest"},
		{`(\w+)@(\w+)`, `$2 at $1`, "a@b c@d", "b at a d at c"},
		{`(?<u>\w+)@`, `\$${u}\\`, "me@x", `$me\x`},
		{`(a)`, `$10`, "bab", "ba0b"},
		{`x*`, `-`, "abxc", "-a-b--c-"},
		{`^a`, `b`, "aaa", "baa"},
		{`\bfoo\b`, `bar`, "foo food foo", "bar food bar"},
		{`(a)|b`, `[$1]`, "ab", "[a][]"},
		{`o$`, `0`, "foo\r", "fo0\r"},
		{`é`, `e`, "café", "cafe"},
		{`none`, `x`, "same", "same"},
	} {
		one := newOne(t, false, "search_replace", "searchPattern", c.pattern, "replaceString", c.with)
		check(t, intercept(t, one, batchOf(c.in)), "|"+c.want)
	}
	one := newOne(t, false, "search_replace", "searchPattern", "é", "replaceString", "ü€", "charset", "ISO-8859-1")
	check(t, intercept(t, one, batchOf("caf\xe9", "tea")), "|caf\xfc?", "|tea")
}

func TestRemoveHeaderByNameListAndPattern(t *testing.T) {
	in := []string{"a=1;b=2;ab=3|x", "c=4|y"}
	check(t, intercept(t, newOne(t, false, "remove_header", "withName", "a"), batchOf(in...)), "ab=3;b=2;|x", "c=4;|y")
	check(t, intercept(t, newOne(t, false, "remove_header", "fromList", "a , c"), batchOf(in...)), "ab=3;b=2;|x", "|y")
	check(t, intercept(t, newOne(t, false, "remove_header", "fromList", "a:c", "fromListSeparator", ":"), batchOf(in...)), "ab=3;b=2;|x", "|y")
	check(t, intercept(t, newOne(t, false, "remove_header", "matching", "a.?"), batchOf(in...)), "b=2;|x", "c=4;|y")
	common := batchOf(in...)
	common.SetCommon("a", []byte("5"))
	check(t, intercept(t, newOne(t, false, "remove_header", "matching", "a"), common), "ab=3;b=2;|x", "c=4;|y")
}

func TestUUIDsAreRandomAndKeepWhatIsThere(t *testing.T) {
	batch := batchOf(make([]string, 200)...)
	batch.SetHeader(7, "id", []byte("mine"))
	one := newOne(t, false, "uuid", "prefix", "p-")
	seen := map[string]bool{}
	uuid := compile(t, `id=p-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12};\|`)
	for i, got := range intercept(t, one, batch) {
		if i == 7 {
			check(t, []string{got}, "id=mine;|")
			continue
		}
		if ok, _ := uuid.Full([]byte(got)); !ok || seen[got] {
			t.Fatalf("record %d: got %s", i, got)
		}
		seen[got] = true
	}
}

func TestAnInterceptorNamesWhatItCannotUse(t *testing.T) {
	for _, c := range []struct{ typ, key, value, want string }{
		{"nope", "", "", `"nope"`},
		{"regex_filter", "regex", "(", "regex"},
		{"regex_extractor", "serializers", "s1", "regex"},
		{"regex_extractor", "regex", "(a)", "serializers"},
		{"search_replace", "replaceString", "x", "searchPattern"},
		{"remove_header", "matching", "[", "matching"},
	} {
		_, err := interceptor.Chain(settingsOf(c.typ, c.key, c.value), interceptor.Env{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s=%s: got %v, want an error with %s", c.typ, c.key, c.value, err, c.want)
		}
	}
	for _, kv := range [][]string{{"replaceString", "$1"}, {"replaceString", `a\`}, {"replaceString", "${x}"}, {"replaceString", "a$"}, {"charset", "EBCDIC"}} {
		_, err := interceptor.Chain(settingsOf("search_replace", append(kv, "searchPattern", "a")...), interceptor.Env{})
		if err == nil || !strings.Contains(err.Error(), kv[0]) {
			t.Errorf("%v: got %v, want an error with its name", kv, err)
		}
	}
}

// Workload e: 1000 lines of 207 bytes, half of which pass.
func BenchmarkInterceptors(b *testing.B) {
	lines := record.NewSlab(300 << 10)
	all := make([]int, 1000)
	for i := range all {
		all[i] = i
		lines.Append(line(i))
	}
	extract := []string{"regex", `user=(\d+) status=(\d+)`, "serializers", "s1 s2", "serializers.s1.name", "user", "serializers.s2.name", "status"}
	for _, c := range []struct {
		typ string
		kv  []string
	}{
		{"regex_filter", []string{"regex", "status=(200|500) "}}, {"timestamp", nil}, {"host", nil}, {"static", nil},
		{"regex_extractor", extract}, {"search_replace", []string{"searchPattern", `user=\d+`, "replaceString", "user=X"}}, {"uuid", nil},
	} {
		b.Run(c.typ, func(b *testing.B) {
			one := newOne(b, false, c.typ, c.kv...)
			b.ReportAllocs()
			b.SetBytes(207 * 1000)
			for b.Loop() {
				batch := record.NewSlab(512 << 10)
				for _, i := range all {
					batch.Append(lines.Body(i))
				}
				if err := one.Intercept(batch); err != nil {
					b.Fatal(err)
				}
				batch.Release()
			}
		})
	}
}
