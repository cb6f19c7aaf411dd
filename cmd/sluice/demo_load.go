package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/e2e/gen"
)

// appLog appends numbered lines to a log, as an application does.
type appLog struct {
	file    *os.File
	lines   *gen.Lines
	rate    int // lines a second
	written atomic.Int64
	stop    chan struct{}
	ended   chan error
}

func startLoad(path string, rate int) (*appLog, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &appLog{file: f, lines: gen.New(gen.Seed), rate: rate, stop: make(chan struct{}), ended: make(chan error, 1)}
	go func() { l.ended <- l.run() }()
	return l, nil
}

// loadTick is how often lines are written; each time as many as are due.
const loadTick = 20 * time.Millisecond

func (l *appLog) run() error {
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	began := time.Now()
	var text []byte
	for {
		due := int64(time.Since(began).Seconds() * float64(l.rate))
		text = text[:0]
		n := due - l.written.Load()
		for range n {
			text = l.lines.Next(text)
		}
		if _, err := l.file.Write(text); err != nil {
			return err
		}
		l.written.Add(n)
		select {
		case <-l.stop:
			return l.file.Close()
		case <-tick.C:
		}
	}
}

// finish ends the load and returns how many lines it wrote.
func (l *appLog) finish() (int, error) {
	close(l.stop)
	err := <-l.ended
	return int(l.written.Load()), err
}
