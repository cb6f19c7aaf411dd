package segment_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

func newLog(t testing.TB, bytes int64) (*segment.Log, string) {
	t.Helper()
	root := t.TempDir()
	files := segment.NewFiles(2)
	t.Cleanup(files.Close)
	l, err := segment.Open(files, root, 7, segment.Options{Bytes: bytes, State: func() ([]byte, uint64) { return []byte("state"), 1 }})
	if err != nil {
		t.Fatal(err)
	}
	return l, segment.Dir(root, 7)
}

func frame(base, size int) segment.Frame {
	p := bytes.Repeat([]byte{byte(base)}, size)
	return segment.Frame{Kind: segment.Batch, Base: record.Offset(base), Count: 1, Payload: p, Meta: []byte("meta"), Shares: []segment.Share{{GID: 7, Base: record.Offset(base)}}}
}

func TestWhatWasAppendedIsReadAndScannedInOrder(t *testing.T) {
	l, dir := newLog(t, 50_000)
	var places []segment.Place
	for group := range 20 {
		var frames []segment.Frame
		for i := range 5 {
			frames = append(frames, frame(group*5+i, 100+i*977))
		}
		if err := l.Append(frames); err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			places = append(places, f.At)
		}
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	for n, p := range places {
		b, err := l.Read(p, nil)
		if err != nil || !bytes.Equal(b, frame(n, 100+n%5*977).Payload) {
			t.Fatalf("read %d: %v", n, err)
		}
	}
	var bases []record.Offset
	kinds := map[segment.Kind]int{}
	at := segment.Position{}
	for _, info := range l.Segments() {
		at.Segment, at.Offset = info.ID, 0
		end, why, err := segment.ScanFile(dir, at, func(f *segment.Frame) error {
			kinds[f.Kind]++
			if f.Kind == segment.Batch {
				bases = append(bases, f.Base)
			}
			return nil
		})
		if why != nil || err != nil {
			t.Fatalf("segment %d: %v %v", info.ID, why, err)
		}
		at = end
		last, sealed, err := segment.ReadFooter(l.Path(info.ID))
		if err != nil || sealed != (info.ID != l.Last()) || sealed && last != info.Last {
			t.Errorf("footer of segment %d: %d %t %v, want %d", info.ID, last, sealed, err, info.Last)
		}
	}
	if len(bases) != 100 || !slices.IsSorted(bases) || kinds[segment.State] != len(l.Segments()) || kinds[segment.Footer] != len(l.Segments())-1 {
		t.Fatalf("scanned %d frames, %v", len(bases), kinds)
	}
}

func TestSalvageFindsTheFramesBehindDamage(t *testing.T) {
	l, dir := newLog(t, 1<<20)
	var frames []segment.Frame
	for n := range 20 {
		frames = append(frames, frame(n, 1000))
	}
	if err := l.Append(frames); err != nil {
		t.Fatal(err)
	}
	path := l.Path(1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[frames[4].At.Offset+17] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(frames[4].At, nil); !errors.Is(err, segment.ErrFrame) {
		t.Errorf("read of a damaged batch: %v", err)
	}
	var got []record.Offset
	holes, err := segment.Salvage(dir, 1, func(f *segment.Frame) error {
		if f.Kind == segment.Batch {
			got = append(got, f.Base)
		}
		return nil
	})
	if err != nil || len(holes) != 1 || len(got) != 19 || slices.Contains(got, 4) {
		t.Fatalf("salvaged %v, holes %v, %v", got, holes, err)
	}
}

func TestASegmentIsUnlinkedOnlyBehindASafeSuccessor(t *testing.T) {
	l, dir := newLog(t, 3_000)
	for n := range 4 {
		if err := l.Append([]segment.Frame{frame(n, 2_000)}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.Unlink(3); n != 0 || err != nil {
		t.Fatalf("%d segments are gone before their successors are synced, %v", n, err)
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Unlink(2); n != 2 || err != nil {
		t.Fatalf("%d segments are gone, want 2: %v", n, err)
	}
	ids, err := segment.List(dir)
	if err != nil || !slices.Equal(ids, []uint32{3, 4}) {
		t.Fatalf("left: %v %v", ids, err)
	}
}

func TestNoFlippedBitIsAccepted(t *testing.T) {
	l, _ := newLog(t, 1<<20)
	if err := l.Append([]segment.Frame{frame(0, 50), frame(1, 60), frame(2, 70)}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(l.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	scan := func(b []byte) (frames int) {
		_, _, err := segment.Scan(bytes.NewReader(b), int64(len(b)), segment.Position{Segment: 1}, func(*segment.Frame) error { frames++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return frames
	}
	if n := scan(whole); n != 4 {
		t.Fatalf("%d frames", n)
	}
	for bit := range len(whole) * 8 {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if n := scan(b); n == 4 {
			t.Fatalf("bit %d of byte %d is flipped, and all frames are taken", bit%8, bit/8)
		}
	}
}

func FuzzSegmentScan(f *testing.F) {
	l, _ := newLog(f, 4_000)
	for n := range 3 {
		if err := l.Append([]segment.Frame{frame(n, 500)}); err != nil {
			f.Fatal(err)
		}
	}
	whole, err := os.ReadFile(l.Path(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		b := slices.Clone(whole)
		b[rnd.IntN(len(b))] ^= 0x40
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at := segment.Position{Segment: 1}
		end, why, err := segment.Scan(bytes.NewReader(b), int64(len(b)), at, func(f *segment.Frame) error {
			if int64(f.Size()) != f.End.Offset-at.Offset || int(f.At.Bytes) != len(f.Payload) {
				t.Fatalf("a frame of %d bytes from %d to %d", f.Size(), at.Offset, f.End.Offset)
			}
			// What was taken is whole: any change of it is noticed.
			damaged := slices.Clone(b[at.Offset:f.End.Offset])
			damaged[len(damaged)-1] ^= 1
			taken := false
			from := segment.Position{Segment: 1}
			segment.Scan(bytes.NewReader(damaged), int64(len(damaged)), from, func(*segment.Frame) error { taken = true; return nil })
			if taken {
				t.Fatal("a frame with a wrong checksum is taken")
			}
			at = f.End
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if (why == nil) != (end.Offset == int64(len(b))) {
			t.Fatalf("ends at %d of %d: %v", end.Offset, len(b), why)
		}
	})
}
