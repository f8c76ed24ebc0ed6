package lists

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
)

// search is the options of LPOS.
type search struct {
	rank   int64 // the first match that counts
	count  int64 // of matches; 0: all; -1: one, which is not in an array
	most   int64 // elements that are looked at; 0: all
	behind bool  // from the end on
}

func searchOf(options []string) (s search, err error) {
	s.rank, s.count = 1, -1
	for i := 0; i < len(options); i += 2 {
		if i+1 == len(options) {
			return s, engine.ErrSyntax
		}
		n, ok := number.Int(options[i+1])
		switch option := options[i]; {
		case is(option, "rank"):
			switch {
			case !ok:
				return s, engine.ErrNotInt
			case n == 0:
				return s, engine.Error("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
			}
			s.rank, s.behind = n, n < 0
		case is(option, "count"):
			if !ok || n < 0 {
				return s, engine.Error("ERR COUNT can't be negative")
			}
			s.count = n
		case is(option, "maxlen"):
			if !ok || n < 0 {
				return s, engine.Error("ERR MAXLEN can't be negative")
			}
			s.most = n
		default:
			return s, engine.ErrSyntax
		}
	}
	if s.behind {
		s.rank = -s.rank // the least integer stays negative: all matches count
	}
	return s, nil
}

// position is LPOS.
func position(c *engine.Call) error {
	s, err := searchOf(c.Args[3:])
	if err != nil {
		return err
	}
	l, err := engine.Read[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	var found []int
	if l != nil {
		found = s.find(l, c.Args[2])
	}
	switch {
	case s.count >= 0:
		c.W.Array(len(found))
		for _, i := range found {
			c.W.Int(int64(i))
		}
	case len(found) > 0:
		c.W.Int(int64(found[0]))
	default:
		c.W.Null()
	}
	return nil
}

// find returns the places of the elements that s looks for.
func (s *search) find(l *list.List, value string) (found []int) {
	var want packed.Form
	want.Set(value)
	it, at, step := l.Forwards(0), 0, 1
	if s.behind {
		it, at, step = l.Backwards(l.Len()-1), l.Len()-1, -1
	}
	matches, count := int64(0), s.count
	if count < 0 {
		count = 1
	}
	for looked := int64(0); (s.most == 0 || looked < s.most) && it.Next(); looked++ {
		if it.Is(&want) {
			if matches++; matches >= s.rank {
				found = append(found, at)
				if count > 0 && int64(len(found)) == count {
					break
				}
			}
		}
		at += step
	}
	return found
}
