package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// volume is an ext4 of its own, whose plug can be pulled.
type volume struct {
	t     *testing.T
	image string
	dir   string
}

func newVolume(t *testing.T) *volume {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a volume and pull its plug")
	}
	work := workDir(t)
	v := &volume{t: t, image: filepath.Join(work, "disk.img"), dir: filepath.Join(work, "disk")}
	if err := os.Mkdir(v.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"truncate", "-s", "2G", v.image},
		{"mkfs.ext4", "-q", "-F", v.image},
		{"mount", "-o", "loop", v.image, v.dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no ext4 on a loop device here: %v: %v %s", args, err, out)
		}
	}
	t.Cleanup(func() { v.unmount() })
	return v
}

func (v *volume) unmount() {
	var out []byte
	var err error
	for range 200 {
		if out, err = exec.Command("umount", v.dir).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // a killed process may still hold a file
	}
	v.t.Errorf("unmount: %v: %s", err, out)
}

// pull makes the file system forget everything that was not synced, as if the
// power had gone: _IOR('X', 125, __u32) with 2, do not flush the journal.
func (v *volume) pull() {
	v.t.Helper()
	d, err := os.Open(v.dir)
	if err != nil {
		v.t.Fatal(err)
	}
	defer d.Close()
	flags := uint32(2)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, d.Fd(), 0x8004587D, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		v.t.Fatalf("pull the plug: %v", errno)
	}
}

func (v *volume) plugIn() {
	v.t.Helper()
	v.unmount()
	if out, err := exec.Command("mount", "-o", "loop", v.image, v.dir).CombinedOutput(); err != nil {
		v.t.Fatalf("mount again: %v: %s", err, out)
	}
}

// drop puts whole files into the log directory, each synced before it gets its
// name: what the agent can see has survived, whatever happens to the power.
func (f *feed) drop(number, count int) error {
	text := []byte(nil)
	for i := range count {
		text = appendLine(text, f.next+i, 20+f.rnd.IntN(300))
	}
	hidden := filepath.Join(f.dir, "hidden")
	h, err := os.Create(hidden)
	if err != nil {
		return err
	}
	_, err = h.Write(text)
	if err == nil {
		err = h.Sync()
	}
	if e := h.Close(); err == nil {
		err = e
	}
	// The agent sees the last name only, and the one before is on the disk then:
	// what it has read is there after the plug, under one of the two.
	if err == nil {
		err = os.Rename(hidden, f.pending(number))
	}
	if err == nil {
		err = syncDir(f.dir)
	}
	if err == nil {
		err = os.Rename(f.pending(number), f.dropped(number))
	}
	if err == nil {
		f.next += count
		f.bytes += int64(len(text))
	}
	return err
}

// pending is the name of a file that the agent does not look for.
func (f *feed) pending(number int) string {
	return filepath.Join(f.dir, fmt.Sprintf("pending.%06d", number))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f *feed) dropped(number int) string {
	return filepath.Join(f.dir, fmt.Sprintf("app.%06d", number))
}

// Store, input and output lie on the volume. Every line that outlives the plug
// in the input is in the output once, and the agent starts every time.
func TestNothingIsLostOrRepeatedWhenThePlugIsPulled(t *testing.T) {
	v := newVolume(t)
	rnd := choices(t, 300)
	l := newLifeIn(t, filepath.Join(v.dir, "life"), rnd, lifeSettings{channel: "file", sinks: 2})
	syscall.Sync() // the configuration was there long ago
	number := 0
	counts := map[int]int{} // lines of each file
	for round := range times(2, 3, 15) {
		n := l.start()
		n.mustBeReady()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				count := 1 + l.feed.rnd.IntN(400)
				number++
				counts[number] = count
				if l.feed.drop(number, count) != nil {
					return // the plug is pulled
				}
			}
		}()
		time.Sleep(time.Duration(200+rnd.IntN(800)) * time.Millisecond)
		v.pull()
		n.kill()
		l.kills++
		close(stop)
		<-stopped
		v.plugIn()

		// What had no name on the disk was never sent.
		l.feed.next, l.feed.bytes = 0, 0
		for k := 1; k <= number; k++ {
			if _, err := os.Stat(l.feed.pending(k)); err == nil {
				if err := os.Rename(l.feed.pending(k), l.feed.dropped(k)); err != nil {
					t.Fatal(err)
				}
			}
			info, err := os.Stat(l.feed.dropped(k))
			if err != nil {
				for j := k + 1; j <= number; j++ {
					if _, err := os.Stat(l.feed.dropped(j)); err == nil {
						t.Fatalf("round %d: file %d is there and %d is not", round, j, k)
					}
				}
				number = k - 1
				break
			}
			l.feed.next += counts[k]
			l.feed.bytes += info.Size()
		}
	}
	l.mustBeWhole(l.finish(l.start()))
}
