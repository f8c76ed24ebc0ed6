package aof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/disk"
)

const (
	segmentExt   = ".log"
	snapshotExt  = ".snap"
	temporaryExt = ".tmp"
	manifestName = "manifest"
)

// SegmentName returns the name of a segment.
func SegmentName(number uint64) string { return segmentName(number) }

func segmentName(number uint64) string  { return fmt.Sprintf("%06d%s", number, segmentExt) }
func snapshotName(number uint64) string { return fmt.Sprintf("%06d%s", number, snapshotExt) }

// parseName returns the number of a file, if name is that of one.
func parseName(name, ext string) (number uint64, ok bool) {
	text, ok := strings.CutSuffix(name, ext)
	if !ok {
		return 0, false
	}
	if _, err := fmt.Sscanf(text, "%d", &number); err != nil {
		return 0, false
	}
	return number, fmt.Sprintf("%06d", number) == text
}

// manifest says with what recovery begins.
type manifest struct {
	first    uint64 // the first segment
	snapshot bool   // the snapshot of that number is loaded before
}

const manifestMagic = "peercache data log, version 1"

func (m manifest) encode() []byte {
	snapshot := "none"
	if m.snapshot {
		snapshot = snapshotName(m.first)
	}
	text := fmt.Sprintf("%s\nsnapshot %s\nsegment %s\n", manifestMagic, snapshot, segmentName(m.first))
	return fmt.Appendf(nil, "%scrc %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

func parseManifest(b []byte) (m manifest, err error) {
	var snapshot, segment string
	if _, err := fmt.Sscanf(string(b), manifestMagic+"\nsnapshot %s\nsegment %s\n", &snapshot, &segment); err != nil {
		return m, &DamagedError{File: manifestName, Why: "it is no manifest of version 1"}
	}
	m.first, _ = parseName(segment, segmentExt)
	m.snapshot = snapshot != "none"
	if m.first == 0 || !bytes.Equal(m.encode(), b) {
		return m, &DamagedError{File: manifestName, Why: "its checksum is wrong"}
	}
	return m, nil
}

// readManifest returns the manifest of a directory, or none.
func readManifest(d disk.Disk) (m manifest, ok bool, err error) {
	f, err := d.Open(manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil {
		return m, false, err
	}
	m, err = parseManifest(b)
	return m, err == nil, err
}

// writeManifest replaces the manifest of a directory. After an error either one is there; both have to be good then.
func writeManifest(d disk.Disk, m manifest) error {
	if err := prepareManifest(d, m); err != nil {
		return err
	}
	return replaceManifest(d)
}

// prepareManifest writes a manifest that counts only after replaceManifest.
func prepareManifest(d disk.Disk, m manifest) error {
	return writeFile(d, manifestName+temporaryExt, m.encode())
}

func replaceManifest(d disk.Disk) error {
	if err := d.Rename(manifestName+temporaryExt, manifestName); err != nil {
		return err
	}
	return d.Sync()
}

// writeFile makes a file, and syncs it.
func writeFile(d disk.Disk, name string, b []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Rebuild writes a manifest by what files there are: recovery begins with the newest snapshot that is whole and has all segments from its number
// on, or else with the first segment. It reports whether there is something to begin with.
func Rebuild(d disk.Disk) (bool, error) {
	names, err := d.List()
	if err != nil {
		return false, err
	}
	var snapshots, segments []uint64
	for _, name := range names {
		if n, ok := parseName(name, segmentExt); ok {
			segments = append(segments, n)
		} else if n, ok := parseName(name, snapshotExt); ok {
			snapshots = append(snapshots, n)
		}
	}
	slices.Sort(segments)
	slices.SortFunc(snapshots, func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, n := range snapshots {
		if _, err := ReadSnapshotFile(d, snapshotName(n), func([]byte) error { return nil }); err == nil && slices.Contains(segments, n) {
			return true, writeManifest(d, manifest{n, true})
		}
	}
	if len(snapshots) == 0 && len(segments) > 0 && segments[0] == 1 {
		return true, writeManifest(d, manifest{first: 1})
	}
	return false, nil
}
