package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen shows lines, and on a terminal a last line that is drawn anew. Keys
// come one by one when both sides are a terminal.
type screen struct {
	w     io.Writer
	live  bool // a terminal
	raw   bool // lines need a carriage return
	drawn bool // the last line may be drawn over
	keys  chan byte
}

// newScreen shows on w and reads keys from in. restore gives the terminal back
// as it was; it may be called twice.
func newScreen(w io.Writer, in *os.File) (s *screen, restore func()) {
	s = &screen{w: w}
	out, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
		return s, func() {}
	}
	s.live = true
	if !term.IsTerminal(int(in.Fd())) {
		return s, func() {}
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return s, func() {}
	}
	s.raw = true
	s.keys = make(chan byte)
	go func() {
		var b [1]byte
		for {
			if n, err := in.Read(b[:]); n == 0 || err != nil {
				return
			}
			s.keys <- b[0]
		}
	}()
	var once sync.Once
	return s, func() {
		once.Do(func() {
			term.Restore(int(in.Fd()), before)
			s.raw = false
		})
	}
}

// line shows a line that stays.
func (s *screen) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.drawn {
		s.drawn = false
		io.WriteString(s.w, "\r\x1b[K")
	}
	end := "\n"
	if s.raw {
		end, text = "\r\n", strings.ReplaceAll(text, "\n", "\r\n")
	}
	io.WriteString(s.w, text+end)
}

// field is a part of the line that is redrawn; where they do not all fit, those
// of the lowest weight go first.
type field struct {
	text   string
	weight int
}

// redraw shows a line in place of the one redrawn before; without a terminal it
// is one more line.
func (s *screen) redraw(fields ...field) {
	if !s.live {
		s.line("%s", fit(fields, 1<<20))
		return
	}
	width := 80
	if out, ok := s.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
			width = w
		}
	}
	// A line that fills the last column could make the terminal begin a new one.
	io.WriteString(s.w, "\r\x1b[K"+fit(fields, width-1))
	s.drawn = true
}

// fit writes the fields in width columns: closer together if they must be, and
// then without the least of them. None is cut.
func fit(fields []field, width int) string {
	fields = slices.Clone(fields)
	for gap := "   "; len(fields) > 0; gap = "  " {
		text := ""
		for i, f := range fields {
			if i == 0 {
				text = gap[1:] + f.text
			} else {
				text += gap + f.text
			}
		}
		if len(text) <= width {
			return text
		}
		if gap == "  " {
			least := 0
			for i, f := range fields {
				if f.weight < fields[least].weight {
					least = i
				}
			}
			fields = slices.Delete(fields, least, least+1)
		}
	}
	return ""
}
