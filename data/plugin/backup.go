package plugin

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	return "Writes a backup to a file named by the time, for data.Restore. Settings: dir, which is for one process alone, every (24h), keep (7) of them."
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
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	unfinished, err := filepath.Glob(filepath.Join(p.dir, unfinishedPrefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range unfinished { // of a process that was killed
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	h.Go(func(ctx context.Context) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-ticker.C:
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
	if err := os.Rename(f.Name(), filepath.Join(p.dir, backupPrefix+now.UTC().Format(backupTime)+backupSuffix)); err != nil {
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

func (p *backup) removeOld() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, backupPrefix) && strings.HasSuffix(name, backupSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for len(names) > p.keep {
		err = errors.Join(err, os.Remove(filepath.Join(p.dir, names[0])))
		names = names[1:]
	}
	return err
}
