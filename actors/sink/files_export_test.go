package sink

import (
	"context"
	"fmt"
)

// lineSink is the smallest sink that writes files: a line for each record, and
// a new file after every most of them.
type lineSink struct {
	files  *files
	suffix string
	most   int
	next   int
	file   *file
	lines  int
}

// NewLines makes a lineSink for tests from outside.
func NewLines(env Env, dir, suffix string, most int) (Sink, error) {
	fs, err := openFiles(env, dir, filesOptions{})
	if err != nil {
		return nil, err
	}
	return &lineSink{files: fs, suffix: suffix, most: most}, nil
}

func (l *lineSink) name() (path, final string) {
	final = fmt.Sprintf("lines-%04d", l.next)
	l.next++
	return final + l.suffix, final
}

func (l *lineSink) Deliver(ctx context.Context, batch *Batch) error {
	for _, v := range batch.Views {
		for i := v.First; i < v.First+v.Count; i++ {
			if l.file == nil || l.lines == l.most {
				if l.file != nil {
					l.file.finish()
				}
				l.file, l.lines = l.files.begin(l.name), 0
			}
			out := l.file.tail()
			*out = append(append(*out, v.Slab.Body(i)...), '\n')
			l.lines++
		}
	}
	err := l.files.write(ctx)
	if err != nil {
		l.file = nil
	}
	return err
}

func (l *lineSink) Pending() Pending { return l.files.Pending() }
func (l *lineSink) Close() error     { return l.files.Close() }

// WaitForOrphans returns when an hdfs sink has looked for files left in use.
func WaitForOrphans(s Sink) { s.(*hdfs).orphans.Wait() }
