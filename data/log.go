package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/peercache/peercache/data/internal/aof"
	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/engine"
)

// LogOption changes what the log of a Memory does.
type LogOption func(*aof.Options) error

// SyncPolicy says when what was written is on the disk.
type SyncPolicy struct {
	policy   aof.Policy
	interval time.Duration
}

var (
	// SyncAlways has what a command writes on the disk before the command returns; many commands share one sync. Commands that read wait as well, for
	// what others have written, so that nobody sees what a crash takes back.
	SyncAlways = SyncPolicy{policy: aof.Always}
	// SyncNever leaves it to the operating system. A crash of the process loses some milliseconds, one of the machine loses more.
	SyncNever = SyncPolicy{policy: aof.Never}
)

// SyncInterval syncs at intervals: a crash loses what was written since the last sync. Where a disk takes longer than an interval, commands that
// write wait, so that a crash never loses more than two intervals.
func SyncInterval(d time.Duration) SyncPolicy { return SyncPolicy{aof.Interval, d} }

const (
	defaultSyncInterval  = time.Second
	defaultRewriteGrowth = 100
	defaultRewriteLeast  = 64 << 20
)

// LogSync says when the log is synced. Without it, that is SyncInterval(time.Second).
func LogSync(p SyncPolicy) LogOption {
	return func(o *aof.Options) error {
		if p.policy == aof.Interval && p.interval <= 0 {
			return fmt.Errorf("SyncInterval(%v): want more than zero", p.interval)
		}
		o.Sync, o.Interval = p.policy, p.interval
		return nil
	}
}

// LogRewriteAt sets when a new snapshot replaces the log: when the log has percent per cent of the bytes of its snapshot, and both together have at
// least least bytes. The default is 100 and 64 MiB. A percent of 0 turns it off.
func LogRewriteAt(percent int, least int64) LogOption {
	return func(o *aof.Options) error {
		if percent < 0 || least < 0 {
			return fmt.Errorf("LogRewriteAt(%d, %d): want zero or more", percent, least)
		}
		o.RewriteGrowth, o.RewriteLeast = percent, least
		return nil
	}
}

// LogReports has what happens to the log reported there. Without it, that is slog.Default().
func LogReports(to *slog.Logger) LogOption {
	return func(o *aof.Options) error {
		o.Logger = to
		return nil
	}
}

// WithLog keeps the data in a directory, which is made if there is none, and loads what is there. The directory belongs to one Memory at a time.
//
// When the disk is full, commands that write fail with ErrLogFailed, and go on as soon as there is room. After any other failure they fail until the
// process is started anew: nothing is known then of what is on the disk but what is read back from it.
func WithLog(dir string, opts ...LogOption) MemoryOption {
	return func(o *memoryOptions) error {
		if dir == "" {
			return errors.New("WithLog: want a directory")
		}
		log := aof.Options{Sync: aof.Interval, Interval: defaultSyncInterval, RewriteGrowth: defaultRewriteGrowth, RewriteLeast: defaultRewriteLeast}
		for _, opt := range opts {
			if err := opt(&log); err != nil {
				return err
			}
		}
		o.logDir, o.log = dir, &log
		o.disk = func() (disk.Disk, error) { return disk.Dir(dir) }
		return nil
	}
}

// openLog makes the log, which has nothing appended yet.
func (m *Memory) openLog() error {
	d, err := m.opts.disk()
	if err != nil {
		return err
	}
	m.log, err = aof.New(d, *m.opts.log)
	return err
}

// recover loads what the log has.
func (m *Memory) recover() error {
	r, err := m.log.Recover(m.engine)
	if err != nil {
		return fmt.Errorf("data: the log in %s: %w", m.opts.logDir, err)
	}
	m.engine.Sweep()
	logger := m.opts.log.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if r.Cut > 0 {
		logger.Warn("data: a crash left the end of the log torn, and it was cut off", "file", r.CutFile, "offset", r.CutAt, "bytes", r.Cut)
	}
	m.log.Start()
	return nil
}

