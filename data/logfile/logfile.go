// Package logfile looks at the directory of a log of data that no process uses: what is in it, whether it is whole, and, if not,
// what can be kept.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/aof"
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/engine"
)

// State is what a log, or a file of it, is like.
type State uint8

// The states.
const (
	// Whole: nothing is missing.
	Whole State = iota
	// Torn: a crash has left an end that is no record. It is cut off when the log is opened, and nothing is lost that was synced.
	Torn
	// Broken: something is damaged that was whole once. The log is not opened; see Repair.
	Broken
)

func (s State) String() string { return [...]string{"whole", "torn", "broken"}[s] }

// File is a file of a log.
type File struct {
	Name  string
	Bytes int64
	// Entries is how many keys a snapshot has, or how many records a segment, each of which is a command or a transaction, up to the damage.
	Entries int64
	State   State
	// Offset is where the damage begins, and Damage what it is.
	Offset int64
	Damage string
}

// Report says what a log is like.
type Report struct {
	State State
	Files []File // in the order in which they are loaded
	// Problem is what is wrong with the directory, and not with one of Files. Empty: nothing is.
	Problem string
	// Leftovers are files that a crash has left and that are removed when the log is opened.
	Leftovers []string
}

// String returns the report as lines of text.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Files {
		what := "records"
		if strings.HasSuffix(f.Name, ".snap") {
			what = "keys"
		}
		fmt.Fprintf(&b, "%s: %s, %d bytes, %d %s", f.Name, f.State, f.Bytes, f.Entries, what)
		if f.Damage != "" {
			fmt.Fprintf(&b, "; at offset %d: %s", f.Offset, f.Damage)
		}
		b.WriteByte('\n')
	}
	for _, name := range r.Leftovers {
		fmt.Fprintf(&b, "%s: left over\n", name)
	}
	if r.Problem != "" {
		fmt.Fprintf(&b, "%s\n", r.Problem)
	}
	fmt.Fprintf(&b, "the log is %s\n", r.State)
	return b.String()
}

// log is a directory that is locked, and an engine that knows what its files are about.
type log struct {
	disk   disk.Disk
	lock   io.Closer
	engine *engine.Engine
}

func open(dir string) (*log, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("logfile: %s is no directory", dir)
	}
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	}
	l := &log{}
	if l.engine, err = engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds()}); err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	}
	if l.disk, err = disk.Dir(dir); err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	}
	if l.lock, err = l.disk.Lock(); err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	}
	return l, nil
}

// Check reads the log in a directory, and changes nothing. It returns an error if it cannot read it, which includes that a process uses it.
func Check(dir string) (*Report, error) {
	l, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer l.lock.Close()
	r, err := l.check()
	if err != nil {
		return nil, fmt.Errorf("logfile: %w", err)
	}
	return r, nil
}

func (l *log) check() (*Report, error) {
	files, err := aof.Survey(l.disk)
	var damaged *aof.DamagedError
	if errors.As(err, &damaged) {
		return &Report{State: Broken, Problem: damaged.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	r := &Report{Leftovers: files.Leftovers}
	if name := files.Snapshot(); name != "" {
		f, err := l.checkSnapshot(name)
		if err != nil {
			return nil, err
		}
		r.add(f)
	}
	return r, l.checkSegments(r, files.Segments)
}

func (r *Report) add(f File) {
	r.Files = append(r.Files, f)
	r.State = max(r.State, f.State)
}

// breaks notes that a file is broken, if that is what err says.
func (f *File) breaks(err error) bool {
	var damaged *aof.DamagedError
	if !errors.As(err, &damaged) {
		return false
	}
	f.State, f.Offset, f.Damage = Broken, damaged.Offset, damaged.Why
	return true
}

func (l *log) checkSnapshot(name string) (File, error) {
	f := File{Name: name}
	var keys atomic.Int64
	n, err := aof.ReadSnapshotFile(l.disk, name, func(block []byte) error {
		err := l.engine.Entries(block, func(string, *engine.Entry) error {
			keys.Add(1)
			return nil
		})
		if err != nil {
			return &aof.DamagedError{File: name, Why: "a block has a right checksum, and wrong contents: " + err.Error()}
		}
		return nil
	})
	f.Bytes, f.Entries = n, keys.Load()
	if err != nil && !f.breaks(err) {
		return f, err
	}
	return f, nil
}

// checkSegments adds the segments to a report.
func (l *log) checkSegments(r *Report, segments []uint64) error {
	var ends []*aof.SegmentEnd
	for _, number := range segments {
		f := File{Name: aof.SegmentName(number)}
		end, err := aof.ReadSegment(l.disk, number, func(at int64, record []byte) error {
			f.Entries++
			if err := engine.Commands(string(record), l.known); err != nil {
				return &aof.DamagedError{File: f.Name, Offset: at, Why: "a record has a right checksum, and wrong contents: " + err.Error()}
			}
			return nil
		})
		if err != nil && !f.breaks(err) {
			return err
		}
		f.Bytes = end.Size
		if end.Torn != nil {
			f.State, f.Offset, f.Damage = Torn, end.At, end.Torn.Why
		}
		ends = append(ends, end)
		r.add(f)
	}
	var damaged *aof.DamagedError
	if errors.As(aof.Judge(ends), &damaged) {
		for i := range r.Files {
			if r.Files[i].Name == damaged.File {
				r.Files[i].State, r.State = Broken, Broken
			}
		}
	}
	return nil
}

// known returns an error if there is no such command.
func (l *log) known(args []string) error {
	if cmd := l.engine.Commands().Find(args[0]); cmd == nil || !cmd.Fits(len(args)) {
		return fmt.Errorf("there is no command %.40q with %d arguments", args[0], len(args))
	}
	return nil
}
