package sink

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// hdfs writes records to files whose folder and name are made of their headers
// and times, on a local file system. What has the same folder and prefix is a
// bucket, which has one file at a time.
//
// Deliver and the timers of the buckets meet under mu.
type hdfs struct {
	hdfsSettings
	env   Env
	files *files
	// path and prefix make a record's bucket; late are the same for records
	// that carry no time: they take the one at which they were read.
	path, prefix         *escaper
	latePath, latePrefix *escaper

	mu       sync.Mutex
	buckets  map[string]*bucket
	used     list.List // of *bucket, last used first
	free     []Serializer
	touched  []*bucket // by the batch being delivered
	last     *bucket   // of the record before
	key      []byte
	hopeless []hopelessRecord // of the batch being delivered

	closed  bool
	started time.Time
	orphans sync.WaitGroup
	stop    context.CancelFunc
	warned  bool
}

// bucket is one folder and file prefix.
type bucket struct {
	key     string // folder, a zero byte, prefix
	folder  string // below the sink's directory
	prefix  string
	number  int64 // of the last file
	file    *file // nil: none is open
	out     Serializer
	records int64 // in the file
	bytes   int64 // of bodies in the file
	touched bool
	roll    *time.Timer // nil: not yet started, or never
	idle    *time.Timer
	place   *list.Element
}

