package persistence

import (
	"fmt"
	"strings"
)

// badgerLog takes what Badger says. Some errors of its value log and tables
// are only logged and the commit succeeds; here they stop the store.
type badgerLog struct{ s *Store }

func (b badgerLog) Errorf(format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	b.s.opt.Log.Error("badger", "says", text)
	if b.s.live.Load() { // Open and Close return their errors
		b.s.mu.Lock()
		defer b.s.mu.Unlock()
		b.s.fail(fmt.Errorf("badger: %s", text))
	}
}

func (b badgerLog) Warningf(format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if strings.Contains(text, "compact") || strings.Contains(text, "Compact") {
		b.Errorf(format, args...)
		return
	}
	b.s.opt.Log.Warn("badger", "says", text)
}

func (b badgerLog) Infof(string, ...any)  {}
func (b badgerLog) Debugf(string, ...any) {}
