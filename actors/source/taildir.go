package source

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

const (
	byteOffsetHeader = "byteoffset" // Flume's name
	// gather is how long lines that come one by one may be gathered.
	gather = 5 * time.Millisecond
	// lookInterval is how often directories are looked at while files are read
	// or the channel is full, lest a file comes and goes unseen.
	lookInterval = time.Second
)

// taildir follows the files of directories. One goroutine does everything but
// the emitting, so that it keeps an eye on the directories while the channel
// is full.
type taildir struct {
	log      *slog.Logger
	counters *Counters
	compat   bool

	groups         []*tailGroup
	batchSize      int
	turnMax        int64 // batches of one file before the next has its turn
	skipToEnd      bool
	byteOffset     bool
	fileHeaderKey  string // "" for none
	idle           time.Duration
	backoffStep    time.Duration
	backoffMax     time.Duration
	cachedMatching bool

	stored  map[string][]Checkpoint // of earlier runs, until their file is found
	lives   map[uint64]int          // by inode: the first generation that no stored stream has
	listed  map[uint64][]position   // the position file's entries by inode
	foreign bool                    // and they win
	book    *positionBook

	opened   int // files
	openMax  int
	files    map[fileID]*tailFile
	order    []*tailFile // oldest change first
	byPath   map[string]*tailFile
	watch    *tailWatch
	relist   bool // a name came or went
	started  time.Time
	lastLook time.Time
	polls    int             // in a row that found nothing
	lastWake time.Time       // by an event
	odd      map[string]bool // what has been said once
	digits   []byte          // of a header

	emits chan emission
}

// emission is a batch on its way to Emit.
type emission struct {
	batch *record.Slab
	at    Checkpoint
}

func newTaildir(settings topologies.Settings, env Env) (Source, error) {
	t := &taildir{
		log:            env.Log,
		counters:       env.Counters,
		compat:         env.Compat,
		batchSize:      max(1, settings.Int("batchSize")),
		turnMax:        max(1, settings.Int64("maxBatchCount")),
		skipToEnd:      settings.Bool("skipToEnd"),
		byteOffset:     settings.Bool("byteOffsetHeader"),
		idle:           settings.Duration("idleTimeout"),
		backoffStep:    settings.Duration("backoffSleepIncrement"),
		backoffMax:     settings.Duration("maxBackoffSleep"),
		cachedMatching: settings.Bool("cachePatternMatching"),
		stored:         map[string][]Checkpoint{},
		lives:          map[uint64]int{},
		openMax:        openLimit(),
		files:          map[fileID]*tailFile{},
		byPath:         map[string]*tailFile{},
		odd:            map[string]bool{},
		emits:          make(chan emission, 1),
	}
	if settings.Bool("fileHeader") {
		t.fileHeaderKey = settings.String("fileHeaderKey")
	}
	names := settings.List("filegroups")
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: filegroups names no group of files", settings.Name())
	}
	for _, name := range names {
		g, err := newTailGroup(settings, name, env)
		if err != nil {
			return nil, err
		}
		t.groups = append(t.groups, g)
	}
	path, err := expandHome(settings.String("positionFile"))
	if err != nil {
		return nil, fmt.Errorf("%s: positionFile: %w", settings.Name(), err)
	}
	interval := settings.Duration("writePosInterval")
	if err := settings.Err(); err != nil {
		return nil, err
	}
	for stream, at := range env.Checkpoints {
		if id, generation, ok := parseStream(stream); ok && len(at) > 0 {
			t.stored[stream] = at
			t.lives[id.inode] = max(t.lives[id.inode], generation+1)
		}
	}
	wrote := openOwnWrites(env.Dir, "taildir-position.sha256")
	entries, foreign := loadPositions(path, wrote, t.log)
	// Without the hashes nobody can tell who wrote the file; what is stored is
	// exact, and the file may lag behind it.
	t.foreign = foreign && (wrote.known || len(t.stored) == 0)
	t.listed = map[uint64][]position{}
	for _, p := range entries {
		t.listed[p.Inode] = append(t.listed[p.Inode], p)
	}
	t.book = newPositionBook(path, interval, wrote, t.log)
	return t, nil
}

func (t *taildir) Settled(at Checkpoint) { t.book.settle(at) }

