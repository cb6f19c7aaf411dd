package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// progress shows how far long work is, on a terminal: one line that is drawn
// anew each second, with the rate and the time that is left. Elsewhere it is
// silent.
type progress struct {
	w     io.Writer
	total int64
	done  atomic.Int64
	stop  chan struct{}
	ended chan struct{}
}

func newProgress(w io.Writer, total int64) *progress {
	p := &progress{w: w, total: total, stop: make(chan struct{}), ended: make(chan struct{})}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		close(p.ended)
		return p
	}
	go p.draw()
	return p
}

func (p *progress) add(n int64) { p.done.Add(n) }

func (p *progress) draw() {
	defer close(p.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-p.stop:
			fmt.Fprint(p.w, "\r\x1b[K")
			return
		case <-tick.C:
			n := p.done.Load()
			perSecond := float64(n) / time.Since(began).Seconds()
			left := "?"
			if perSecond > 0 {
				left = time.Duration(float64(p.total-n) / perSecond * 1e9).Round(time.Second).String()
			}
			fmt.Fprintf(p.w, "\r\x1b[K%d of %d (%d %%), %.0f/s, %s left", n, p.total, n*100/max(p.total, 1), perSecond, left)
		}
	}
}

func (p *progress) end() {
	close(p.stop)
	<-p.ended
}
