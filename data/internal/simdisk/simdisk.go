// Package simdisk is a disk that loses what a real one may lose when the machine crashes: any part of what was not synced, in
// any order, sector by sector. It fills up, and fails to sync. All it does follows from a seed.
package simdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"

	"github.com/peercache/peercache/data/internal/disk"
)

// ErrCrashed is what all operations return after Crash or Restart, and after Kill.
var ErrCrashed = errors.New("simdisk: the machine has crashed")

// Disk is a simulated disk of one directory. It is for one goroutine.
type Disk struct {
	rng *rand.Rand
	// Before is called before each operation, with its name and that of the file. An error fails the operation. nil: nothing.
	Before func(op, name string) error
	// Capacity bounds the bytes of all files. 0: no bound.
	Capacity int64
	// SectorSize is what the disk writes whole or not at all.
	SectorSize int

	names   map[string]*inode // as a process sees them
	stable  map[string]*inode // as they are after a crash
	renames []naming          // that are not synced
	locked  bool
	dead    bool
}

// inode is a file, with or without a name.
type inode struct {
	bytes    []byte // as a process sees them
	stable   []byte // as they are after a crash, but for unsynced
	unsynced []change
}

// change is a write, or, with nil data, a truncation.
type change struct {
	at   int64
	data []byte
}

// naming is a change of the names: to has the file then, and from has none. Each may be "".
type naming struct {
	from, to string
	file     *inode
}

var _ disk.Disk = (*Disk)(nil)

// New returns an empty disk.
func New(rng *rand.Rand) *Disk {
	return &Disk{rng: rng, SectorSize: 512, names: make(map[string]*inode), stable: make(map[string]*inode)}
}

// Kill has all operations fail from now on: the process has ended.
func (d *Disk) Kill() { d.dead = true }

// Restart returns the disk as another process finds it when the machine goes on: nothing is lost.
func (d *Disk) Restart() *Disk {
	d.dead = true
	return &Disk{rng: d.rng, Capacity: d.Capacity, SectorSize: d.SectorSize, names: d.names, stable: d.stable, renames: d.renames}
}

// Crash returns the disk as it is after the machine has crashed.
func (d *Disk) Crash() *Disk {
	d.dead = true
	names := maps.Clone(d.stable)
	keep := d.keeper(len(d.renames))
	for i, n := range d.renames {
		if keep(i) {
			n.apply(names)
		}
	}
	after := &Disk{rng: d.rng, Capacity: d.Capacity, SectorSize: d.SectorSize, names: make(map[string]*inode), stable: make(map[string]*inode)}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		file := names[name]
		file.lose(d)
		after.names[name] = &inode{bytes: slices.Clone(file.stable), stable: slices.Clone(file.stable)}
		after.stable[name] = after.names[name]
	}
	return after
}

// keeper decides which of n things that were not synced survive: all, none, those before some place, or any.
func (d *Disk) keeper(n int) func(i int) bool {
	switch d.rng.IntN(5) {
	case 0:
		return func(int) bool { return true }
	case 1:
		return func(int) bool { return false }
	case 2:
		first := d.rng.IntN(n + 1)
		return func(i int) bool { return i < first }
	}
	odds := d.rng.Float64()
	return func(int) bool { return d.rng.Float64() < odds }
}

func (n naming) apply(names map[string]*inode) {
	delete(names, n.from)
	if n.to != "" {
		names[n.to] = n.file
	}
}

// lose has a part of what was not synced become stable, and forgets the rest.
func (f *inode) lose(d *Disk) {
	type sector struct{ change, from, to int }
	var sectors []sector
	for i, c := range f.unsynced {
		if c.data == nil {
			sectors = append(sectors, sector{i, 0, 0})
			continue
		}
		for from := 0; from < len(c.data); {
			to := min(len(c.data), from+d.SectorSize-int(c.at+int64(from))%d.SectorSize)
			sectors = append(sectors, sector{i, from, to})
			from = to
		}
	}
	keep := d.keeper(len(sectors))
	for i, s := range sectors {
		c := f.unsynced[s.change]
		if !keep(i) {
			if c.data != nil && d.rng.IntN(4) == 0 { // the size is not lost
				f.stable = grow(f.stable, c.at+int64(s.to))
			}
			continue
		}
		if c.data == nil {
			f.stable = resize(f.stable, c.at)
			continue
		}
		f.stable = put(f.stable, c.at+int64(s.from), c.data[s.from:s.to])
	}
	f.unsynced = nil
}

func grow(b []byte, size int64) []byte {
	if size > int64(len(b)) {
		b = append(b, make([]byte, size-int64(len(b)))...)
	}
	return b
}

func resize(b []byte, size int64) []byte { return grow(b, size)[:size:size] }

