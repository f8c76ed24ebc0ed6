package plugin

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peercache/peercache/data"
)

// backup writes backups on a schedule.
type backup struct {
	memory *data.Memory
	dir    string
	keep   int
}

func newBackup() Plugin { return &backup{} }

func (*backup) Name() string { return "backup" }

func (*backup) Describe() string {
	return "Writes a backup to a file named by the time, for data.Restore: as soon as the newest one is so old. Settings: dir, which is for one process alone, every (24h), keep (7) of them."
}

func (p *backup) Init(h *Host) error {
	p.memory = h.Memory
	if p.dir = h.Setting("dir", ""); p.dir == "" {
		return errors.New("the setting dir is missing")
	}
	every, err := h.Duration("every", 24*time.Hour, time.Second)
	if err != nil {
		return err
	}
	if p.keep, err = h.Int("keep", 7, 1); err != nil {
		return err
	}
	if h.checking {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinishedPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(p.dir, e.Name())); err != nil { // of a process that was killed
			return err
		}
	}
	first, err := p.untilDue(time.Now(), every)
	if err != nil {
		return err
	}
	h.Go(func(ctx context.Context) error {
		timer := time.NewTimer(first)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-timer.C:
				timer.Reset(every)
				if err := p.write(ctx, now); err != nil {
					h.Fail(err)
				}
			}
		}
	})
	return nil
}

func (*backup) Handle(context.Context, data.Event) error { return nil }

// The names of backups are in the order of their times.
const (
	backupPrefix = "data-"
	backupTime   = "20060102T150405.000Z"
	backupSuffix = ".backup"

	unfinishedPrefix = "unfinished-data-"
)

// write writes a backup, which has its name once it is whole and on the disk, and removes those that are too old.
func (p *backup) write(ctx context.Context, now time.Time) error {
	f, err := os.CreateTemp(p.dir, unfinishedPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which is not there any more if all went well
	w := bufio.NewWriterSize(f, 1<<20)
	err = p.memory.Backup(ctx, w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), p.file(now)); err != nil {
		return err
	}
	return errors.Join(syncDir(p.dir), p.removeOld())
}

// syncDir has the names in a directory be on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeOld removes all backups but the newest ones.
func (p *backup) removeOld() error {
	times, err := p.times()
	for len(times) > p.keep {
		err = errors.Join(err, os.Remove(p.file(times[0])))
		times = times[1:]
	}
	return err
}

// untilDue returns how long it is until the first backup has to be written: every after the newest one, so that a process that is restarted more
// often writes some too.
func (p *backup) untilDue(now time.Time, every time.Duration) (time.Duration, error) {
	times, err := p.times()
	if err != nil || len(times) == 0 {
		return 0, err
	}
	due := times[len(times)-1].Add(every)
	return min(max(0, due.Sub(now)), every), nil // more only if the clock was set back
}

// times returns the times of the backups that there are, in order.
func (p *backup) times() (times []time.Time, err error) {
	entries, err := os.ReadDir(p.dir)
	for _, e := range entries {
		if at, err := time.Parse(backupPrefix+backupTime+backupSuffix, e.Name()); err == nil {
			times = append(times, at)
		}
	}
	return times, err
}

// file returns the name of the backup of a time.
func (p *backup) file(at time.Time) string {
	return filepath.Join(p.dir, at.UTC().Format(backupPrefix+backupTime+backupSuffix))
}