func newHDFS(s topologies.Settings, env Env) (Sink, error) {
	settings, err := readHDFSSettings(s, env)
	if err != nil {
		return nil, err
	}
	h := &hdfs{hdfsSettings: settings, env: env, buckets: map[string]*bucket{}, started: time.Now()}
	if err := h.compile(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	if h.files, err = openFiles(env, h.dir, settings.files); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	// What stands in the way shows before the first record does.
	_, err = h.files.ownRoot()
	if err == nil {
		err = writable(h.dir)
	}
	if err != nil {
		h.files.abandon()
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	if !env.Compat {
		h.orphans.Go(func() { defer h.env.contain(); h.adoptOrphans(ctx) })
	}
	h.announce(s)
	return h, nil
}

func (h *hdfs) compile() error {
	late := h.escapes
	late.UseLocalTime = true
	var errs [4]error
	h.path, errs[0] = newEscaper(h.below, h.escapes)
	h.prefix, errs[1] = newEscaper(h.filePrefix, h.escapes)
	h.latePath, errs[2] = newEscaper(h.below, late)
	h.latePrefix, errs[3] = newEscaper(h.filePrefix, late)
	return errors.Join(errs[:]...)
}

// announce says at start where files go and what of the settings may surprise.
func (h *hdfs) announce(s topologies.Settings) {
	h.env.Log.Info("hdfs sink writes to the local file system", "path", path.Join(h.dir, h.below), "from", s.String("hdfs.path"))
	if !s.Has("hdfs.rollInterval") && !s.Has("hdfs.rollSize") && !s.Has("hdfs.rollCount") {
		h.env.Log.Warn("Flume's defaults make very small files: set hdfs.rollCount, hdfs.rollSize and hdfs.rollInterval", "rollCount", h.rollCount, "rollSize", h.rollSize, "rollInterval", h.rollInterval)
	}
}

// Deliver writes batch: all of it to its buckets' files, or none. A record that
// the serializer refuses goes to the dead letters once the rest is written.
func (h *hdfs) Deliver(ctx context.Context, batch *Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.stage(batch)
	if err == nil {
		for _, b := range h.touched {
			if b.file != nil {
				out := b.file.tail()
				*out = b.out.Flush(*out)
			}
		}
		err = h.files.write(ctx)
	} else {
		h.files.undo()
	}
	if err == nil {
		for _, r := range h.hopeless {
			h.env.DeadLetter(r.slab, r.i, "serialize", r.err.Error())
		}
	}
	clear(h.hopeless)
	h.hopeless = h.hopeless[:0]
	for _, b := range h.touched {
		b.touched = false
		switch {
		case err != nil:
			h.drop(b) // its file is finished
		case b.file != nil:
			h.startTimers(b)
		}
	}
	clear(h.touched)
	h.touched = h.touched[:0]
	return err
}

func (h *hdfs) stage(batch *Batch) error {
	now := time.Now()
	for _, v := range batch.Views {
		for i := v.First; i < v.First+v.Count; i++ {
			if err := h.append(v.Slab, i, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hdfs) append(s *record.Slab, i int, now time.Time) error {
	b, err := h.bucketOf(s, i, now)
	if err != nil {
		return err
	}
	if b.file != nil && b.full(&h.hdfsSettings) {
		h.finish(b)
	}
	if err = h.appendTo(b, s, i); errors.Is(err, errSchemaChanged) {
		h.finish(b)
		err = h.appendTo(b, s, i)
	}
	if err != nil && b.file != nil && b.records == 0 {
		b.file.cancel()
		h.release(b)
	}
	if err != nil && !h.env.Compat && !errors.Is(err, errNotNow) {
		h.hopeless = append(h.hopeless, hopelessRecord{s, i, err})
		return nil
	}
	return err
}

func (h *hdfs) appendTo(b *bucket, s *record.Slab, i int) error {
	if b.file == nil {
		if err := h.open(b); err != nil {
			return err
		}
	}
	if !b.touched {
		b.touched = true
		h.touched = append(h.touched, b)
	}
	out := b.file.tail()
	var err error
	if *out, err = b.out.Append(*out, s, i); err != nil {
		return err
	}
	b.records++
	b.bytes += int64(len(s.Body(i)))
	return nil
}

// full says whether b's file takes no more. Flume asks before each record.
func (b *bucket) full(h *hdfsSettings) bool {
	return h.rollCount > 0 && b.records >= h.rollCount || h.rollSize > 0 && b.bytes >= h.rollSize
}

// bucketOf is the bucket of record i.
func (h *hdfs) bucketOf(s *record.Slab, i int, now time.Time) (*bucket, error) {
	err := h.expand(h.path, h.prefix, s, i, now)
	if err != nil && isTimestampError(err) && !h.env.Compat {
		h.env.Counters.TimestampMissing.Add(1)
		if !h.warned {
			h.warned = true
			h.env.Log.Warn("records carry no time for the path; the time at which they were read is taken", "err", err)
		}
		read := now
		if s.Time() != 0 {
			read = time.UnixMilli(s.Time())
		}
		err = h.expand(h.latePath, h.latePrefix, s, i, read)
	}
	if err != nil {
		return nil, err
	}
	if h.last != nil && h.last.key == string(h.key) {
		return h.last, nil
	}
	b := h.buckets[string(h.key)]
	if b == nil {
		b = h.addBucket(now)
	}
	h.used.MoveToFront(b.place)
	h.last = b
	return b, nil
}

func isTimestampError(err error) bool {
	var noTime *timestampError
	return errors.As(err, &noTime)
}

func (h *hdfs) expand(folder, prefix *escaper, s *record.Slab, i int, now time.Time) error {
	var err error
	if h.key, err = folder.expand(h.key[:0], s, i, now); err != nil {
		return err
	}
	h.key = append(h.key, 0)
	h.key, err = prefix.expand(h.key, s, i, now)
	return err
}

func (h *hdfs) addBucket(now time.Time) *bucket {
	for len(h.buckets) >= h.maxOpenFiles {
		oldest := h.used.Back().Value.(*bucket)
		h.finish(oldest)
		h.drop(oldest)
	}
	b := &bucket{key: string(h.key), number: now.UnixMilli()}
	for i := range b.key {
		if b.key[i] == 0 {
			b.folder, b.prefix = b.key[:i], b.key[i+1:]
		}
	}
	b.place = h.used.PushFront(b)
	h.buckets[b.key] = b
	return b
}

// drop forgets b, whose file is finished.
func (h *hdfs) drop(b *bucket) {
	h.release(b)
	if h.buckets[b.key] == b {
		delete(h.buckets, b.key)
		h.used.Remove(b.place)
	}
	if h.last == b {
		h.last = nil
	}
}

// open begins a new file for b.
func (h *hdfs) open(b *bucket) error {
	if n := len(h.free); n > 0 {
		b.out, h.free = h.free[n-1], h.free[:n-1]
	} else {
		made, err := h.serializer(func() { h.env.Counters.TimestampMissing.Add(1) })
		if err != nil {
			return err
		}
		b.out = made
	}
	b.file = h.files.begin(func() (string, string) { return h.nextName(b) })
	b.records, b.bytes = 0, 0
	out := b.file.tail()
	*out = b.out.Begin(*out)
	return nil
}

func (h *hdfs) nextName(b *bucket) (inUse, final string) {
	b.number++
	final = b.prefix + "." + strconv.FormatInt(b.number, 10) + h.suffix
	return below(b.folder, h.inUsePrefix+final+h.inUseSuffix), below(b.folder, final)
}

// below is name in folder, relative also where the first escape of the pattern
// came to nothing, as "%{host}/%Y" does without the header.
func below(folder, name string) string {
	return strings.TrimLeft(path.Join(folder, name), "/")
}

// finish ends b's file, if it has one.
func (h *hdfs) finish(b *bucket) {
	if b.file == nil {
		return
	}
	if b.touched { // else Flush has left nothing to be written
		out := b.file.tail()
		*out = b.out.End(*out)
	}
	b.file.finish()
	h.release(b)
}

// freeMost is how many serializers are kept for other files.
const freeMost = 64

// release takes b's file from it.
func (h *hdfs) release(b *bucket) {
	if b.out != nil && len(h.free) < freeMost {
		h.free = append(h.free, b.out)
	}
	for _, timer := range []*time.Timer{b.roll, b.idle} {
		if timer != nil {
			timer.Stop()
		}
	}
	b.file, b.out, b.roll, b.idle = nil, nil, nil, nil
}

// startTimers sets the clocks of b's file after a batch.
func (h *hdfs) startTimers(b *bucket) {
	if h.rollInterval > 0 && b.roll == nil {
		b.roll = h.after(b, h.rollInterval)
	}
	switch {
	case h.idleTimeout <= 0:
	case b.idle == nil:
		b.idle = h.after(b, h.idleTimeout)
	default:
		b.idle.Reset(h.idleTimeout)
	}
}

// after finishes b's file, if it is still the same, when d has passed.
func (h *hdfs) after(b *bucket, d time.Duration) *time.Timer {
	f := b.file
	return time.AfterFunc(d, func() {
		defer h.env.contain()
		h.mu.Lock()
		defer h.mu.Unlock()
		if b.file == f && !h.closed {
			h.finish(b)
			h.drop(b)
		}
	})
}

// Pending is what was delivered since the last call.
func (h *hdfs) Pending() Pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files.Pending()
}

// Abandon leaves everything as it is for the next run.
func (h *hdfs) Abandon() {
	h.stop()
	h.orphans.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, b := range h.buckets {
		h.drop(b)
	}
	h.files.abandon()
}

// Close finishes all files.
func (h *hdfs) Close() error {
	h.stop()
	h.orphans.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, b := range h.buckets {
		h.drop(b)
	}
	return h.files.Close()
}
