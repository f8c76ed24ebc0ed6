package aof

import (
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/disk"
)

// Files are the files of a directory.
type Files struct {
	// Fresh: there is no manifest, and no record.
	Fresh bool
	// Segments are those that are replayed, in their order.
	Segments []uint64
	// Leftovers are what a crash has left, and nobody needs.
	Leftovers []string
	manifest  manifest
}

// Snapshot returns the name of the snapshot that is loaded first, or "".
func (f *Files) Snapshot() string {
	if !f.manifest.snapshot {
		return ""
	}
	return snapshotName(f.manifest.first)
}

// Survey looks at what files there are.
func Survey(d disk.Disk) (*Files, error) {
	m, ok, err := readManifest(d)
	if err != nil {
		return nil, err
	}
	names, err := d.List()
	if err != nil {
		return nil, err
	}
	files := &Files{manifest: m, Fresh: !ok}
	found := false
	for _, name := range names {
		number, segment := parseName(name, segmentExt)
		other, snapshot := parseName(name, snapshotExt)
		switch {
		case !ok && segment:
			if err := unbegun(d, name); err != nil {
				return nil, err
			}
		case !ok && snapshot:
			return nil, &DamagedError{File: manifestName, Why: "it is missing, and there is " + name}
		case segment && number >= m.first:
			files.Segments = append(files.Segments, number)
		case snapshot && other == m.first && m.snapshot:
			found = true
		case segment, snapshot, temporary(name):
			files.Leftovers = append(files.Leftovers, name)
		}
	}
	if !ok {
		return files, nil
	}
	slices.Sort(files.Segments)
	for i := range max(1, len(files.Segments)) {
		if want := m.first + uint64(i); len(files.Segments) == 0 || files.Segments[i] != want {
			return nil, &DamagedError{File: segmentName(want), Why: "it is missing"}
		}
	}
	if m.snapshot && !found {
		return nil, &DamagedError{File: snapshotName(m.first), Why: "it is missing"}
	}
	return files, nil
}

// temporary reports whether a file is one that was not finished. A manifest of that kind is none of them: the next one takes its place.
func temporary(name string) bool {
	name, ok := strings.CutSuffix(name, temporaryExt)
	if !ok {
		return false
	}
	_, segment := parseName(name, segmentExt)
	_, snapshot := parseName(name, snapshotExt)
	return segment || snapshot
}

// unbegun returns an error if a segment has records, and there is no manifest.
func unbegun(d disk.Disk, name string) error {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > headerSize {
		err = &DamagedError{File: manifestName, Why: "it is missing, and there are records in " + name}
	}
	return err
}
