package zsets

import (
	"math"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errNXAndXX   engine.Error = "ERR XX and NX options at the same time are not compatible"
	errGTLTNX    engine.Error = "ERR GT, LT, and/or NX options at the same time are not compatible"
	errIncrPair  engine.Error = "ERR INCR option supports a single increment-element pair"
	errScoreNaN  engine.Error = "ERR resulting score is not a number (NaN)"
	eventAdded                = "zadd"
	eventIncr                 = "zincr"
	eventRemoved              = "zrem"
)

// addOptions are the options of ZADD.
type addOptions struct{ nx, xx, gt, lt, ch, incr bool }

// parse reads options, and returns what follows them.
func (o *addOptions) parse(args []string) (pairs []string, err error) {
	for len(args) > 0 && o.one(args[0]) {
		args = args[1:]
	}
	switch {
	case len(args)%2 != 0 || len(args) == 0:
		return nil, engine.ErrSyntax
	case o.nx && o.xx:
		return nil, errNXAndXX
	case o.gt && o.nx, o.lt && o.nx, o.gt && o.lt:
		return nil, errGTLTNX
	case o.incr && len(args) > 2:
		return nil, errIncrPair
	}
	return args, nil
}

// one reads an option, and reports whether it is one.
func (o *addOptions) one(arg string) bool {
	if len(arg) < 2 || len(arg) > 4 {
		return false
	}
	switch {
	case strings.EqualFold(arg, "nx"):
		o.nx = true
	case strings.EqualFold(arg, "xx"):
		o.xx = true
	case strings.EqualFold(arg, "gt"):
		o.gt = true
	case strings.EqualFold(arg, "lt"):
		o.lt = true
	case strings.EqualFold(arg, "ch"):
		o.ch = true
	case strings.EqualFold(arg, "incr"):
		o.incr = true
	default:
		return false
	}
	return true
}

func zadd(c *engine.Call) error { return add(c, addOptions{}) }

func zincrby(c *engine.Call) error { return add(c, addOptions{incr: true}) }

// add is ZADD, which has read the options o already.
func add(c *engine.Call, o addOptions) error {
	pairs, err := o.parse(c.Args[2:])
	if err != nil {
		return err
	}
	var few [8]float64
	scores := few[:0]
	for i := 0; i < len(pairs); i += 2 {
		score, ok := number.Float(pairs[i])
		if !ok {
			return engine.ErrNotFloat
		}
		scores = append(scores, score)
	}
	key := c.Args[1]
	z, err := change(c, key)
	if err != nil {
		return err
	}
	if z == nil && o.xx {
		o.reply(c.W, outcome{})
		return nil
	}
	if z == nil {
		if z, err = engine.ChangeOrNew(c, key, zset.New); err != nil {
			return err
		}
	}
	var out outcome
	for i, score := range scores {
		if err := o.apply(c, z, pairs[2*i+1], score, &out); err != nil {
			return err
		}
	}
	out.tell(c, key, o.incr)
	o.reply(c.W, out)
	return nil
}

// outcome is what ZADD has done.
type outcome struct {
	added, updated int
	applied        bool    // of a single member: the conditions were met
	score          float64 // its score
}

// apply gives a member a score, or adds to its score, if the conditions are met. It fails only if there is a single member.
func (o *addOptions) apply(c *engine.Call, z *zset.Set, member string, score float64, out *outcome) error {
	before, was := z.Score(member)
	if was && o.nx || !was && o.xx {
		return nil
	}
	if was {
		if o.incr {
			if score += before; math.IsNaN(score) {
				return errScoreNaN
			}
		}
		if o.lt && score >= before || o.gt && score <= before {
			return nil
		}
	}
	out.applied, out.score = true, score
	switch {
	case !was:
		out.added++
	case score != before:
		out.updated++
	default:
		return nil
	}
	setScore(c, z, member, score)
	return nil
}

// tell tells of a change, if there is one.
func (out *outcome) tell(c *engine.Call, key string, incr bool) {
	if out.added+out.updated == 0 {
		return
	}
	c.Changed(key)
	event := eventAdded
	if incr {
		event = eventIncr
	}
	c.Notify(engine.EventSortedSet, event, key)
}

func (o *addOptions) reply(w engine.Writer, out outcome) {
	switch {
	case o.incr && out.applied:
		w.Double(out.score)
	case o.incr:
		w.Null()
	case o.ch:
		w.Int(int64(out.added + out.updated))
	default:
		w.Int(int64(out.added))
	}
}

func zrem(c *engine.Call) error {
	key := c.Args[1]
	z, err := change(c, key)
	if err != nil {
		return err
	}
	n := 0
	if z != nil {
		for _, member := range c.Args[2:] {
			if remove(c, z, member) {
				n++
			}
		}
	}
	if n > 0 {
		removed(c, z, key, eventRemoved)
	}
	c.W.Int(int64(n))
	return nil
}
