package e2e

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// feed writes stamped lines to a log, as an application would: in bursts,
// sometimes half a line at a time, and with rotation.
type feed struct {
	dir     string
	rnd     *rand.Rand
	rotates bool

	next    int   // id of the next line
	bytes   int64 // written
	f       *os.File
	rotated int
	text    []byte

	stop chan struct{}
	wait sync.WaitGroup
	err  error
}

const payload = "abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 "

// appendLine appends the line with the given id: it can be checked alone.
func appendLine(dst []byte, id, length int) []byte {
	from := len(dst)
	dst = fmt.Appendf(dst, "seq=%09d ", id)
	for at := id % 26; length > 0; at = 0 {
		n := min(length, len(payload)-at)
		dst = append(dst, payload[at:at+n]...)
		length -= n
	}
	return fmt.Appendf(dst, " crc=%08x\n", crc32.ChecksumIEEE(dst[from:]))
}

// lines writes count lines at once, sometimes in two pieces.
func (f *feed) lines(count int) error {
	if f.f == nil {
		var err error
		if f.f, err = os.OpenFile(filepath.Join(f.dir, "app.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	f.text = f.text[:0]
	for range count {
		length := 20 + f.rnd.IntN(300)
		if f.rnd.IntN(100) == 0 {
			length = 1900
		}
		f.text = appendLine(f.text, f.next, length)
		f.next++
	}
	text := f.text
	if f.rnd.IntN(3) == 0 {
		cut := f.rnd.IntN(len(text))
		if _, err := f.f.Write(text[:cut]); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		f.bytes, text = f.bytes+int64(cut), text[cut:]
	}
	f.bytes += int64(len(text))
	_, err := f.f.Write(text)
	return err
}

// rotate renames the log; the application may write a little more into it
// before it begins a new one.
func (f *feed) rotate() error {
	if f.f == nil {
		return nil
	}
	f.rotated++
	now := filepath.Join(f.dir, "app.log")
	if err := os.Rename(now, fmt.Sprintf("%s.%d", now, f.rotated)); err != nil {
		return err
	}
	if f.rnd.IntN(2) == 0 {
		if err := f.lines(1 + f.rnd.IntN(20)); err != nil {
			return err
		}
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// begin writes until end is called.
func (f *feed) begin() {
	f.stop = make(chan struct{})
	f.wait.Go(func() {
		for {
			select {
			case <-f.stop:
				return
			case <-time.After(time.Duration(f.rnd.IntN(20)) * time.Millisecond):
			}
			count := 1 + f.rnd.IntN(40)
			if f.rnd.IntN(50) == 0 {
				count = 2000
			}
			if f.err = f.lines(count); f.err != nil {
				return
			}
			if f.rotates && f.rnd.IntN(60) == 0 {
				if f.err = f.rotate(); f.err != nil {
					return
				}
			}
		}
	})
}

// end stops writing.
func (f *feed) end(t *testing.T) {
	t.Helper()
	close(f.stop)
	f.wait.Wait()
	if f.err != nil {
		t.Fatalf("write the log: %v", f.err)
	}
}
