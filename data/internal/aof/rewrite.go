package aof

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/peercache/peercache/data/internal/disk"
)

// Rewrite puts a snapshot in the place of the log so far, while others write.
func (l *Log) Rewrite(ctx context.Context) error {
	if err := l.alone(ctx); err != nil {
		return err
	}
	defer l.notAlone()
	if err := l.rewrite(ctx); err != nil {
		l.stats.rewriteFailures.Add(1)
		return err
	}
	l.stats.rewrites.Add(1)
	return nil
}

// Exclude has nobody rewrite the log or restore it until the func that it returns is called.
func (l *Log) Exclude(ctx context.Context) (include func(), err error) {
	if err := l.alone(ctx); err != nil {
		return nil, err
	}
	return l.notAlone, nil
}

// alone waits until nobody else takes a snapshot.
func (l *Log) alone(ctx context.Context) error {
	select {
	case l.rewriting <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) notAlone() { <-l.rewriting }

func (l *Log) rewrite(ctx context.Context) error {
	next, err := l.createSegment(l.last + 1)
	if err != nil {
		return err
	}
	rotated := false
	size, err := l.writeSnapshot(next.number, func(w *SnapshotWriter) error {
		return l.store.Snapshot(ctx, func() error {
			rotated = true
			l.rotate(next)
			return nil
		}, w.Block)
	})
	if !rotated {
		l.last = next.number - 1
		return errors.Join(err, next.file.Close(), l.disk.Remove(segmentName(next.number)))
	}
	if err != nil {
		return err
	}
	if err := l.flush(true); err != nil { // nothing that goes away is written to afterwards
		return errors.Join(err, l.disk.Remove(snapshotName(next.number)))
	}
	return l.adopt(manifest{next.number, true}, size)
}

// rotate has what is appended from now on go to the next segment. It does not wait for a disk.
func (l *Log) rotate(next *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enqueue(next)
	poke(l.wake)
}

// writeSnapshot makes a snapshot of that number, which counts only when the manifest says so.
func (l *Log) writeSnapshot(number uint64, write func(w *SnapshotWriter) error) (int64, error) {
	name := snapshotName(number)
	f, err := l.disk.Create(name + temporaryExt)
	if err != nil {
		return 0, err
	}
	w, err := NewSnapshotWriter(&sequential{file: f}, number)
	if err == nil {
		err = write(w)
	}
	if err == nil {
		err = w.End()
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = l.disk.Rename(name+temporaryExt, name)
	}
	if err != nil {
		return 0, errors.Join(err, l.disk.Remove(name+temporaryExt))
	}
	return w.Size(), nil
}

// adopt has recovery begin with what m says, and removes what is not needed any more. If it fails, recovery may begin with either:
// nothing was removed.
func (l *Log) adopt(m manifest, size int64) error {
	if err := l.disk.Sync(); err != nil {
		return err
	}
	if err := writeManifest(l.disk, m); err != nil {
		return err
	}
	return l.adopted(m, size)
}

// adopted removes what is not needed any more, now that recovery begins with what m says.
func (l *Log) adopted(m manifest, size int64) error {
	l.manifest = m
	l.mu.Lock()
	l.base = size
	for len(l.tail) > 1 && l.tail[0].number < m.first {
		l.tail = l.tail[1:]
	}
	l.mu.Unlock()
	files, err := Survey(l.disk)
	if err != nil {
		return err
	}
	return l.remove(files.Leftovers)
}

// remove removes files, those of them that are there.
func (l *Log) remove(names []string) error {
	for _, name := range names {
		if err := l.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sequential writes a file from its beginning.
type sequential struct {
	file disk.File
	at   int64
}

var _ io.Writer = (*sequential)(nil)

func (s *sequential) Write(b []byte) (int, error) {
	n, err := s.file.WriteAt(b, s.at)
	s.at += int64(n)
	return n, err
}

// grown reports whether the log has grown so much that it should be rewritten.
func (l *Log) grown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := int64(0)
	for _, e := range l.tail {
		tail += e.size
	}
	return tail+l.base >= l.opts.RewriteLeast && float64(tail)*100 >= float64(l.base)*float64(l.opts.RewriteGrowth)
}

// rewriteCheck is how often is looked whether the log has grown.
const rewriteCheck = time.Second

// rewriteWhenGrown rewrites the log when it has grown, until Close.
func (l *Log) rewriteWhenGrown() {
	ticker := time.NewTicker(rewriteCheck)
	defer ticker.Stop()
	var notBefore time.Time
	for {
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
		if l.Err() != nil || time.Now().Before(notBefore) || !l.grown() {
			continue
		}
		if err := l.Rewrite(l.ctx); err != nil && l.ctx.Err() == nil {
			l.opts.Logger.Error("data: the log was not rewritten", "err", err, "again in", rewritePause)
			notBefore = time.Now().Add(rewritePause)
		}
	}
}