// RewriteLog puts a snapshot in the place of the log so far, while the Memory is in use.
func (m *Memory) RewriteLog(ctx context.Context) error {
	if m.log == nil {
		return errors.New("data: there is no log")
	}
	return m.log.Rewrite(ctx)
}

// Backup writes the data of one moment to w, while the Memory is in use. It has what w has only if Backup returns nil.
func (m *Memory) Backup(ctx context.Context, w io.Writer) error {
	done, err := m.exclude(ctx)
	if err != nil {
		return err
	}
	defer done()
	var s *aof.SnapshotWriter
	begin := func() error { return nil }
	if s, err = aof.NewSnapshotWriter(w, 0); err != nil {
		return fmt.Errorf("data: backup: %w", err)
	}
	if err = m.engine.Snapshot(ctx, begin, s.Block); err == nil {
		err = s.End()
	}
	if err != nil {
		return fmt.Errorf("data: backup: %w", err)
	}
	return nil
}

// exclude has nobody else take a snapshot, or restore one, until done is called.
func (m *Memory) exclude(ctx context.Context) (done func(), err error) {
	if m.log != nil {
		return m.log.Exclude(ctx)
	}
	select {
	case m.snapshots <- struct{}{}:
		return func() { <-m.snapshots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Restore replaces all data by what Backup has written, while the Memory is in use. It reads r to its end and checks all of it before it replaces anything,
// which takes the memory of both. Others see the former data or the restored, and so does a crash. It ends early, with
// ErrFull, where there is more than WithBytes lets be kept and nothing may be evicted. Keys that have expired since leave.
func (m *Memory) Restore(ctx context.Context, r io.Reader) error {
	stage, err := m.engine.Stage()
	if err != nil {
		return fmt.Errorf("data: restore: %w", err)
	}
	load := func(block []byte) error { return m.engine.LoadStage(stage, block) }
	replace := func(begin func() error) error { return m.engine.Replace(stage, begin) }
	if m.log != nil {
		err = m.log.Restore(ctx, r, load, replace)
	} else {
		err = m.restoreUnlogged(ctx, r, load, replace)
	}
	if errors.Is(err, engine.ErrFull) {
		err = ErrFull
	}
	if err != nil {
		return fmt.Errorf("data: restore: %w", err)
	}
	m.engine.Sweep()
	return nil
}

func (m *Memory) restoreUnlogged(ctx context.Context, r io.Reader, load func(block []byte) error, replace func(begin func() error) error) error {
	done, err := m.exclude(ctx)
	if err != nil {
		return err
	}
	defer done()
	if _, err := aof.ReadSnapshot(r, -1, load); err != nil {
		return err
	}
	return replace(ctx.Err)
}

// Restore makes a Memory of what Memory.Backup has written.
func Restore(ctx context.Context, r io.Reader, opts ...MemoryOption) (*Memory, error) {
	m, err := NewMemory(opts...)
	if err != nil {
		return nil, err
	}
	if err := m.Restore(ctx, r); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// LogStats are figures of the log.
type LogStats struct {
	Appended int64 // bytes since the start
	Durable  int64 // bytes of them that are on the disk
	Buffered int64 // bytes that are not written
	Log      int64 // bytes of the log that a restart would replay
	Snapshot int64 // bytes of the snapshot that it would load before

	Syncs     int64
	LastSync  time.Duration // that the last one has taken
	LateSyncs int64         // that have taken longer than an interval
	Stalls    int64         // commands that have waited because the disk is far behind

	Rewrites        int64
	RewriteFailures int64
	// Err is why nothing can be written, or nil.
	Err error
}

// LogStats returns figures of the log. Without a log they are zero.
func (m *Memory) LogStats() LogStats {
	if m.log == nil {
		return LogStats{}
	}
	return LogStats(m.log.Stats())
}
