package source

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// ready opens f, sees whether it is still the file it was, and gives it its
// stream. Files that cannot be read now are tried again at the next look.
func (t *taildir) ready(ctx context.Context, f *tailFile) (bool, error) {
	if err := t.open(f); err != nil {
		if errors.Is(err, errReplaced) || errors.Is(err, syscall.ENOENT) {
			t.relist = true
		} else {
			t.failed(f, "open", err)
		}
		return false, nil
	}
	rewritten, err := f.look(time.Now())
	if err != nil {
		t.failed(f, "read", err)
		return false, nil
	}
	if rewritten {
		if err := t.begin(ctx, f); err != nil {
			return false, err
		}
		if _, err := f.look(time.Now()); err != nil {
			t.failed(f, "read", err)
			return false, nil
		}
	}
	if f.stream == "" && f.print.n > 0 {
		if err := t.identify(ctx, f); err != nil {
			return false, err
		}
	}
	if f.stream == "" {
		t.book.set(f.emptyName(), position{Inode: f.id.inode, Path: f.path}, f.listed)
	}
	return f.stream != "", nil
}

// begin starts f from 0 in a new stream: it was truncated, or its inode holds
// another file now.
func (t *taildir) begin(ctx context.Context, f *tailFile) error {
	t.log.Info("file was cut or written anew; reading begins at its start", "file", f.path, "read", f.pos, "size", f.size)
	old := f.stream
	f.stream, f.pos, f.scanned, f.bounds = "", 0, 0, nil
	f.print, f.data, f.mtime = fingerprint{}, nil, time.Time{}
	f.generation++
	if old == "" {
		return nil
	}
	t.book.forget(old)
	return t.forgetStream(ctx, old)
}

func (t *taildir) forgetStream(ctx context.Context, stream string) error {
	return t.send(ctx, record.NewSlab(0), Checkpoint{Stream: stream, Gone: true})
}

// open opens f. When too many files are open, one that has been read to its
// end is closed for it.
func (t *taildir) open(f *tailFile) error {
	if f.f == nil && t.opened >= t.openMax {
		t.closeOne()
	}
	err := f.open()
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && t.closeOne() {
		err = f.open()
	}
	return err
}

func (t *taildir) closeOne() bool {
	for _, f := range t.order {
		if f.f != nil && f.listed && !f.dirty && f.pos == f.size {
			f.close()
			return true
		}
	}
	return false
}

// openLimit is how many files a source keeps open: half of what the process
// may, for others need some too.
func openLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 512
	}
	return int(min(limit.Cur/2, 1<<20))
}
