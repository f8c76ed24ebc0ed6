package strings

import (
	"slices"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// lcsOptions are those of LCS.
type lcsOptions struct {
	length, ranges, lengths bool  // LEN, IDX, WITHMATCHLEN
	least                   int64 // MINMATCHLEN
}

func lcsOptionsOf(args []string) (o lcsOptions, err error) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case is(arg, "len"):
			o.length = true
		case is(arg, "idx"):
			o.ranges = true
		case is(arg, "withmatchlen"):
			o.lengths = true
		case is(arg, "minmatchlen") && i+1 < len(args):
			i++
			least, ok := number.Int(args[i])
			if !ok {
				return o, engine.ErrNotInt
			}
			o.least = max(0, least)
		default:
			return o, engine.ErrSyntax
		}
	}
	if o.length && o.ranges {
		return o, engine.Error("ERR If you want both the length and indexes, please just use IDX.")
	}
	return o, nil
}

func lcs(c *engine.Call) error {
	a, _, err := c.ReadString(c.Args[1])
	b, _, err2 := c.ReadString(c.Args[2])
	if err != nil || err2 != nil {
		return engine.Error("ERR The specified keys must contain string values")
	}
	o, err := lcsOptionsOf(c.Args[3:])
	if err != nil {
		return err
	}
	size := int64(len(a)+1) * int64(len(b)+1) * 4
	if size > longest {
		return errLCS
	}
	if o.length {
		c.W.Int(int64(lcsLength(a, b)))
		return nil
	}
	defer lcsTables.Add(-size)
	if lcsTables.Add(size) > longest {
		return errLCS
	}
	t := newLCSTable(a, b)
	if o.ranges {
		t.writeRanges(c.W, o)
	} else {
		c.W.Bytes(t.sequence())
	}
	return nil
}

const errLCS engine.Error = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"

// lcsTables is what the tables of all LCS take that run now. Together they take no more than the one that Redis runs.
var lcsTables atomic.Int64

// lcsLength returns the length of the longest common subsequences. It needs no table.
func lcsLength(a, b string) uint32 {
	above, row := make([]uint32, len(b)+1), make([]uint32, len(b)+1)
	for i := range len(a) {
		lcsRow(above, row, a[i], b)
		above, row = row, above
	}
	return above[len(b)]
}

// lcsRow fills the row of a byte of one string, from the row above.
func lcsRow(above, row []uint32, is byte, b string) {
	for j := range len(b) {
		if is == b[j] {
			row[j+1] = above[j] + 1
		} else {
			row[j+1] = max(above[j+1], row[j])
		}
	}
}

// lcsTable has the lengths of the longest common subsequences of all beginnings of two strings.
type lcsTable struct {
	a, b    string
	lengths []uint32
}

func newLCSTable(a, b string) *lcsTable {
	width := len(b) + 1
	t := &lcsTable{a, b, make([]uint32, (len(a)+1)*width)}
	for i := range len(a) {
		lcsRow(t.lengths[i*width:(i+1)*width], t.lengths[(i+1)*width:(i+2)*width], a[i], b)
	}
	return t
}

// at returns the length for the first i bytes of a and the first j bytes of b.
func (t *lcsTable) at(i, j int) uint32 { return t.lengths[i*(len(t.b)+1)+j] }

// walk calls match with the places of the bytes of one longest common subsequence, the last one first: the one that Redis finds.
func (t *lcsTable) walk(match func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			i, j = i-1, j-1
			match(i, j)
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

// sequence returns the longest common subsequence.
func (t *lcsTable) sequence() []byte {
	s := make([]byte, 0, t.at(len(t.a), len(t.b)))
	t.walk(func(i, _ int) { s = append(s, t.a[i]) })
	slices.Reverse(s)
	return s
}

// lcsRange is size bytes that are equal in a, from i on, and in b, from j on.
type lcsRange struct{ i, j, size int }

// writeRanges replies where the bytes of the sequence are.
func (t *lcsTable) writeRanges(w engine.Writer, o lcsOptions) {
	var ranges []lcsRange
	t.walk(func(i, j int) {
		if last := len(ranges) - 1; last >= 0 && ranges[last].i == i+1 && ranges[last].j == j+1 {
			ranges[last] = lcsRange{i, j, ranges[last].size + 1}
			return
		}
		ranges = append(ranges, lcsRange{i, j, 1})
	})
	ranges = slices.DeleteFunc(ranges, func(r lcsRange) bool { return int64(r.size) < o.least })
	w.Map(2)
	w.Bulk("matches")
	w.Array(len(ranges))
	for _, r := range ranges {
		if o.lengths {
			w.Array(3)
		} else {
			w.Array(2)
		}
		for _, from := range []int{r.i, r.j} {
			w.Array(2)
			w.Int(int64(from))
			w.Int(int64(from + r.size - 1))
		}
		if o.lengths {
			w.Int(int64(r.size))
		}
	}
	w.Bulk("len")
	w.Int(int64(t.at(len(t.a), len(t.b))))
}
