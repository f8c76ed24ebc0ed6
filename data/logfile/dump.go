package logfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/peercache/peercache/data/internal/aof"
	"github.com/peercache/peercache/data/internal/engine"
)

// longestText is how many bytes of an argument or a value Dump writes.
const longestText = 256

// Dump writes what is in the log of a directory, as lines of text: the keys of the snapshot, with their types, sizes and expiries, and then the records, with
// their offsets; the commands of a transaction have the same offset. Long arguments are cut short. At damage a file ends, with a line that says so.
func Dump(dir string, w io.Writer) error {
	l, err := open(dir)
	if err != nil {
		return err
	}
	defer l.lock.Close()
	out := bufio.NewWriter(w)
	if err := errors.Join(l.dump(out), out.Flush()); err != nil {
		return fmt.Errorf("logfile: %w", err)
	}
	return nil
}

func (l *log) dump(w *bufio.Writer) error {
	files, err := aof.Survey(l.disk)
	if err != nil {
		return err
	}
	var damaged *aof.DamagedError
	if name := files.Snapshot(); name != "" {
		var mu sync.Mutex // blocks come at the same time
		_, err := aof.ReadSnapshotFile(l.disk, name, func(block []byte) error {
			mu.Lock()
			defer mu.Unlock()
			return l.engine.Entries(block, func(key string, e *engine.Entry) error { return dumpEntry(w, name, key, e) })
		})
		if errors.As(err, &damaged) {
			_, err = fmt.Fprintln(w, damaged)
		}
		if err != nil {
			return err
		}
	}
	for _, number := range files.Segments {
		name := aof.SegmentName(number)
		end, err := aof.ReadSegment(l.disk, number, func(at int64, record []byte) error { return dumpRecord(w, name, at, record) })
		if err == nil && end.Torn != nil {
			_, err = fmt.Fprintf(w, "%s: at offset %d: %s\n", name, end.At, end.Torn.Why)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dumpEntry(w *bufio.Writer, name, key string, e *engine.Entry) error {
	expire := ""
	if e.Expire != 0 {
		expire = " expires " + time.UnixMilli(e.Expire).UTC().Format(time.RFC3339Nano)
	}
	what := quote(e.Str)
	if e.Object != nil {
		what = fmt.Sprintf("%d elements", e.Object.Len())
	}
	_, err := fmt.Fprintf(w, "%s: %s %s %s%s\n", name, quote(key), e.Kind().Name, what, expire)
	return err
}

func dumpRecord(w *bufio.Writer, name string, at int64, record []byte) error {
	return engine.Commands(string(record), func(args []string) error {
		if _, err := fmt.Fprintf(w, "%s:%d:", name, at); err != nil {
			return err
		}
		for _, arg := range args {
			if _, err := w.WriteString(" " + quote(arg)); err != nil {
				return err
			}
		}
		return w.WriteByte('\n')
	})
}

// quote returns a string that can be read, and is not too long.
func quote(s string) string {
	if len(s) <= longestText {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(s[:longestText]), len(s))
}
