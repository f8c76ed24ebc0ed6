package zsets

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errCountLeast engine.Error = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	errCountRange engine.Error = "ERR value is out of range"
)

// mostRepeated is how many members are returned at most where they may repeat. Redis has no such bound, and runs out of memory.
const mostRepeated = 1 << 20

func zrandmember(c *engine.Call) error {
	if len(c.Args) == 2 {
		z, err := read(c, c.Args[1])
		switch {
		case err != nil:
			return err
		case z == nil:
			c.W.Null()
		default:
			z.At(rand.IntN(z.Len())).Write(c.W)
		}
		return nil
	}
	count, ok := number.Int(c.Args[2])
	scores := len(c.Args) > 3
	switch {
	case !ok:
		return engine.ErrNotInt
	case count == math.MinInt64:
		return errCountLeast
	case len(c.Args) > 4, scores && !strings.EqualFold(c.Args[3], "withscores"):
		return engine.ErrSyntax
	case scores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2), count < -mostRepeated:
		return errCountRange
	}
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	randomMembers(c.W, z, count, scores)
	return nil
}

// randomMembers replies count different members of z, which may be nil, as far as there are as many; or, if count is less than zero,
// -count of which some may be the same.
func randomMembers(w engine.Writer, z *zset.Set, count int64, scores bool) {
	size := length(z)
	switch {
	case size == 0 || count == 0:
		w.Array(0)
	case count < 0:
		r := newReply(w, int(-count), scores)
		for range -count {
			r.item(z.At(rand.IntN(size)))
		}
	case count >= int64(size):
		replySpan(w, z, 0, size, false, scores)
	default:
		r := newReply(w, int(count), scores)
		for _, rank := range choose(size, int(count)) {
			r.item(z.At(rank))
		}
	}
}

// choose returns count different numbers below size, each choice with the same probability (Floyd's algorithm).
func choose(size, count int) []int {
	chosen := make(map[int]bool, count)
	list := make([]int, 0, count)
	for i := size - count; i < size; i++ {
		n := rand.IntN(i + 1)
		if chosen[n] {
			n = i
		}
		chosen[n] = true
		list = append(list, n)
	}
	return list
}
