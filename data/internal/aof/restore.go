package aof

import (
	"context"
	"errors"
	"io"
)

// Restore reads a snapshot from r, calls load with its blocks, of several at the same time, and then replace, which has to call begin while
// nothing can be appended: what is appended afterwards follows the snapshot. Until begin has returned nil, a crash leaves the former data.
func (l *Log) Restore(ctx context.Context, r io.Reader, load func(block []byte) error, replace func(begin func() error) error) error {
	if err := l.alone(ctx); err != nil {
		return err
	}
	defer l.notAlone()
	next, err := l.createSegment(l.last + 1)
	if err != nil {
		return err
	}
	number := next.number
	size, err := l.writeSnapshot(number, func(w *SnapshotWriter) error {
		_, err := ReadSnapshot(contextReader{ctx, r}, -1, func(block []byte) error {
			if err := load(block); err != nil {
				return err
			}
			l.copying.Lock()
			defer l.copying.Unlock()
			return w.Block(block)
		})
		return err
	})
	if err == nil {
		err = l.disk.Sync()
	}
	if err == nil {
		err = prepareManifest(l.disk, manifest{number, true})
	}
	begun := false
	if err == nil {
		err = replace(func() error {
			begun = true
			if err := replaceManifest(l.disk); err != nil {
				l.fail(err) // whether the manifest was replaced is not known
				return err
			}
			l.rotate(next)
			return nil
		})
	}
	if !begun {
		l.last = number - 1
		return errors.Join(err, next.file.Close(), l.disk.Remove(segmentName(number)))
	}
	if err != nil {
		return err
	}
	if err := l.flush(true); err != nil {
		return err
	}
	return l.adopted(manifest{number, true}, size)
}

// contextReader is a Reader that ends with a context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
