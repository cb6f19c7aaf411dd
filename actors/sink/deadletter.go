package sink

import (
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
	path string
	mu   sync.Mutex
	file *os.File
	err  error
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

func (d *deadLetters) add(sink string, batch *record.Slab, i int, code, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil && d.err == nil {
		d.file, d.err = openDeadLetters(d.path)
	}
	if d.err != nil {
		return
	}
	line := deadLetter{time.Now(), sink, code, reason, map[string]string{}, batch.Body(i)}
	for k, v := range batch.Headers(i) {
		line.Headers[k] = string(v)
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = d.file.Write(append(text, '\n'))
	}
	d.err = err
}

// openDeadLetters opens the file. Its name, and those of its two folders, are
// on disk before anything counts as done for lying there.
func openDeadLetters(path string) (*os.File, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
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
	if d.err == nil && d.file != nil {
		d.err = d.file.Sync()
	}
	if d.err != nil {
		return fmt.Errorf("write dead letters: %w", d.err)
	}
	return nil
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		d.file.Close()
	}
}