func put(b []byte, at int64, data []byte) []byte {
	b = grow(b, at+int64(len(data)))
	copy(b[at:], data)
	return b
}

// before is called before each operation.
func (d *Disk) before(op, name string) error {
	if !d.dead && d.Before != nil {
		if err := d.Before(op, name); err != nil {
			return fmt.Errorf("%s %s: %w", op, name, err)
		}
	}
	if d.dead {
		return ErrCrashed
	}
	return nil
}

func (d *Disk) name(n naming) {
	n.apply(d.names)
	d.renames = append(d.renames, n)
}

// Create implements disk.Disk.
func (d *Disk) Create(name string) (disk.File, error) {
	if err := d.before("create", name); err != nil {
		return nil, err
	}
	file := &inode{}
	d.name(naming{"", name, file})
	return &handle{d, name, file}, nil
}

// Open implements disk.Disk.
func (d *Disk) Open(name string) (disk.File, error) {
	if err := d.before("open", name); err != nil {
		return nil, err
	}
	file := d.names[name]
	if file == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &handle{d, name, file}, nil
}

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string) error {
	if err := d.before("rename", from); err != nil {
		return err
	}
	file := d.names[from]
	if file == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	d.name(naming{from, to, file})
	return nil
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string) error {
	if err := d.before("remove", name); err != nil {
		return err
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.name(naming{name, "", nil})
	return nil
}

// List implements disk.Disk.
func (d *Disk) List() ([]string, error) {
	if err := d.before("list", ""); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

// Sync implements disk.Disk.
func (d *Disk) Sync() error {
	if err := d.before("syncdir", ""); err != nil {
		if !d.dead { // the names are thought to be on the disk, and may be not
			keep := d.keeper(len(d.renames))
			for i, n := range d.renames {
				if keep(i) {
					n.apply(d.stable)
				}
			}
			d.renames = nil
		}
		return err
	}
	for _, n := range d.renames {
		n.apply(d.stable)
	}
	d.renames = nil
	return nil
}

// Lock implements disk.Disk.
func (d *Disk) Lock() (io.Closer, error) {
	if err := d.before("lock", ""); err != nil {
		return nil, err
	}
	if d.locked {
		return nil, disk.ErrLocked
	}
	d.locked = true
	return unlock{d}, nil
}

type unlock struct{ d *Disk }

func (u unlock) Close() error {
	u.d.locked = false
	return nil
}

// handle is an open file.
type handle struct {
	d    *Disk
	name string
	file *inode
}

func (h *handle) Close() error { return nil }

func (h *handle) Size() (int64, error) {
	if h.d.dead {
		return 0, ErrCrashed
	}
	return int64(len(h.file.bytes)), nil
}

func (h *handle) ReadAt(b []byte, at int64) (int, error) {
	if h.d.dead {
		return 0, ErrCrashed
	}
	if at >= int64(len(h.file.bytes)) {
		return 0, io.EOF
	}
	n := copy(b, h.file.bytes[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	if err := h.d.before("write", h.name); err != nil {
		return 0, err
	}
	var full error
	if more := at + int64(len(b)) - int64(len(h.file.bytes)); h.d.Capacity > 0 && more > 0 {
		if room := max(0, h.d.Capacity-h.d.Used()); more > room {
			b, full = b[:max(0, int64(len(b))-(more-room))], syscall.ENOSPC
		}
	}
	if len(b) > 0 {
		h.file.bytes = put(h.file.bytes, at, b)
		h.file.unsynced = append(h.file.unsynced, change{at, slices.Clone(b)})
	}
	return len(b), full
}

// Used returns the bytes of all files.
func (d *Disk) Used() (n int64) {
	for _, file := range d.names {
		n += int64(len(file.bytes))
	}
	return n
}

// Damage calls do with the bytes of a file, which it may change, on the disk and in all that processes see.
func (d *Disk) Damage(name string, do func(b []byte)) {
	file := d.names[name]
	do(file.bytes)
	file.stable, file.unsynced = slices.Clone(file.bytes), nil
}

func (h *handle) Truncate(size int64) error {
	if err := h.d.before("truncate", h.name); err != nil {
		return err
	}
	h.file.bytes = resize(h.file.bytes, size)
	h.file.unsynced = append(h.file.unsynced, change{size, nil})
	return nil
}

func (h *handle) Sync() error {
	if err := h.d.before("sync", h.name); err != nil {
		if !h.d.dead { // what is lost is thought to be on the disk
			h.file.lose(h.d)
		}
		return err
	}
	// What a failed sync has lost stays lost: only what was written since is on the disk then.
	for _, c := range h.file.unsynced {
		if c.data == nil {
			h.file.stable = resize(h.file.stable, c.at)
		} else {
			h.file.stable = put(h.file.stable, c.at, c.data)
		}
	}
	h.file.unsynced = nil
	return nil
}
