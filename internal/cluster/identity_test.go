package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Two processes are at one address if one answers what was asked after the other was observed.
// A late answer of one that has ended is none of that, in whatever order the answers come.
func TestTwoProcessesAtOneAddress(t *testing.T) {
	type answer struct {
		process uint32
		took    time.Duration // since the request was sent; there is an answer each second
	}
	const soon, late = time.Millisecond, 1500 * time.Millisecond
	for name, test := range map[string]struct {
		answers []answer
		two     bool
	}{
		"one":                              {[]answer{{1, soon}, {1, late}, {1, soon}}, false},
		"one after the other":              {[]answer{{1, soon}, {2, soon}, {2, late}, {3, soon}}, false},
		"a late answer of the one before":  {[]answer{{1, soon}, {2, soon}, {1, late}, {2, soon}}, false},
		"only a late answer of that":       {[]answer{{2, soon}, {1, late}, {2, soon}}, false},
		"late answers of both":             {[]answer{{1, soon}, {2, late}, {1, late}, {2, soon}, {2, soon}}, false},
		"in turns":                         {[]answer{{1, soon}, {2, soon}, {1, soon}}, true},
		"in turns, and a late one between": {[]answer{{1, soon}, {2, soon}, {1, late}, {1, soon}}, true},
		"slow ones in turns":               {[]answer{{1, soon}, {2, late}, {1, soon}, {2, soon}, {1, soon}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a answerer
				two := false
				for _, by := range test.answers {
					time.Sleep(time.Second)
					_, _, two = a.observe(by.process, clock.Now()-clock.Instant(by.took))
				}
				if two != test.two {
					t.Errorf("%v: reports %v: want %v", test.answers, two, test.two)
				}
			})
		})
	}
}
