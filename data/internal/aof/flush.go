package aof

import (
	"errors"
	"time"
)

// flush writes what is buffered, and syncs it if it has to. What cannot be written because the disk is full stays for the next
// flush.
func (l *Log) flush(sync bool) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if err := l.lost(); err != nil {
		return err
	}
	g, end := l.take(sync)
	behind := l.watchBehind()
	err := l.write()
	if err == nil && sync {
		err = l.sync()
	}
	behind()
	if err != nil {
		l.fail(err)
		err = l.Err()
	} else {
		l.wellAgain()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && sync {
		l.durable.Store(end)
	}
	l.current = nil
	// What was appended during a flush that is late is as old as it: Append waits on, until that is durable too.
	if l.late = l.late && err == nil && !(sync && l.position.Load() == end); l.late {
		poke(l.wake)
	}
	l.expect = g.count
	g.err = err
	close(g.done)
	l.room.Broadcast()
	return err
}

// take takes what is buffered, and those who wait for it.
func (l *Log) take(sync bool) (g *group, end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enqueue(nil)
	l.unwritten = append(l.unwritten, l.queue...)
	clear(l.queue)
	l.queue = l.queue[:0]
	end = l.position.Load()
	if !sync {
		return newGroup(), end
	}
	g = l.next
	l.next, l.current, l.taken = newGroup(), g, end
	return g, end
}

// enqueue puts what is buffered into the queue. What comes later is for next, if that is not nil. The caller holds mu.
func (l *Log) enqueue(next *segment) {
	if len(l.buf) > markSize || next != nil {
		l.queue = append(l.queue, batch{frames: l.buf, end: l.position.Load(), next: next})
		if l.spare == nil {
			l.spare = make([]byte, markSize, 4096)
		}
		l.buf, l.spare = l.spare[:markSize], nil
	}
	if next != nil {
		l.seed = next.seed()
	}
}

// write writes unwritten.
func (l *Log) write() error {
	for len(l.unwritten) > 0 {
		b := &l.unwritten[0]
		if len(b.frames) > markSize || b.marked {
			if err := l.writeBatch(b); err != nil {
				return err
			}
		}
		l.written = b.end
		if b.next != nil {
			if err := l.leave(b.next); err != nil {
				return err
			}
		}
		l.unwritten[0] = batch{}
		l.unwritten = l.unwritten[1:]
	}
	l.unwritten = nil
	return nil
}

// writeBatch writes what was not written of a batch.
func (l *Log) writeBatch(b *batch) error {
	l.segment.mark(b)
	whole := b.frames
	for len(b.frames) > 0 {
		n, err := l.segment.file.WriteAt(b.frames, l.segment.size)
		l.segment.size += int64(n)
		b.frames = b.frames[n:]
		l.mu.Lock()
		l.buffered = max(0, l.buffered-n)
		l.tail[len(l.tail)-1].size = l.segment.size
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	b.frames, b.marked = nil, false
	if cap(whole) <= bufferKeep {
		l.mu.Lock()
		l.spare = whole[:markSize]
		l.mu.Unlock()
	}
	return nil
}

// leave goes on with the next segment, when this one is durable.
func (l *Log) leave(next *segment) error {
	if err := l.sync(); err != nil {
		return err
	}
	if err := l.segment.file.Close(); err != nil {
		return err
	}
	l.segment = next
	l.mu.Lock()
	l.tail = append(l.tail, extent{next.number, next.size})
	l.mu.Unlock()
	return nil
}

// sync makes durable what was written.
func (l *Log) sync() error {
	s := l.segment
	if s.synced == s.size {
		return nil
	}
	began := time.Now()
	if err := s.file.Sync(); err != nil {
		return &syncError{err}
	}
	l.stats.synced(time.Since(began))
	s.synced = s.size
	return nil
}

// syncError is one after which nothing is known. It does not wrap, so that no disk is taken for one that is merely full.
type syncError struct{ err error }

func (e *syncError) Error() string { return "sync: " + e.err.Error() }

// watchBehind has Append wait if the disk takes longer than an interval, until the func that it returns is called: what was
// appended first is then two intervals old.
func (l *Log) watchBehind() (done func()) {
	if l.opts.Sync != Interval || l.opts.Interval <= 0 {
		return func() {}
	}
	began := time.Now()
	over := false // guarded by mu
	timer := time.AfterFunc(l.opts.Interval, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !over {
			l.late = true
			l.stats.late.Add(1)
			l.opts.Logger.Warn("data: the disk of the log is too slow: what writes waits for it", "interval", l.opts.Interval,
				"since", began)
		}
	})
	return func() {
		timer.Stop()
		l.mu.Lock()
		over = true
		l.mu.Unlock()
	}
}

const (
	// writeEvery is for how long something is collected for one write, if nobody waits for it.
	writeEvery = 10 * time.Millisecond
	// fullPause is how long a full disk is left alone.
	fullPause = 200 * time.Millisecond
	// rewritePause is the time from a rewriting that failed to the next.
	rewritePause = time.Minute
)

// Start begins to write what is appended, and to rewrite the log when it has grown.
func (l *Log) Start() {
	l.running.Go(l.run)
	if l.opts.RewriteGrowth > 0 {
		l.running.Go(l.rewriteWhenGrown)
	}
}

// run writes what is appended, until Close.
func (l *Log) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	lastSync := time.Now()
	unsynced := false
	for l.lost() == nil {
		select {
		case <-l.wake:
		case <-timer.C:
		case <-l.ctx.Done():
			return
		}
		l.collect()
		due := l.opts.Sync == Always || l.opts.Sync == Interval && time.Since(lastSync) >= l.opts.Interval
		if due {
			lastSync = time.Now()
		}
		err := l.flush(due)
		unsynced = !due && l.opts.Sync == Interval || err != nil
		switch {
		case err != nil:
			timer.Reset(fullPause)
		case unsynced:
			timer.Reset(time.Until(lastSync.Add(l.opts.Interval)))
		}
	}
}

// collect waits until it is worth while to write.
func (l *Log) collect() {
	pause := writeEvery
	if l.opts.Sync == Always {
		l.mu.Lock()
		missing := l.next.count < l.expect
		if missing { // so no hurry is about them
			select {
			case <-l.hurry:
			default:
			}
		}
		l.mu.Unlock()
		// Those for whom the last sync was made are likely to be back soon. To sync without them makes two groups that take turns,
		// and half as many a sync.
		if pause = l.stats.lastSync() / 2; !missing || pause <= 0 {
			return
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.hurry:
	case <-l.ctx.Done():
	}
}

// Close makes durable what was appended, and ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	l.stop()
	l.running.Wait()
	err := l.end()
	l.fail(ErrClosed)
	return errors.Join(err, l.lock.Close())
}

// end writes a last mark, which says that all is durable: whatever is damaged later is no torn end.
func (l *Log) end() error {
	l.flushing.Lock()
	recovered := l.segment != nil
	l.flushing.Unlock()
	if !recovered {
		return nil
	}
	if err := l.flush(true); err != nil {
		return err
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	s := l.segment
	last := batch{frames: make([]byte, markSize)}
	s.mark(&last)
	n, err := s.file.WriteAt(last.frames, s.size)
	s.size += int64(n)
	if err == nil {
		err = s.file.Sync()
	}
	return errors.Join(err, s.file.Close())
}
