package topologies

import (
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// values looks at the properties of a component, or of a part of it. c is nil
// for a part of a sink group.
func (v *validator) values(who string, c *Component, kind *kinds.Kind, values map[string]Value) {
	v.required(who, c, kind, values)
	for name, value := range values {
		if p, ok := kind.Property(name); ok {
			v.value(who, name, p, value)
		}
	}
	for _, part := range Parts(kind, values) {
		v.part(who, c, part, values)
	}
}

// required looks for properties that have to be there.
func (v *validator) required(who string, c *Component, kind *kinds.Kind, values map[string]Value) {
	for _, p := range kind.Properties {
		if !p.Required || p.Name == "type" || p.Name == "channel" || p.Name == "channels" {
			continue
		}
		wanted := []string{p.Name}
		if list, rest, ok := strings.Cut(p.Name, ".<"); ok {
			_, rest, _ = strings.Cut(rest, ">")
			wanted = nil
			for _, name := range listed(values, list) {
				wanted = append(wanted, list+"."+name+rest)
			}
		}
		for _, name := range wanted {
			if strings.TrimSpace(values[name].Text) == "" {
				v.add("SL0302", Error, whose(c, values), 0, "%s (type %s) needs %s", who, kind.Name, name).Hint = lowerFirst(p.Meaning)
			}
		}
	}
}

// whose is the place to point at for something that is not there.
func whose(c *Component, values map[string]Value) Pos {
	if typ, ok := values["type"]; ok {
		return typ.Pos
	}
	if c != nil {
		return c.Pos
	}
	return Pos{}
}

func lowerFirst(sentence string) string {
	return strings.ToLower(sentence[:1]) + strings.TrimSuffix(sentence[1:], ".")
}

// part looks at a selector, an interceptor or the like.
func (v *validator) part(who string, c *Component, part Part, values map[string]Value) {
	value, there := values[part.Name]
	category := part.Property.Category
	switch {
	case part.Type == "":
		list, _, _ := strings.Cut(part.Name, ".")
		v.atValue("SL0111", Error, values[list], "%s: %s has no type", who, strings.TrimSuffix(part.Prefix, ".")).
			Hint = "add " + part.Name
	case part.Kind == nil && there:
		f := v.atValue("SL0125", Error, value, "%s: there is no %s %q", who, category, value.Shown())
		f.Hint = nearestKind(category, part.Type)
	case part.Kind == nil:
	case part.Kind.Support == kinds.Missing:
		v.atValue("SL0126", Error, value, "%s: sluice has no %s %q", who, category, part.Kind.Name).Hint = part.Kind.Note
	default:
		v.values(who+" "+strings.TrimSuffix(part.Prefix, "."), c, part.Kind, part.Values)
	}
}

// value looks whether a text is one that its property can have.
func (v *validator) value(who, name string, p *kinds.Property, value Value) {
	if p.Support == kinds.Ignored {
		v.add("SL0320", Note, value.Key, len(name), "%s: %s has no effect", who, name).Hint = p.Note
		return
	}
	if p.Support == kinds.Missing {
		v.add("SL0321", Error, value.Key, len(name), "%s: sluice does not have %s", who, name).Hint = p.Note
		return
	}
	if p.Support == kinds.Noted && p.Note != "sluice only" {
		v.add("SL0322", Note, value.Key, len(name), "%s: %s works otherwise than in Flume", who, name).Hint = p.Note
	}
	text := strings.TrimSpace(value.Text)
	switch p.Type {
	case kinds.Int, kinds.Long, kinds.Duration:
		v.number(who, name, p, value, text)
	case kinds.Bool:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			f := v.atValue("SL0304", Warning, value, "%s: %s = %s is false: only true is true", who, name, quoted(value))
			f.Hint, f.Flume = "write true or false", "take it for false too"
		}
	case kinds.Enum:
		v.enum(who, name, p, value, text)
	case kinds.Regex:
		v.regex(who, name, value, text)
	case kinds.Charset:
		if !knownCharset(text) {
			f := v.atValue("SL0307", Error, value, "%s: %s: character set %s is not supported", who, name, quoted(value))
			f.Hint = didYouMean(text, charsets)
			if f.Hint == "" {
				f.Hint = "one of: " + strings.Join(charsets, ", ")
			}
		}
	}
}

// quoted is a value's text for a message.
func quoted(value Value) string {
	if r := []rune(value.Shown()); len(r) > 60 {
		return strconv.Quote(string(r[:60]) + "…")
	}
	return strconv.Quote(value.Shown())
}

