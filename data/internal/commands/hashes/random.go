package hashes

import (
	"math"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/hash"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
)

const (
	errCount engine.Error = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	errRange engine.Error = "ERR value is out of range"
)

// mostRepeated is how many fields are returned at most where they may repeat. Redis has no such bound, and runs out of memory.
const mostRepeated = 1 << 20

func hrandfield(c *engine.Call) error {
	if len(c.Args) == 2 {
		return randomField(c)
	}
	count, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	withValues := len(c.Args) == 4 && strings.EqualFold(c.Args[3], "withvalues")
	switch {
	case count == math.MinInt64:
		return errCount
	case len(c.Args) > 3 && !withValues:
		return engine.ErrSyntax
	case withValues && (count < -math.MaxInt64/2 || count > math.MaxInt64/2), count < -mostRepeated:
		return errRange
	}
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	r := &fieldReply{w: c.W, values: withValues}
	switch {
	case h == nil:
		r.begin(0)
	case count < 0:
		r.begin(int(-count))
		for range -count {
			r.add(h.Random())
		}
	default:
		n := int(min(count, int64(h.Len())))
		r.begin(n)
		h.Sample(n, r.add)
	}
	return nil
}

func randomField(c *engine.Call) error {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	if h == nil {
		c.W.Null()
		return nil
	}
	field, _ := h.Random()
	field.Write(c.W)
	return nil
}

// fieldReply writes fields, with their values if values is true: in version 3 as pairs.
type fieldReply struct {
	w      engine.Writer
	values bool
}

func (r *fieldReply) begin(n int) {
	if r.values && r.w.Proto() == 2 {
		n *= 2
	}
	r.w.Array(n)
}

func (r *fieldReply) add(field, value packed.Text) {
	if r.values && r.w.Proto() > 2 {
		r.w.Array(2)
	}
	field.Write(r.w)
	if r.values {
		value.Write(r.w)
	}
}
