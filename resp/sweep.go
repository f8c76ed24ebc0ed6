package resp

import (
	"time"
)

const (
	sweepInterval = 100 * time.Millisecond
	// parkAfter is for how long a client without a command keeps its buffers.
	parkAfter = time.Second
	// peekAfter is how long commands run before it is noticed that their client hangs up.
	peekAfter = 100 * time.Millisecond
	// strangerTimeout is how long a client may wait to say who it is.
	strangerTimeout = time.Minute
)

// sweep looks after all clients, until the server has ended and they have gone. It costs no timer
// per client, nor per command.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		<-tick.C
		s.now.Store(int64(time.Since(s.started)) + 1)
		clients := s.clients()
		if len(clients) == 0 && s.draining.Load() {
			return
		}
		s.tracking.startSweep(s.now.Load())
		for _, c := range clients {
			if why := c.overdue(); why != "" {
				c.disconnecting(why)
				c.kill()
			}
		}
	}
}

// overdue looks after a client, and returns why it has to be disconnected, if it has.
func (c *Conn) overdue() string {
	l, now := c.s.limits, c.s.now.Load()
	over := func(since int64, limit time.Duration) bool { return since != 0 && now-since > int64(limit) }
	if c.pushOverdue(now) {
		c.s.counts.unread.Add(1)
		return "it does not read the message that a key has changed"
	}
	if over(c.writing.Load(), l.WriteTimeout) {
		c.s.counts.unread.Add(1)
		return "it does not read its replies"
	}
	if since := c.busy.Load(); since > 0 {
		if over(since, peekAfter) {
			c.peek(since)
		}
		return ""
	} else if since < 0 {
		return ""
	}
	idle := c.idle.Load()
	switch {
	case over(c.partial.Load(), l.QueryTimeout):
		return "its command does not arrive"
	case over(idle, l.IdleTimeout):
		return "it is idle"
	case over(c.stranger.Load(), strangerTimeout): // whatever it sends meanwhile
		return "it has not said who it is"
	case !c.parked.Load() && over(idle, parkAfter) && c.partial.Load() == 0:
		c.wake()
	}
	return ""
}
