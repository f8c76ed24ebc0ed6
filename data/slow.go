package data

import (
	"time"

	"github.com/peercache/peercache/data/internal/engine"
)

// SlowCommand is a command that took long: Args, its name first, of which long ones are cut, and the time that it took.
type SlowCommand = engine.Slow

// OnSlow has f be told of commands that take at least so long to run, until stop is called. The time that they wait for others, or for the
// log, does not count. A GET that takes no lock is not reported. f is called with locks held: it must return at once, and not use the Memory. While
// nobody is told, no time is taken.
func (m *Memory) OnSlow(least time.Duration, f func(SlowCommand)) (stop func()) {
	return m.engine.OnSlow(least, f)
}
