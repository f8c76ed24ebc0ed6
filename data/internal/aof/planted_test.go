package aof

import (
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/simdisk"
)

// lying is a disk on which syncs of some files, or of the directory (""), do nothing: as if the log had forgotten them.
type lying struct {
	disk.Disk
	lies func(name string) bool
}

func (l lying) Create(name string) (disk.File, error) {
	f, err := l.Disk.Create(name)
	return l.file(name, f), err
}

func (l lying) Open(name string) (disk.File, error) {
	f, err := l.Disk.Open(name)
	return l.file(name, f), err
}

func (l lying) file(name string, f disk.File) disk.File {
	if f == nil || !l.lies(name) {
		return f
	}
	return unsynced{f}
}

func (l lying) Sync() error {
	if l.lies("") {
		return nil
	}
	return l.Disk.Sync()
}

type unsynced struct{ disk.File }

// Sync syncs a header at most.
func (u unsynced) Sync() error {
	if size, err := u.Size(); err != nil || size > headerSize {
		return err
	}
	return u.File.Sync()
}

// expiring is a store that has keys expire while it replays.
type expiring struct{ *engine.Engine }

func (expiring) Replaying(bool) {}

// The simulation finds bugs that are planted: so it would find them if they were made.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	onDisk := func(lies func(name string) bool) func(w *world) {
		return func(w *world) {
			w.plant = func(d *simdisk.Disk) disk.Disk { return lying{d, lies} }
		}
	}
	for name, plant := range map[string]func(w *world){
		"a record is acknowledged before it is synced": onDisk(func(name string) bool { return strings.HasSuffix(name, segmentExt) }),
		"a snapshot is renamed before it is synced":    onDisk(func(name string) bool { return strings.HasSuffix(name, snapshotExt+temporaryExt) }),
		"the manifest is renamed before it is synced":  onDisk(func(name string) bool { return name == manifestName+temporaryExt }),
		"names are not synced":                         onDisk(func(name string) bool { return name == "" }),
		"keys expire while the log is replayed": func(w *world) {
			w.store = func(e *engine.Engine) Store { return expiring{e} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				w := newWorld(seed + 1)
				plant(w)
				if err := simulate(w); err != nil {
					t.Logf("found with seed %d: %v", seed+1, err)
					return
				}
			}
			t.Error("500 seeds have not found it")
		})
	}
}
