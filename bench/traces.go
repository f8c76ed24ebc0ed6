package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A trace is a stream of requests. Keys are dense: 0 to distinct-1, in the order in which
// they are first asked for.
type trace struct {
	name     string
	keys     []uint32
	distinct int
	sizes    []int // of caches, in entries
}

// newTrace makes a trace of keys of any size.
func newTrace(name string, raw []uint64, sizes ...int) trace {
	ids := make(map[uint64]uint32)
	keys := make([]uint32, len(raw))
	for i, k := range raw {
		id, ok := ids[k]
		if !ok {
			id = uint32(len(ids))
			ids[k] = id
		}
		keys[i] = id
	}
	return trace{name, keys, len(ids), sizes}
}

// tracesDir returns where recorded traces lie: beside the repository.
func tracesDir() string {
	root := "."
	for dir := "."; len(dir) < 32; dir = filepath.Join("..", dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			root = dir
			break
		}
	}
	return filepath.Join(root, "..", "shared", "traces")
}

// recorded reads a trace from a file of gzip, by the reader for its format.
func recorded(name string, read func(*bufio.Reader) ([]uint64, error), sizes ...int) (trace, error) {
	f, err := os.Open(filepath.Join(tracesDir(), name+".gz"))
	if err != nil {
		return trace{}, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return trace{}, fmt.Errorf("trace %s: %w", name, err)
	}
	raw, err := read(bufio.NewReader(unzipped))
	if err != nil {
		return trace{}, fmt.Errorf("trace %s: %w", name, err)
	}
	return newTrace(name, raw, sizes...), nil
}

// readWords reads big-endian keys of 64 bits.
func readWords(r *bufio.Reader) (raw []uint64, err error) {
	var word [8]byte
	for {
		switch _, err := io.ReadFull(r, word[:]); {
		case errors.Is(err, io.EOF):
			return raw, nil
		case err != nil:
			return nil, err
		}
		raw = append(raw, binary.BigEndian.Uint64(word[:]))
	}
}

// readLines reads a key from each line.
func readLines(r *bufio.Reader) ([]uint64, error) { return readFields(r, false) }

// readRanges reads a first key and a number of keys from each line.
func readRanges(r *bufio.Reader) ([]uint64, error) { return readFields(r, true) }

func readFields(r *bufio.Reader, ranges bool) (raw []uint64, err error) {
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return raw, lines.Err()
		}
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || ranges && len(fields) < 2 {
			continue
		}
		first, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue // not a request
		}
		n := uint64(1)
		if ranges {
			if n, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
				return nil, err
			}
		}
		for i := range n {
			raw = append(raw, first+i)
		}
	}
}

// elsewhere is beyond the keys of the generated traces' other parts.
const elsewhere = 1 << 40

// zipfTrace draws n requests for keys by a Zipf distribution: the k-th key, from 0 on, is asked
// for in proportion to (1+k)^-skew. A part of all requests are scans, runs of keys that are never
// asked for again.
func zipfTrace(name string, skew float64, keys, n int, scans float64, sizes ...int) trace {
	const run = 1000
	rnd := rand.New(rand.NewPCG(1, 5))
	zipf := rand.NewZipf(rnd, skew, 1, uint64(keys-1))
	raw := make([]uint64, 0, n+run)
	for once := uint64(elsewhere); len(raw) < n; {
		if rnd.Float64() >= scans/(run*(1-scans)+scans) {
			raw = append(raw, zipf.Uint64())
			continue
		}
		for range run {
			raw = append(raw, once)
			once++
		}
	}
	return newTrace(name, raw[:n], sizes...)
}

// loopTrace goes round a number of keys again and again.
func loopTrace(name string, length, n int, sizes ...int) trace {
	raw := make([]uint64, n)
	for i := range raw {
		raw[i] = uint64(i % length)
	}
	return newTrace(name, raw, sizes...)
}

// shiftTrace is a Zipf distribution whose popular keys become others, all at once, every so
// many requests.
func shiftTrace(name string, skew float64, keys, n, every int, sizes ...int) trace {
	rnd := rand.New(rand.NewPCG(1, 6))
	zipf := rand.NewZipf(rnd, skew, 1, uint64(keys-1))
	raw := make([]uint64, n)
	var names []int
	for i := range raw {
		if i%every == 0 {
			names = rnd.Perm(keys)
		}
		raw[i] = uint64(names[zipf.Uint64()])
	}
	return newTrace(name, raw, sizes...)
}
