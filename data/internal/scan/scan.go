// Package scan reads what SCAN, HSCAN, SSCAN and ZSCAN have in common.
package scan

import (
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/glob"
	"github.com/peercache/peercache/data/internal/number"
)

const errCursor engine.Error = "ERR invalid cursor"

// Cursor returns the place that a cursor is. The empty one is 0, as in Redis.
func Cursor(s string) (place uint64, err error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimPrefix(s, "-") // as strtoul has it
	place, err = strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 64)
	if err != nil {
		return 0, errCursor
	}
	if len(digits) < len(s) {
		place = -place
	}
	return place, nil
}

// Options are what follows a cursor.
type Options struct {
	Count int // how many elements are wanted
	match string
	all   bool // there is no pattern, or one that everything fits
}

// defaultCount is Redis'.
const defaultCount = 10

// Parse reads options. other, if it is not nil, gets those that it does not know, with their values.
func Parse(args []string, other func(name, value string) error) (Options, error) {
	o := Options{Count: defaultCount, all: true}
	for ; len(args) > 0; args = args[2:] {
		if len(args) < 2 {
			return o, engine.ErrSyntax
		}
		switch name, value := args[0], args[1]; {
		case strings.EqualFold(name, "count"):
			n, ok := number.Int(value)
			if !ok {
				return o, engine.ErrNotInt
			}
			if n < 1 {
				return o, engine.ErrSyntax
			}
			o.Count = int(n)
		case strings.EqualFold(name, "match"):
			o.match, o.all = value, value == "*"
		case other != nil:
			if err := other(name, value); err != nil {
				return o, err
			}
		default:
			return o, engine.ErrSyntax
		}
	}
	return o, nil
}

// Fits reports whether the pattern allows s.
func (o *Options) Fits(s string) bool { return o.all || glob.Match(o.match, s) }

// maxTurns bounds the steps of one call, for each element that is wanted, where a table is almost empty.
const maxTurns = 10

// Walk calls step with the places from place on, until it has found as many elements as are wanted. step returns the next
// place, or 0, and how many it has found, those that do not fit included.
func (o *Options) Walk(place uint64, step func(place uint64) (next uint64, found int)) (next uint64) {
	found := 0
	for turn := 0; ; turn++ {
		var n int
		place, n = step(place)
		if found += n; place == 0 || found >= o.Count || turn/maxTurns >= o.Count {
			return place
		}
	}
}

// Reply writes a reply: the next place, and elements.
func Reply(w engine.Writer, next uint64, elements []string) {
	w.Array(2)
	w.Bulk(strconv.FormatUint(next, 10))
	w.Array(len(elements))
	for _, s := range elements {
		w.Bulk(s)
	}
}
