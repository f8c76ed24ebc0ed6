package keys

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/glob"
	"github.com/peercache/peercache/data/internal/scan"
)

func keys(c *engine.Call) error {
	pattern := c.Args[1]
	var found []string
	c.Keys(func(n *engine.Node) {
		if pattern == "*" || glob.Match(pattern, n.Key) {
			found = append(found, n.Key)
		}
	})
	c.W.Array(len(found))
	for _, key := range found {
		c.W.Bulk(key)
	}
	return nil
}

// placeShift makes a cursor of a place in the order of hashes. The lower bits of places at which a scan stops are zero, and
// JavaScript has integers of 53 bits.
const placeShift = 16

func scanKeys(c *engine.Call) error {
	cursor, err := scan.Cursor(c.Args[1])
	if err != nil {
		return err
	}
	kind := ""
	o, err := scan.Parse(c.Args[2:], func(name, value string) error {
		if !is(name, "type") {
			return engine.ErrSyntax
		}
		kind = value
		return nil
	})
	if err != nil {
		return err
	}
	var found []string
	visit := func(n *engine.Node) {
		if o.Fits(n.Key) && (kind == "" || is(kind, n.Value.Kind().Name)) {
			found = append(found, n.Key)
		}
	}
	next := o.Walk(cursor<<placeShift, func(place uint64) (uint64, int) { return c.Scan(place, visit) })
	scan.Reply(c.W, next>>placeShift, found)
	return nil
}

func randomKey(c *engine.Call) error {
	if n := c.Random(); n != nil {
		c.W.Bulk(n.Key)
	} else {
		c.W.Null()
	}
	return nil
}
