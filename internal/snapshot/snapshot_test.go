package snapshot

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	header  = Header{Name: "scores", Written: time.Unix(1234567890, 987654321), Departure: 1<<63 + 7, Note: []byte("a\x00note")}
	records = []Record{
		{Key: "Tom", Value: []byte("630"), Left: time.Hour},
		{Key: "Jack", Value: []byte{}},
		{Key: "\x00\xff", Value: bytes.Repeat([]byte("v"), 300), Left: -time.Second},
		{Key: "Jill", Value: []byte("no such player"), Left: 1, Missing: true},
	}
)

// encode returns the bytes of a file.
func encode(t testing.TB, h Header, records []Record) []byte {
	t.Helper()
	var file bytes.Buffer
	e, err := newEncoder(&file, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := e.add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.end(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// decode returns what a file has; an error says that nothing is to be used.
func decode(t testing.TB, file []byte) (Header, []Record, error) {
	t.Helper()
	r, err := newReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return Header{}, nil, err
	}
	return r.Header(), all(t, r), nil
}

// all returns the records of a file that was found whole.
func all(t testing.TB, r *Reader) (all []Record) {
	t.Helper()
	for {
		record, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("after the file was found whole: %v", err)
		}
		all = append(all, record)
	}
}

// sealed appends the checksum.
func sealed(content []byte) []byte {
	return binary.LittleEndian.AppendUint64(bytes.Clone(content), xxhash.Sum64(content))
}

// save writes a file as a process does.
func save(t *testing.T, path string, records ...Record) {
	t.Helper()
	w := create(t, path, records...)
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := w.Publish(); err != nil {
		t.Fatal(err)
	}
	w.Discard()
}

func create(t *testing.T, path string, records ...Record) *Writer {
	t.Helper()
	w, err := Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// take takes the file at path and returns its records; ok is false if there is none.
func take(t *testing.T, path string) (records []Record, ok bool) {
	t.Helper()
	taken, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if taken == nil {
		return nil, false
	}
	r, err := taken.Open()
	if err != nil {
		t.Fatal(err)
	}
	records = all(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := taken.Remove(); err != nil {
		t.Error(err)
	}
	return records, true
}

// names returns the files in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRoundTrip(t *testing.T) {
	for n := range len(records) + 1 {
		h, got, err := decode(t, encode(t, header, records[:n]))
		if err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		if !h.Written.Equal(header.Written) || h.Name != header.Name || h.Departure != header.Departure || !bytes.Equal(h.Note, header.Note) {
			t.Errorf("header %+v, want %+v", h, header)
		}
		if len(got) != n || n > 0 && !reflect.DeepEqual(got, records[:n]) {
			t.Errorf("records %v, want %v", got, records[:n])
		}
	}
}

// A file that ends too early, anywhere, or goes on after its end, is none.
func TestTornFileIsNone(t *testing.T) {
	file := encode(t, header, records)
	for n := range file {
		if _, got, err := decode(t, file[:n]); err == nil {
			t.Errorf("the first %d of %d bytes: %d records and no error", n, len(file), len(got))
		}
	}
	for _, more := range [][]byte{{0}, make([]byte, fixedRecord), file} {
		if _, got, err := decode(t, append(bytes.Clone(file), more...)); err == nil {
			t.Errorf("%d bytes after the end: %d records and no error", len(more), len(got))
		}
	}
}

// A file of which one byte is another one, whichever, is none.
func TestFlippedByteIsNone(t *testing.T) {
	file := encode(t, header, records)
	for i := range file {
		for _, flip := range []byte{1, 0x80, 0xff} {
			file[i] ^= flip
			if _, got, err := decode(t, file); err == nil {
				t.Errorf("byte %d of %d with %#x flipped: %d records and no error", i, len(file), flip, len(got))
			}
			file[i] ^= flip
		}
	}
}

// What a checksum does not tell: a file that some other program, or version, sealed.
func TestSealedRubbishIsNone(t *testing.T) {
	head, err := appendHeader(nil, header)
	if err != nil {
		t.Fatal(err)
	}
	file := func(parts ...fixed) []byte {
		b := bytes.Clone(head)
		for _, p := range parts {
			b = p.append(b)
		}
		return b
	}
	end := fixed{kind: kindEnd}
	for _, c := range []struct {
		name    string
		content []byte
		says    string
	}{
		{"another magic", append([]byte("otherwise"), file(end)...), "no snapshot"},
		{"a later version", append(append([]byte(magic), version+1), file(end)[len(magic)+1:]...), "version 2"},
		{"no name", append(append(bytes.Clone(head[:fixedHeader-5]), 0, 0, 0, 0, 0), end.append(nil)...), "no name"},
		{"a long note", append(append(bytes.Clone(head[:fixedHeader-4]), 0xff, 0xff, 0, 0), end.append(nil)...), "a note of"},
		{"no end", file(fixed{kind: kindValue}), "unexpected EOF"},
		{"two ends", file(end, end), "after its end"},
		{"an end with lengths", file(fixed{kind: kindEnd, key: 1}), "its end"},
		{"too few records", file(fixed{kind: kindValue}, fixed{kind: kindEnd, left: 2}), "says that it has 2"},
		{"too many records", file(fixed{kind: kindValue}, end), "says that it has 0"},
		{"an unknown kind", file(fixed{kind: 9}, fixed{kind: kindEnd, left: 1}), "kind 9"},
		{"a key beyond the bound", file(fixed{kind: kindValue, key: MostKeyBytes + 1}, end), "a key of"},
		{"a value beyond the bound", file(fixed{kind: kindValue, value: MostValueBytes + 1}, end), "a value of"},
		{"a value beyond the file", file(fixed{kind: kindValue, value: MostValueBytes}, end), "where 17 are left"},
	} {
		_, _, err := decode(t, sealed(c.content))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.says)
		}
	}
}

