package persistence

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
)

// checkVariable tells a process that it is a child which only opens Badger.
const checkVariable = "SLUICE_STORE_CHECK"

// childReady says that this executable can serve as that child.
var childReady atomic.Bool

// MaybeStoreCheck is called first thing in main. In the child process that an
// Open after an unclean stop starts it opens and closes Badger, and ends the
// process: some damage crashes Badger in a goroutine of its own, which nobody
// could recover from. In every other process it only notes that this works.
func MaybeStoreCheck() {
	dir := os.Getenv(checkVariable)
	if dir == "" {
		childReady.Store(true)
		return
	}
	go func() { // the other end closes when the parent ends, however it ends
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	s := &Store{opt: Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}}
	db, err := openBadger(dir, s)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// tryBadger opens Badger in a child process; the answer is what that died of.
func (s *Store) tryBadger(dir string) error {
	if s.opt.SkipChild || !childReady.Load() {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), checkVariable+"="+dir)
	// A child that outlives its parent would hold Badger's lock, and the next
	// start would take that for damage. So it ends with its parent, and holds
	// the store's lock until then.
	ends, parent, err := os.Pipe()
	if err != nil {
		return err
	}
	defer parent.Close()
	defer ends.Close()
	c.Stdin = ends
	if s.lock != nil {
		c.ExtraFiles = []*os.File{s.lock}
	}
	var says bytes.Buffer
	c.Stderr = &says
	if err := c.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, firstLines(says.String()))
	}
	return nil
}

// firstLines keeps what tells the cause of a crash.
func firstLines(s string) string {
	lines := strings.SplitN(strings.TrimSpace(s), "\n", 4)
	return strings.Join(lines[:min(3, len(lines))], " / ")
}
