package zsets

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/zset"
)

// reply replies what a combination makes, in the order of the scores.
func (com *combination) reply(c *engine.Call, pairs []zset.Pair) {
	zset.Sort(pairs)
	r := reply{c.W, com.scores, com.scores && c.W.Proto() > 2}
	r.pairs(pairs)
}

func zunion(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[1:], allows{weights: true, scores: true})
	if err == nil {
		com.reply(c, com.union())
	}
	return err
}

func zinter(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[1:], allows{weights: true, scores: true})
	if err == nil {
		com.reply(c, com.intersection())
	}
	return err
}

func zdiff(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[1:], allows{scores: true})
	if err == nil {
		com.reply(c, com.difference())
	}
	return err
}

func zunionstore(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[2:], allows{weights: true})
	if err == nil {
		store(c, c.Args[1], zset.From(com.union()), "zunionstore")
	}
	return err
}

func zinterstore(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[2:], allows{weights: true})
	if err == nil {
		store(c, c.Args[1], zset.From(com.intersection()), "zinterstore")
	}
	return err
}

func zdiffstore(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[2:], allows{})
	if err == nil {
		store(c, c.Args[1], zset.From(com.difference()), "zdiffstore")
	}
	return err
}

func zintercard(c *engine.Call) error {
	com, err := parseCombination(c, c.Args[1:], allows{limit: true})
	if err == nil {
		c.W.Int(int64(len(com.intersection())))
	}
	return err
}
