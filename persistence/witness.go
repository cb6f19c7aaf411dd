package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// testimony is what the witness says. It lies beside Badger, so that a Badger
// that has silently lost its newest transactions is found out.
type testimony struct {
	generation uint64
	sequence   uint64 // of the last transaction
	high       int64  // no offset above was handed out
	nextGID    uint32
	clean      bool // the store was closed
	boot       [16]byte
	manifest   manifest
	ends       []logEnd // of logs with a lazy policy, as many as there is room for
}

// logEnd says that no offset of log gid from next on was handed out.
type logEnd struct {
	gid  uint32
	next record.Offset
}

// endOf is what is known of where log gid ended.
func (w testimony) endOf(gid uint32) record.Offset {
	for _, e := range w.ends {
		if e.gid == gid {
			return e.next
		}
	}
	if len(w.ends) == endsMax {
		return record.Offset(w.high)
	}
	return 0 // the log was made later
}

const (
	witnessMagic = 0x534c5754 // "SLWT"
	witnessHead  = 76
	witnessSlot  = 4096 // each slot in a block of its own
	endsMax      = (witnessSlot - witnessHead - 4) / 12
	// witnessEvery leaves half of the promised 100 ms for the sync.
	witnessEvery = 50 * time.Millisecond
)

func (w testimony) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, witnessMagic)
	b = binary.BigEndian.AppendUint32(b, w.nextGID)
	b = binary.BigEndian.AppendUint64(b, w.generation)
	b = binary.BigEndian.AppendUint64(b, w.sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(w.high))
	b = append(b, w.boot[:]...)
	b = binary.BigEndian.AppendUint32(b, w.manifest.size)
	b = binary.BigEndian.AppendUint32(b, w.manifest.crc)
	b = binary.BigEndian.AppendUint64(b, w.manifest.inode)
	b = append(b, byte(btoi(w.clean)))
	b = append(b, make([]byte, witnessHead-2-len(b))...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.ends)))
	for _, e := range w.ends {
		b = binary.BigEndian.AppendUint32(b, e.gid)
		b = binary.BigEndian.AppendUint64(b, uint64(e.next))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, segment.Table))
}

func decodeTestimony(b []byte) (w testimony, ok bool) {
	if len(b) < witnessHead || binary.BigEndian.Uint32(b) != witnessMagic {
		return w, false
	}
	end := witnessHead + 12*int(binary.BigEndian.Uint16(b[witnessHead-2:]))
	if len(b) < end+4 || crc32.Checksum(b[:end], segment.Table) != binary.BigEndian.Uint32(b[end:]) {
		return w, false
	}
	w.nextGID = binary.BigEndian.Uint32(b[4:])
	w.generation = binary.BigEndian.Uint64(b[8:])
	w.sequence = binary.BigEndian.Uint64(b[16:])
	w.high = int64(binary.BigEndian.Uint64(b[24:]))
	copy(w.boot[:], b[32:48])
	w.manifest = manifest{binary.BigEndian.Uint32(b[48:]), binary.BigEndian.Uint32(b[52:]), binary.BigEndian.Uint64(b[56:])}
	w.clean = b[64] == 1
	for at := witnessHead; at < end; at += 12 {
		w.ends = append(w.ends, logEnd{binary.BigEndian.Uint32(b[at:]), record.Offset(binary.BigEndian.Uint64(b[at+4:]))})
	}
	return w, true
}

// errNoWitness says that there is no witness that can be read.
var errNoWitness = errors.New("the witness is missing or cannot be read")

func readWitness(dir string) (testimony, error) {
	b, err := os.ReadFile(filepath.Join(dir, "witness"))
	if err != nil && !os.IsNotExist(err) {
		return testimony{}, err
	}
	var best testimony
	found := false
	for at := 0; at < len(b) && at <= witnessSlot; at += witnessSlot {
		if w, ok := decodeTestimony(b[at:min(at+witnessSlot, len(b))]); ok && (!found || w.generation > best.generation) {
			best, found = w, true
		}
	}
	if !found {
		return best, errNoWitness
	}
	return best, nil
}

// witness keeps the testimony up to date: two slots by turns, so that a torn
// write leaves the other.
type witness struct {
	s   *Store
	f   *os.File
	mu  sync.Mutex
	now testimony
	// settled: the logs are as they will be; before, the ends are what the run
	// before has left.
	settled bool
	dirty   chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

// start takes over from w and says that the store is open.
func (s *Store) startWitness(w testimony) error {
	f, err := os.OpenFile(filepath.Join(s.dir, "witness"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.witness = &witness{s: s, f: f, now: w, dirty: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if err := s.witness.write(false); err != nil {
		f.Close()
		return err
	}
	if err := segment.SyncDir(s.opt.Faults, s.dir); err != nil {
		f.Close()
		return err
	}
	go s.witness.run()
	return nil
}

// settle says that all doubt about earlier runs of the machine is dealt with.
func (w *witness) settle() error {
	w.mu.Lock()
	w.now.boot, w.settled = w.s.boot, true
	w.mu.Unlock()
	return w.write(false)
}

// touch has the testimony written soon.
func (w *witness) touch() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *witness) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case <-w.dirty:
		}
		select {
		case <-w.quit:
			return
		case <-time.After(witnessEvery):
		}
		if err := w.write(false); err != nil {
			w.s.mu.Lock()
			w.s.fail(err)
			w.s.mu.Unlock()
			return
		}
	}
}

// stop ends the witness; a clean stop is its last word.
func (w *witness) stop(clean bool) error {
	close(w.quit)
	<-w.done
	defer w.f.Close()
	if !clean {
		return nil
	}
	return w.write(true)
}

func (w *witness) write(clean bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.mu.Lock()
	w.now.nextGID = max(w.now.nextGID, w.s.nextGID)
	if w.settled {
		w.now.ends = w.now.ends[:0]
		for _, l := range w.s.lazies[:min(len(w.s.lazies), endsMax)] {
			w.now.ends = append(w.now.ends, logEnd{l.gid, l.handed})
		}
	}
	w.s.mu.Unlock()
	w.now.generation++
	w.now.sequence = max(w.now.sequence, w.s.sequence.Load())
	w.now.high = max(w.now.high, w.s.high.Load())
	w.now.clean = clean
	manifest, err := w.now.manifest.follow(w.s.badgerDir())
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	w.now.manifest = manifest
	if err := segment.Before(w.s.opt.Faults, OpWitness, w.f.Name()); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if _, err := w.f.WriteAt(w.now.encode(), int64(w.now.generation%2)*witnessSlot); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := segment.Fdatasync(w.f); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

// bootID tells one run of the machine from the next: what was written and not
// synced outlives a process, not the machine.
func bootID(given string) (id [16]byte) {
	if given == "" {
		b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return id
		}
		given = strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	}
	crc := crc32.Checksum([]byte(given), segment.Table)
	copy(id[:], given)
	binary.BigEndian.PutUint32(id[12:], crc)
	return id
}
