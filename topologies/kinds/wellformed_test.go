package kinds_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"

	"github.com/sluicehq/sluice/topologies/kinds"
)

func everyKind(t *testing.T, check func(t *testing.T, k *kinds.Kind)) {
	for _, c := range kinds.Categories() {
		for _, k := range kinds.All(c) {
			t.Run(string(c)+" "+k.Name, func(t *testing.T) {
				if k.Category != c {
					t.Errorf("stands among the %ss and says it is a %s", c, k.Category)
				}
				check(t, k)
			})
		}
	}
}

var sentence = regexp.MustCompile(`^[A-Z\x60][^\n]*[^\s.]\.$`)

func TestEveryMeaningIsASentence(t *testing.T) {
	everyKind(t, func(t *testing.T, k *kinds.Kind) {
		if !sentence.MatchString(k.Meaning) {
			t.Errorf("meaning %q", k.Meaning)
		}
		for _, p := range k.Properties {
			if !sentence.MatchString(p.Meaning) {
				t.Errorf("meaning of %s: %q", p.Name, p.Meaning)
			}
		}
	})
}

// A word such as "taildir" names one kind of a category, whatever its case.
func TestEveryNameMeansOneKind(t *testing.T) {
	for _, c := range kinds.Categories() {
		seen := map[string]string{}
		for _, k := range kinds.All(c) {
			for _, word := range append([]string{k.Name, k.Class}, k.Aliases...) {
				word = strings.ToLower(word)
				if other, ok := seen[word]; ok && other != k.Name {
					t.Errorf("%s %q means %s and %s", c, word, other, k.Name)
				}
				seen[word] = k.Name
			}
			if found, ok := kinds.Lookup(c, strings.ToUpper(k.Class)); !ok || found != k {
				t.Errorf("%s %s is not found by its class in capitals", c, k.Name)
			}
		}
	}
}

func TestPropertyNamesAreUniqueInTheirKind(t *testing.T) {
	everyKind(t, func(t *testing.T, k *kinds.Kind) {
		seen := map[string]bool{}
		for _, p := range k.Properties {
			if seen[p.Name] || p.Name == "" {
				t.Errorf("property %q stands twice, or is empty", p.Name)
			}
			seen[p.Name] = true
			if found, ok := k.Property(strings.NewReplacer("<", "x", ">", "x", "*", "y.z").Replace(p.Name)); !ok || found.Name != p.Name {
				t.Errorf("property %s does not find itself: %+v", p.Name, found)
			}
		}
		if k.BatchProperty != "" && len(k.Properties) > 0 {
			if _, ok := k.Property(k.BatchProperty); !ok {
				t.Errorf("batch property %q is not in the table", k.BatchProperty)
			}
		}
	})
}

func TestEveryDefaultCanBeReadAsItsType(t *testing.T) {
	everyKind(t, func(t *testing.T, k *kinds.Kind) {
		for _, p := range k.Properties {
			if p.Required && p.Default != "" {
				t.Errorf("%s is required and has a default", p.Name)
			}
			if p.Default != "" {
				checkText(t, &p, p.Default)
			}
			if p.Type == kinds.Enum && len(p.Values) == 0 {
				t.Errorf("%s is an enum without values", p.Name)
			}
			if (p.Type == kinds.Class) != (p.Category != "") {
				t.Errorf("%s: type %s and category %q do not go together", p.Name, p.Type, p.Category)
			}
			if p.Type == kinds.Duration && p.Unit != "ms" && p.Unit != "s" {
				t.Errorf("%s: a duration in %q", p.Name, p.Unit)
			}
			if p.Min > p.Max {
				t.Errorf("%s: from %d to %d", p.Name, p.Min, p.Max)
			}
		}
	})
}

func checkText(t *testing.T, p *kinds.Property, text string) {
	t.Helper()
	switch p.Type {
	case kinds.Int, kinds.Long, kinds.Duration:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || (p.Min != 0 || p.Max != 0) && (n < p.Min || n > p.Max) {
			t.Errorf("%s: default %q is no number from %d to %d", p.Name, text, p.Min, p.Max)
		}
	case kinds.Bool:
		if text != "true" && text != "false" {
			t.Errorf("%s: default %q is neither true nor false", p.Name, text)
		}
	case kinds.Enum:
		for _, v := range p.Values {
			if v == text {
				return
			}
		}
		t.Errorf("%s: default %q is none of %v", p.Name, text, p.Values)
	case kinds.Regex:
		if _, err := regexp2.Compile(text, 0); err != nil {
			t.Errorf("%s: default %q: %v", p.Name, text, err)
		}
	case kinds.Class:
		if _, ok := kinds.Lookup(p.Category, text); !ok {
			t.Errorf("%s: default %q is no %s", p.Name, text, p.Category)
		}
	}
}

// What sluice does otherwise than Flume has to be said.
func TestADifferenceHasANote(t *testing.T) {
	everyKind(t, func(t *testing.T, k *kinds.Kind) {
		if k.Support != kinds.Works && k.Note == "" {
			t.Errorf("support %q without a note", k.Support)
		}
		for _, p := range k.Properties {
			if (p.Support != kinds.Works) != (p.Note != "") {
				t.Errorf("%s: support %q, note %q", p.Name, p.Support, p.Note)
			}
		}
	})
}

func TestPatternsStandForFamiliesOfNames(t *testing.T) {
	taildir, _ := kinds.Lookup(kinds.Source, "TAILDIR")
	for name, want := range map[string]string{
		"filegroups":             "filegroups",
		"filegroups.f1":          "filegroups.<group>",
		"headers.f1.a.b.c":       "headers.<group>.*",
		"interceptors.i1.type":   "interceptors.<name>.type",
		"filegroups.f1.x":        "",
		"headers.f1":             "",
		"headers..x":             "",
		"batchsize":              "",
		"interceptors.i1.type.x": "",
	} {
		p, ok := taildir.Property(name)
		if got := nameOf(p, ok); got != want {
			t.Errorf("%q is the property %q, want %q", name, got, want)
		}
	}
}

func nameOf(p *kinds.Property, ok bool) string {
	if !ok {
		return ""
	}
	return p.Name
}

// The parts of a component have tables of their own, below a prefix.
func TestAPartIsFoundByTheTextOfItsClassProperty(t *testing.T) {
	for _, c := range []struct{ kind, property, prefix string }{
		{"http", "handler", "handler."},
		{"http", "selector.type", "selector."},
		{"http", "interceptors.i1.type", "interceptors.i1."},
		{"spooldir", "deserializer", "deserializer."},
	} {
		k, _ := kinds.Lookup(kinds.Source, c.kind)
		p, ok := k.Property(c.property)
		if !ok || p.PartPrefix(c.property) != c.prefix {
			t.Errorf("%s %s: got prefix %q, want %q", c.kind, c.property, p.PartPrefix(c.property), c.prefix)
		}
	}
}
