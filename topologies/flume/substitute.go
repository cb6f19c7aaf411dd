package flume

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Bounds of substitution.
const (
	nestingMax  = 16      // references inside references and in the values they bring
	expandedMax = 8 << 20 // bytes that all references of a configuration may bring
)

// Why a value could not be substituted. The value then stays as it is.
var (
	errCycle    = errors.New("the reference leads back to itself")
	errNesting  = fmt.Errorf("references are nested more than %d deep", nestingMax)
	errExpanded = fmt.Errorf("references bring more than %d MiB", expandedMax>>20)
)

// substitutor replaces ${…} in values.
type substitutor struct {
	props  map[string]string // the properties of all files, by key
	env    map[string]string
	sys    map[string]string
	legacy bool // ${NAME} may also be a variable of the environment
	now    time.Time

	budget int             // bytes that references may still bring
	used   map[string]bool // keys that references named
	stack  []string        // of references, against cycles
	failed []string        // references of the current value that nothing answers
	err    error
}

// replace is value with its references resolved. What cannot be resolved stays
// as it is and is returned too.
func (s *substitutor) replace(value string) (string, []string, error) {
	if !strings.Contains(value, "${") {
		return value, nil, nil
	}
	s.stack, s.failed, s.err = s.stack[:0], nil, nil
	out := s.expand(value)
	if s.err != nil {
		return value, nil, s.err
	}
	return out, s.failed, nil
}

// expand resolves the references of value from left to right. Inside a
// reference it works on the name before the name is looked up, and on what the
// reference brings.
func (s *substitutor) expand(value string) string {
	if len(s.stack) >= nestingMax {
		s.err = errNesting
	}
	var b strings.Builder
	for s.err == nil {
		at := strings.Index(value, "${")
		if at < 0 {
			break
		}
		if at > 0 && value[at-1] == '$' { // $${x} is ${x}, kept from substitution
			b.WriteString(value[:at-1] + "$")
			value = value[at+1:]
			continue
		}
		end := closing(value[at+2:])
		if end < 0 {
			break
		}
		whole := value[at : at+2+end+1]
		b.WriteString(value[:at])
		value = value[at+len(whole):]
		if found, ok := s.reference(whole[2 : len(whole)-1]); ok {
			b.WriteString(found)
		} else {
			b.WriteString(whole)
		}
	}
	b.WriteString(value)
	return b.String()
}

// closing is the place of the brace that closes the reference that s begins
// with, past those nested in it; -1 where there is none.
func closing(s string) int {
	nested := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			nested++
			i++
		case s[i] == '}' && nested == 0:
			return i
		case s[i] == '}':
			nested--
		}
	}
	return -1
}

// reference is what stands for ${expression}.
func (s *substitutor) reference(expression string) (string, bool) {
	before := len(s.failed)
	s.stack = append(s.stack, "")
	name := s.expand(expression)
	s.stack = s.stack[:len(s.stack)-1]
	name, fallback, hasFallback := strings.Cut(name, ":-")
	if slices.Contains(s.stack, name) {
		s.err = errCycle
	}
	if s.err != nil {
		return "", false
	}
	found, ok := s.lookup(name)
	if !ok && hasFallback {
		found, ok = fallback, true
	}
	if !ok {
		s.failed = append(s.failed[:before], "${"+expression+"}")
		return "", false
	}
	s.failed = s.failed[:before]
	if s.budget -= len(found); s.budget < 0 {
		s.err = errExpanded
		return "", false
	}
	s.stack = append(s.stack, name)
	found = s.expand(found)
	s.stack = s.stack[:len(s.stack)-1]
	return found, true
}

// lookup finds "env:HOME", or a property of the files. As in Flume, a name with
// a prefix that finds nothing is tried without its prefix as a property.
func (s *substitutor) lookup(name string) (string, bool) {
	if prefix, rest, ok := strings.Cut(name, ":"); ok {
		if found, ok := s.prefixed(strings.ToLower(prefix), rest); ok {
			return found, true
		}
		name = rest
	}
	if found, ok := s.props[name]; ok {
		s.used[name] = true
		return found, true
	}
	if s.legacy {
		found, ok := s.env[name]
		return found, ok
	}
	return "", false
}

func (s *substitutor) prefixed(prefix, name string) (string, bool) {
	var found string
	ok := true
	switch prefix {
	case "env":
		found, ok = s.env[name]
	case "sys":
		found, ok = s.sys[name]
	case "java":
		found, ok = platform(name)
	case "date":
		found, ok = javaDate(name, s.now)
	default:
		ok = false
	}
	return found, ok
}

// platform answers ${java:…} with what runs instead of Java.
func platform(name string) (string, bool) {
	switch name {
	case "version":
		return "sluice on " + runtime.Version(), true
	case "runtime", "vm":
		return "Go runtime (build " + runtime.Version() + ")", true
	case "os":
		return runtime.GOOS + ", architecture: " + runtime.GOARCH, true
	case "hardware":
		return fmt.Sprintf("processors: %d, architecture: %s", runtime.NumCPU(), runtime.GOARCH), true
	}
	return "", false
}
