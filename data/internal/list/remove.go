package list

import "github.com/peercache/peercache/data/internal/packed"

// RemoveEqual takes strings away that are s, at most most of them: from the end on if fromEnd is true. It returns how many.
func (l *List) RemoveEqual(s string, most int, fromEnd bool) (n int) {
	var f packed.Form
	f.Set(s)
	c := l.head
	if fromEnd {
		c = l.tail
	}
	for c != nil && n < most && l.n > 0 {
		next := c.next
		if fromEnd {
			next = c.prev
		}
		if k := l.removeIn(c, &f, most-n, fromEnd); k > 0 {
			n += k
			l.n -= k
			if c.n -= uint32(k); c.n == 0 {
				l.drop(c)
			} else {
				l.join(c) // which may drop c, or a neighbour that was looked at
				if next != nil && next.n == 0 {
					next = c
				}
			}
		}
		c = next
	}
	return n
}

// removeIn takes strings out of the block of c, and returns how many.
func (l *List) removeIn(c *chunk, f *packed.Form, most int, fromEnd bool) (n int) {
	if !fromEnd {
		to := int(c.lo)
		for at := to; at < len(c.buf); {
			next := c.after(at)
			if n < most && f.Is(c.buf[at:at+packed.Size(c.buf[at:])]) {
				n++
			} else {
				to += copy(c.buf[to:], c.buf[at:next])
			}
			at = next
		}
		c.buf = c.buf[:to]
		return n
	}
	to := len(c.buf)
	for end := to; end > int(c.lo); {
		at := c.before(end)
		if n < most && f.Is(c.buf[at:at+packed.Size(c.buf[at:])]) {
			n++
		} else {
			to -= end - at
			copy(c.buf[to:], c.buf[at:end])
		}
		end = at
	}
	c.lo = uint32(to)
	return n
}

// DropLeft takes the first n strings away, of which there must be as many.
func (l *List) DropLeft(n int) {
	for n > 0 {
		c := l.head
		if n < int(c.n) {
			c.lo = uint32(c.seek(n))
			c.n -= uint32(n)
			l.n -= n
			l.shrink(c)
			return
		}
		n -= int(c.n)
		l.n -= int(c.n)
		l.drop(c)
	}
}

// DropRight takes the last n strings away, of which there must be as many.
func (l *List) DropRight(n int) {
	for n > 0 {
		c := l.tail
		if n < int(c.n) {
			c.buf = c.buf[:c.seek(int(c.n)-n)]
			c.n -= uint32(n)
			l.n -= n
			l.shrink(c)
			return
		}
		n -= int(c.n)
		l.n -= int(c.n)
		l.drop(c)
	}
}
