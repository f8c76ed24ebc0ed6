package logfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/aof"
	"github.com/peercache/peercache/data/internal/disk"
)

// damagedExt is added to the names of files that are set aside.
const damagedExt = ".damaged"

// ErrLost says that a log cannot be repaired: what is left of it is not the data of any moment.
var ErrLost = errors.New("logfile: nothing can be kept: restore a backup")

// Repair cuts a broken log off where the damage begins, so that it can be opened: the data is then that of a moment before. What is
// cut off is set aside, in files whose names have .damaged at the end. A manifest that is missing or damaged is written anew. A log that is whole or torn is left
// as it is. Repair returns what it has done, and what the log is like afterwards. If a snapshot is broken, it returns ErrLost.
func Repair(dir string) (done []string, after *Report, err error) {
	l, err := open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer l.lock.Close()
	after, err = l.check()
	if err == nil && after.Problem != "" {
		if done, err = l.rebuild(after.Problem); err == nil {
			after, err = l.check()
		}
	}
	if err == nil && after.State == Broken && after.Problem == "" {
		var cut []string
		cut, err = l.cut(after)
		done = append(done, cut...)
		if err == nil {
			after, err = l.check()
		}
	}
	if err == nil && after.State == Broken {
		err = ErrLost
	}
	if err != nil && !errors.Is(err, ErrLost) {
		err = fmt.Errorf("logfile: %w", err)
	}
	return done, after, err
}

// rebuild writes the manifest anew.
func (l *log) rebuild(problem string) (done []string, err error) {
	ok, err := aof.Rebuild(l.disk)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrLost, problem)
	}
	return []string{"the manifest was written anew, because " + problem}, nil
}

// cut cuts a log off at the first damage.
func (l *log) cut(r *Report) (done []string, err error) {
	first := 0
	for first < len(r.Files) && r.Files[first].State != Broken {
		first++
	}
	f := r.Files[first]
	if !strings.HasSuffix(f.Name, ".log") || f.Offset == 0 {
		return nil, fmt.Errorf("%w: %s is broken at offset %d: %s", ErrLost, f.Name, f.Offset, f.Damage)
	}
	// The later ones first: a crash meanwhile leaves a log that is broken at the same place.
	for i := len(r.Files) - 1; i > first; i-- {
		name := r.Files[i].Name
		to, err := l.aside(name)
		if err == nil {
			err = l.disk.Rename(name, to)
		}
		if err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("%s, with %d records, is now %s", name, r.Files[i].Entries, to))
	}
	if err := l.disk.Sync(); err != nil {
		return done, err
	}
	to, err := l.aside(f.Name)
	if err == nil {
		err = cutOff(l.disk, f.Name, to, f.Offset)
	}
	if err != nil {
		return done, err
	}
	return append(done, fmt.Sprintf("%s was cut off at offset %d, %d bytes before its end; all of it is in %s", f.Name, f.Offset, f.Bytes-f.Offset,
		to)), nil
}

// aside returns a name for a file that is set aside, which no file has.
func (l *log) aside(name string) (string, error) {
	names, err := l.disk.List()
	if err != nil {
		return "", err
	}
	to := name + damagedExt
	for i := 2; slices.Contains(names, to); i++ {
		to = fmt.Sprint(name, damagedExt, i)
	}
	return to, nil
}

// cutOff copies a file, and cuts it off.
func cutOff(d disk.Disk, name, copied string, size int64) error {
	from, err := d.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := d.Create(copied)
	if err != nil {
		return err
	}
	whole, err := from.Size()
	if err == nil {
		_, err = io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, 0, whole))
	}
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	if err := from.Truncate(size); err != nil {
		return err
	}
	return from.Sync()
}