func (t *taildir) Run(ctx context.Context, out Out) error {
	t.watch = newTailWatch(t.log)
	defer t.watch.close()
	defer t.closeAll()
	t.started = time.Now()
	stop, done := make(chan struct{}), make(chan struct{}, 2)
	beside := func(do func()) {
		defer contain(ctx)
		defer func() { done <- struct{}{} }()
		do()
	}
	go beside(func() { t.emitAll(ctx, out) })
	go beside(func() { t.book.run(stop) })
	err := t.follow(ctx)
	close(t.emits)
	close(stop)
	<-done
	<-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// emitAll hands the batches on in order, and drops them once ctx has ended:
// they are read again at the next start.
func (t *taildir) emitAll(ctx context.Context, out Out) {
	for e := range t.emits {
		t.book.taking()
		if out.Emit(ctx, e.batch, e.at) != nil {
			t.book.refused()
			for e := range t.emits {
				e.batch.Release()
			}
			return
		}
	}
}

// follow reads whatever there is, and waits for more, until ctx ends.
func (t *taildir) follow(ctx context.Context) error {
	if err := t.look(ctx, true); err != nil {
		return err
	}
	for ctx.Err() == nil {
		read := false
		for _, f := range slices.Clone(t.order) {
			if !f.dirty {
				continue
			}
			n, err := t.turn(ctx, f, false)
			if err != nil {
				return err
			}
			read = read || n > 0
		}
		if err := t.retire(ctx); err != nil {
			return err
		}
		if read {
			t.polls = 0
			if t.relist || time.Since(t.lastLook) > lookInterval {
				if err := t.look(ctx, false); err != nil {
					return err
				}
			}
			if slices.ContainsFunc(t.order, func(f *tailFile) bool { return f.dirty }) {
				continue
			}
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send puts a batch on its way. While that takes long it looks after the
// directories.
func (t *taildir) send(ctx context.Context, batch *record.Slab, at Checkpoint) error {
	select {
	case t.emits <- emission{batch, at}:
		return nil
	default:
	}
	again := time.NewTicker(lookInterval)
	defer again.Stop()
	for {
		select {
		case t.emits <- emission{batch, at}:
			return nil
		case <-ctx.Done():
			batch.Release()
			return ctx.Err()
		case <-again.C:
			t.openNew()
		}
	}
}

// openNew opens what came since, so that it can be deleted or renamed before
// the channel takes anything again.
func (t *taildir) openNew() {
	if err := t.list(); err != nil {
		t.once("list", "directories cannot be read", "err", err)
	}
}

// turn reads f until its end or until the next file has its turn, and says how
// many records there were. With flush a last line without newline counts.
func (t *taildir) turn(ctx context.Context, f *tailFile, flush bool) (read int, err error) {
	f.dirty = false
	if ok, err := t.ready(ctx, f); !ok || err != nil {
		return 0, err
	}
	for n := int64(0); ; n++ {
		if n >= t.turnMax {
			f.dirty = true
			return read, nil
		}
		from := f.pos
		batch, cut, err := f.next(t.batchSize, flush)
		if err != nil {
			t.failed(f, "read", err)
			return read, nil
		}
		f.failing = false
		if batch == nil {
			return read, nil
		}
		if f.outgrown() {
			batch.Release()
			f.dirty = true // the next look begins it anew
			return read, nil
		}
		if cut {
			t.counters.Truncated.Add(1)
			t.log.Warn("a line is too long for one record and becomes several", "file", f.path, "at", from, "bytes", lineMax)
		}
		now := time.Now()
		f.grew = now
		batch.SetTime(now.UnixMilli())
		t.dress(batch, f, from)
		read += batch.Len()
		if err := t.send(ctx, batch, f.checkpoint()); err != nil {
			return read, err
		}
		if now.Sub(t.lastLook) > lookInterval {
			if err := t.look(ctx, false); err != nil {
				return read, err
			}
			f.dirty = false
		}
	}
}

// dress gives the records their headers.
func (t *taildir) dress(batch *record.Slab, f *tailFile, from int64) {
	if t.byteOffset {
		for i := range batch.Len() {
			t.digits = strconv.AppendInt(t.digits[:0], from+int64(f.starts[i]), 10)
			batch.SetHeader(i, byteOffsetHeader, t.digits)
		}
	}
	for _, h := range f.group.headers {
		batch.SetCommon(h.key, []byte(h.value))
	}
	if t.fileHeaderKey != "" {
		batch.SetCommon(t.fileHeaderKey, []byte(f.path))
	}
}

func (f *tailFile) checkpoint() Checkpoint {
	return Checkpoint{Stream: f.stream, Pos: uint64(f.pos), Data: f.data}
}

func (t *taildir) failed(f *tailFile, doing string, err error) {
	t.counters.EventReadFail.Add(1)
	if !f.failing {
		f.failing = true
		t.log.Error("file cannot be read now; it is tried again", "file", f.path, "doing", doing, "err", err)
	}
}

// once logs what need not be said twice.
func (t *taildir) once(key, text string, args ...any) {
	if !t.odd[key] {
		t.odd[key] = true
		t.log.Warn(text, args...)
	}
}

// retire closes files that have been idle, after emitting what is left of
// them, and forgets those that no longer match.
func (t *taildir) retire(ctx context.Context) error {
	now := time.Now()
	for _, f := range slices.Clone(t.order) {
		quiet := f.quietSince()
		if f.dirty || now.Sub(quiet) < t.idle {
			continue
		}
		if f.f != nil {
			if _, err := t.turn(ctx, f, true); err != nil {
				return err
			}
			if f.dirty || f.grew.After(quiet) && f.pos < f.size {
				continue
			}
			f.close()
		}
		if !f.listed {
			if err := t.forget(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *taildir) forget(ctx context.Context, f *tailFile) error {
	f.close()
	delete(t.files, f.id)
	t.order = slices.DeleteFunc(t.order, func(o *tailFile) bool { return o == f })
	if t.byPath[f.path] == f {
		delete(t.byPath, f.path)
	}
	if f.stream == "" {
		t.book.forget(f.emptyName())
		return nil
	}
	t.book.forget(f.stream)
	return t.forgetStream(ctx, f.stream)
}

func (t *taildir) closeAll() {
	for _, f := range t.files {
		f.close()
	}
}
