package resp

import (
	"errors"
	"os"
	"time"
)

// spareBytes is how much is read of a client whose commands take long. Behind more than that, a
// client that hangs up is not noticed until its command has ended.
const spareBytes = 4 << 10

// peek reads from a client whose commands take long, to notice when it hangs up. sweep calls it, for
// commands that run since that time.
func (c *Conn) peek(since int64) {
	c.peeked = make(chan struct{})
	if !c.busy.CompareAndSwap(since, -since) {
		return
	}
	go func() {
		defer close(c.peeked)
		var buf [512]byte
		for len(c.spare) < spareBytes {
			n, err := c.nc.Read(buf[:])
			c.spare = append(c.spare, buf[:n]...)
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					c.cancel()
				}
				return
			}
		}
	}()
}

// calm says that no command runs, and ends a peek.
func (c *Conn) calm() {
	if c.busy.Swap(0) < 0 {
		c.wake()
		<-c.peeked
		c.nc.SetReadDeadline(time.Time{})
	}
}