func (v *validator) number(who, name string, p *kinds.Property, value Value, text string) {
	n, err := strconv.ParseInt(text, 10, 64)
	low, high := p.Min, p.Max
	if low == 0 && high == 0 {
		low, high = math.MinInt64, math.MaxInt64
	}
	code, why := "", ""
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		code, why = "SL0301", "is not a whole number"
	case err != nil || n < low || n > high:
		code, why = "SL0303", "is out of range: "+bounds(low, high)
	default:
		return
	}
	severity, flume := Error, "drop the component"
	if p.Lenient {
		severity, flume = Warning, "use the default too"
		why += "; the default " + p.Default + " is used"
	}
	f := v.atValue(code, severity, value, "%s: %s = %s %s", who, name, quoted(value), why)
	if code == "SL0301" {
		f.Flume = flume
	}
	if p.Unit != "" {
		f.Hint = "a plain number of " + p.Unit
	}
}

// bounds says in words from where to where a number may be.
func bounds(low, high int64) string {
	if high == math.MaxInt64 || high == math.MaxInt32 {
		return fmt.Sprintf("%d or more", low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func (v *validator) enum(who, name string, p *kinds.Property, value Value, text string) {
	for _, known := range p.Values {
		if strings.EqualFold(text, known) {
			return
		}
	}
	f := v.atValue("SL0305", Error, value, "%s: %s cannot be %s", who, name, quoted(value))
	if f.Hint = didYouMean(text, p.Values); f.Hint == "" {
		f.Hint = "one of: " + strings.Join(p.Values, ", ")
	}
}

// regex looks whether a Java pattern can be compiled. The component that uses it
// translates more of Java's forms than are tried here, so only what no engine
// could take is an error.
func (v *validator) regex(who, name string, value Value, text string) {
	_, err := regexp.Compile(text)
	if err == nil {
		return
	}
	if _, err2 := regexp2.Compile(possessive.ReplaceAllString(text, "$1"), regexp2.None); err2 == nil {
		return
	}
	severity := Warning
	var bad *syntax.Error
	if errors.As(err, &bad) {
		switch bad.Code {
		case syntax.ErrMissingBracket, syntax.ErrMissingParen, syntax.ErrUnexpectedParen, syntax.ErrTrailingBackslash, syntax.ErrMissingRepeatArgument:
			severity = Error
		}
	}
	why := err.Error()
	if bad != nil {
		why = bad.Code.String()
		if bad.Expr != "" && !value.Secret {
			why += ": " + bad.Expr
		}
	}
	v.atValue("SL0306", severity, value, "%s: %s = %s is no regular expression: %s", who, name, quoted(value), why)
}

// possessive matches a possessive quantifier's plus sign.
var possessive = regexp.MustCompile(`([*+?}])\+`)

// charsets are the character sets that sluice reads and writes.
var charsets = []string{"UTF-8", "UTF-16", "UTF-16BE", "UTF-16LE", "UTF-32", "UTF-32BE", "UTF-32LE", "US-ASCII", "ISO-8859-1", "ISO-8859-15", "windows-1252"}

// charsetAliases are Java's other names of them, in lower case with hyphens.
var charsetAliases = map[string]bool{
	"utf8": true, "utf16": true, "unicode": true, "utf-16-be": true, "x-utf-16be": true, "utf-16-le": true, "x-utf-16le": true,
	"utf32": true, "utf-32-be": true, "utf-32-le": true, "ascii": true, "iso646-us": true, "646": true,
	"iso8859-1": true, "latin1": true, "8859-1": true, "l1": true, "iso8859-15": true, "latin9": true, "8859-15": true, "l9": true, "cp1252": true,
}

func knownCharset(name string) bool {
	key := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	for _, c := range charsets {
		if strings.EqualFold(c, key) {
			return true
		}
	}
	return charsetAliases[key] || key == ""
}

// filegroup looks at the path of a taildir group: a folder, then a pattern for
// the names of files in it.
func (v *validator) filegroup(who, name string, value Value) {
	text := strings.TrimSpace(value.Text)
	if text == "" {
		return
	}
	if !path.IsAbs(text) {
		v.atValue("SL0308", Error, value, "%s: %s = %s is not an absolute path", who, name, quoted(value)).
			Hint = "write the folder from / on; the part after the last / is a pattern for file names"
		return
	}
	dir, pattern := path.Split(text)
	v.regex(who, name, Value{Text: pattern, Pos: value.Pos, Secret: value.Secret}, pattern)
	if strings.ContainsAny(dir, "*?[") {
		v.atValue("SL0308", Warning, value, "%s: %s = %s: only the file name can be a pattern, not the folder", who, name, quoted(value)).
			Hint = "add a group for each folder"
	}
	if strings.HasPrefix(pattern, "*") || strings.Contains(pattern, "*.") && !strings.Contains(pattern, ".*.") {
		v.atValue("SL0308", Warning, value, "%s: %s = %s: the file name is a regular expression and not a wildcard", who, name, quoted(value)).
			Hint = `write .*\.log for *.log`
	}
}
