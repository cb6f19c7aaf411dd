package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// deadLetters is a file with a line of JSON per record that could not be
// delivered. It is synced before the record counts as done.
type deadLetters struct {
	path   string
	mu     sync.Mutex
	file   *os.File // nil: to be opened
	size   int64
	torn   bool  // the file ends inside of a line
	broken error // of a sync: what is on disk is not known in this run any more
}

// deadLetter is a line of the file.
type deadLetter struct {
	Time    time.Time         `json:"time"`
	Sink    string            `json:"sink"`
	Code    string            `json:"code"`
	Reason  string            `json:"reason"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"` // base64
}

// newDeadLetter is the line for record i.
func newDeadLetter(sink string, batch *record.Slab, i int, code, reason string) []byte {
	line := deadLetter{time.Now(), sink, code, reason, map[string]string{}, batch.Body(i)}
	for k, v := range batch.Headers(i) {
		line.Headers[k] = string(v)
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // strings and bytes only
	}
	return append(text, '\n')
}

// add writes the lines of a batch, or none of them: after an error the file is
// as before, as far as that can be, and is opened again for the next.
func (d *deadLetters) add(lines [][]byte) error {
	if len(lines) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.open()
	if err == nil {
		err = d.write(bytes.Join(lines, nil))
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}

func (d *deadLetters) write(text []byte) error {
	if d.torn {
		text = append([]byte{'\n'}, text...)
	}
	if _, err := d.file.Write(text); err != nil {
		return errors.Join(err, d.file.Truncate(d.size), d.shut())
	}
	d.size, d.torn = d.size+int64(len(text)), false
	return nil
}

// open opens the file, if it is not.
func (d *deadLetters) open() (err error) {
	if d.broken != nil || d.file != nil {
		return d.broken
	}
	if d.file, err = openDeadLetters(d.path); err != nil {
		return err
	}
	info, err := d.file.Stat()
	if err != nil {
		return errors.Join(err, d.shut())
	}
	d.size, d.torn = info.Size(), false
	if d.size > 0 {
		var last [1]byte
		if _, err := d.file.ReadAt(last[:], d.size-1); err != nil {
			return errors.Join(err, d.shut())
		}
		d.torn = last[0] != '\n' // the process ended while it wrote
	}
	return nil
}

func (d *deadLetters) shut() error {
	err := d.file.Close()
	d.file = nil
	return err
}

// openDeadLetters opens the file. Its name, and those of its two folders, are
// on disk before anything counts as done for lying there.
func openDeadLetters(path string) (*os.File, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for range 3 {
		if err := syncFolder(dir); err != nil {
			file.Close()
			return nil, err
		}
		dir = filepath.Dir(dir)
	}
	return file, nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sync answers nil when everything added is on disk.
func (d *deadLetters) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.open() // after a failed write it is another handle of the same file
	if err == nil {
		if err = d.file.Sync(); err != nil {
			d.broken = err
		}
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		_ = d.shut() // it is synced where that matters
	}
}