// While a file is written, and if that ends early, the one before is there; it takes one
// step to have the new one, and nothing is left beside it.
func TestCrashBetweenWriteAndRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "scores")
	save(t, path, records[0])
	unfinished := create(t, path, records[1])
	if err := unfinished.Seal(); err != nil { // and here the process ends
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("files %q, want the old one and the one that is written", got)
	}
	if got, _ := take(t, path); !reflect.DeepEqual(got, records[:1]) {
		t.Errorf("records %v, want those of the file before", got)
	}
	save(t, path, records[2])
	if got, _ := take(t, path); !reflect.DeepEqual(got, records[2:3]) {
		t.Errorf("records %v, want those of the new file", got)
	}
	create(t, path, records[3]).Discard()
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("files %q are left", got)
	}
}

// What was taken is not found again, not even when the reader has not come to its end.
func TestTakenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores")
	save(t, path, records...)
	if taken, err := Take(path); err != nil || taken == nil {
		t.Fatalf("%v, %v, want a file", taken, err)
	}
	if _, ok := take(t, path); ok {
		t.Error("a file was taken twice")
	}
}

func TestTakeOfNoFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a directory":             dir,
		"in a missing directory":  filepath.Join(dir, "missing", "scores"),
		"in a file":               filepath.Join(file, "scores"),
		"a directory, with slash": dir + string(filepath.Separator),
		"no room for the suffix":  filepath.Join(dir, strings.Repeat("n", 255-len(tempSuffix))),
	} {
		if taken, err := Take(path); err == nil {
			t.Errorf("%s: %v, want an error", name, taken)
		}
	}
	// A file that could be there is no error, and to look leaves nothing.
	if taken, err := Take(filepath.Join(dir, "scores")); taken != nil || err != nil {
		t.Errorf("%v, %v, want no file and no error", taken, err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files %q, want the one that was there", got)
	}
}

func TestOnlyTheUserMayRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	path := filepath.Join(t.TempDir(), "scores")
	if err := os.WriteFile(path+tempSuffix, nil, 0o666); err != nil { // somebody was here
		t.Fatal(err)
	}
	save(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %v, want 0600", mode)
	}
}

func TestRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores")
	for _, name := range []string{"", strings.Repeat("n", MostNameBytes+1)} {
		if _, err := Create(path, Header{Name: name}); err == nil {
			t.Errorf("a name of %d bytes: no error", len(name))
		}
	}
	w := create(t, path)
	defer w.Discard()
	if err := w.Add(Record{Key: strings.Repeat("k", MostKeyBytes+1)}); err == nil {
		t.Error("a key that is too long: no error")
	}
	if _, err := Create(filepath.Join(path, "in a file that is not there"), header); err == nil {
		t.Error("a path in no directory: no error")
	}
}

// failing is a disk with room for so many bytes.
type failing int

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

// A write that fails is an error, wherever it does.
func TestFullDisk(t *testing.T) {
	whole := len(encode(t, header, records))
	for room := range whole {
		disk := failing(room)
		e, err := newEncoder(&disk, header)
		for i := 0; i < len(records) && err == nil; i++ {
			err = e.add(records[i])
		}
		if err == nil {
			err = e.end()
		}
		if err == nil {
			t.Errorf("room for %d of %d bytes: no error", room, whole)
		}
	}
}

// FuzzReader reads any file (P10): it is refused, or it is the very one that a Writer
// makes of its records. seal gives it the right checksum, which random bytes never have.
func FuzzReader(f *testing.F) {
	file := encode(f, header, records)
	f.Add(file, false)
	f.Add(file[:len(file)-checksumSize], true)
	f.Add(file[:fixedHeader+len(header.Name)+len(header.Note)], true)
	f.Fuzz(func(t *testing.T, file []byte, seal bool) {
		if seal {
			file = sealed(file)
		}
		h, records, err := decode(t, file)
		if err != nil {
			return
		}
		if again := encode(t, h, records); !bytes.Equal(again, file) {
			t.Errorf("a file of %d bytes was read whose records make one of %d", len(file), len(again))
		}
	})
}
