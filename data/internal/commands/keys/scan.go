package keys

import (
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/glob"
	"github.com/peercache/peercache/data/internal/number"
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

const (
	// placeShift makes a cursor of a place in the order of hashes. The lower bits of places at which a scan stops are
	// zero, and JavaScript has integers of 53 bits.
	placeShift = 16
	// scanCount is how many keys SCAN looks at if it is not told.
	scanCount = 10
)

// filter is what SCAN returns of what it finds.
type filter struct {
	pattern string // or "*"
	kind    string // or ""
	count   int64
}

func filterOf(options []string) (f filter, err error) {
	f = filter{pattern: "*", count: scanCount}
	for i := 0; i < len(options); i += 2 {
		if i+1 == len(options) {
			return f, engine.ErrSyntax
		}
		switch option, value := options[i], options[i+1]; {
		case is(option, "match"):
			f.pattern = value
		case is(option, "type"):
			f.kind = value
		case is(option, "count"):
			var ok bool
			if f.count, ok = number.Int(value); !ok {
				return f, engine.ErrNotInt
			}
			if f.count < 1 {
				return f, engine.ErrSyntax
			}
		default:
			return f, engine.ErrSyntax
		}
	}
	return f, nil
}

// cursorOf returns the number that the cursor of a SCAN is. Redis takes signs, as C does.
func cursorOf(s string) (cursor uint64, ok bool) {
	digits := strings.TrimPrefix(s, "+")
	if digits == s {
		digits = strings.TrimPrefix(s, "-")
	}
	cursor, err := strconv.ParseUint(digits, 10, 64)
	if s != "" && s[0] == '-' {
		cursor = -cursor
	}
	return cursor, err == nil
}

func scan(c *engine.Call) error {
	cursor, ok := cursorOf(c.Args[1])
	if !ok {
		return engine.Error("ERR invalid cursor")
	}
	f, err := filterOf(c.Args[2:])
	if err != nil {
		return err
	}
	var found []string
	visit := func(n *engine.Node) {
		if (f.pattern == "*" || glob.Match(f.pattern, n.Key)) && (f.kind == "" || is(f.kind, n.Value.Kind().Name)) {
			found = append(found, n.Key)
		}
	}
	place := cursor << placeShift
	for left := f.count; left > 0; {
		next, seen := c.Scan(place, visit)
		left -= int64(seen)
		if place = next; place == 0 {
			break
		}
	}
	c.W.Array(2)
	c.W.Bulk(strconv.FormatUint(place>>placeShift, 10))
	c.W.Array(len(found))
	for _, key := range found {
		c.W.Bulk(key)
	}
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
