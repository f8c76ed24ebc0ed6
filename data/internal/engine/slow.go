package engine

import (
	"strings"
	"time"
)

// Slow is a command that took long.
type Slow struct {
	// Args begin with the name. They are the first ones, and each is cut, as Redis' SLOWLOG does it.
	Args []string
	Took time.Duration // what its function took, without what it has waited for
}

// Most of the arguments of a slow command that are kept.
const slowArgs, slowArgBytes = 32, 128

// slowHook is one who is told of commands that took at least so long.
type slowHook struct {
	least time.Duration
	f     func(Slow)
}

// OnSlow has f be told of commands that took at least so long, with locks held: it must not wait. Commands without a lock are not told of.
func (e *Engine) OnSlow(least time.Duration, f func(Slow)) (stop func()) {
	return e.slow.add(&slowHook{least, f})
}

// runTimed runs the function of a command, and tells of it if it is slow.
func (e *Engine) runTimed(c *Call) error {
	list := e.slow.all()
	if len(list) == 0 {
		return c.cmd.Run(c)
	}
	began := time.Now()
	err := c.cmd.Run(c)
	took := time.Since(began)
	for _, h := range list {
		if took >= h.least {
			h.f(Slow{slowCopy(c.Args), took})
		}
	}
	return err
}

func slowCopy(args []string) (kept []string) {
	for _, arg := range args[:min(len(args), slowArgs)] {
		kept = append(kept, strings.Clone(arg[:min(len(arg), slowArgBytes)]))
	}
	return kept
}
