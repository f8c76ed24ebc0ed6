package list

import (
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/internal/alloc"
)

const (
	// chunkBytes is how many bytes of strings a chunk has at most, if it has more than one string.
	chunkBytes = 8 << 10
	// joinAt is how many bytes two neighbours have at most that become one chunk: so few that they do not split again at once.
	joinAt = chunkBytes / 2
	// smallBlock is a block that is not worth shrinking.
	smallBlock = 64
	// slackPart is which part of a list may be room for more, whatever its chunks have.
	slackPart = 8
)

// chunk is a block of strings, with its neighbours. The strings are buf[lo:]; there may be room before and behind them.
type chunk struct {
	prev, next *chunk
	buf        []byte
	lo, n      uint32 // n is how many strings there are
}

// bytesOfChunk is what the allocator takes for a chunk.
const bytesOfChunk = 48

func (c *chunk) used() int { return len(c.buf) - int(c.lo) }

// before returns the place of the string before that at a place.
func (c *chunk) before(at int) int {
	at--
	size := int(c.buf[at] & 0x7f)
	for shift := 7; c.buf[at] >= 0x80; shift += 7 {
		at--
		size |= int(c.buf[at]&0x7f) << shift
	}
	return at - size
}

// after returns the place after the string at a place.
func (c *chunk) after(at int) int { return at + sizeWith(packed.Size(c.buf[at:])) }

// seek returns the place of the i-th string.
func (c *chunk) seek(i int) (at int) {
	if i <= int(c.n)/2 {
		at = int(c.lo)
		for range i {
			at = c.after(at)
		}
		return at
	}
	at = len(c.buf)
	for range int(c.n) - i {
		at = c.before(at)
	}
	return at
}

// block makes a block for size bytes, of all the memory that the allocator takes for that.
func (l *List) block(size int) []byte {
	size = int(alloc.Size(int64(size)))
	l.bytes += int64(size)
	return make([]byte, size)
}

// move gives c another block, with size bytes of room in all, before of which are before its strings.
func (l *List) move(c *chunk, size, before int) {
	old := c.buf[c.lo:]
	l.bytes -= int64(cap(c.buf))
	buf := l.block(size)
	if before > 0 { // what the allocator adds is there, too
		before = cap(buf) - len(old)
	}
	copy(buf[before:], old)
	c.buf, c.lo = buf[:before+len(old)], uint32(before)
}

// startSize returns the size of the block of a new chunk for strings of size bytes: little where the list has little.
func (l *List) startSize(size int) int {
	return max(size, min(chunkBytes, int(l.bytes/slackPart)))
}

// makeRoom has size bytes of room before or behind the strings of c. It returns false if they should be in another chunk.
func (l *List) makeRoom(c *chunk, size int, before bool) bool {
	used, room := c.used(), cap(c.buf)-len(c.buf)
	if before {
		room = int(c.lo)
	}
	switch free := cap(c.buf) - used; {
	case used > 0 && used+size > chunkBytes:
		return false
	case room >= size:
		return true
	case free >= size && free > cap(c.buf)/8: // so much that moving is rare
		l.slide(c, before)
		return true
	case cap(c.buf) >= chunkBytes:
		return false
	}
	want := max(used+size, min(chunkBytes, cap(c.buf)+int(l.bytes/slackPart)))
	lead := 0
	if before {
		lead = want - used
	}
	l.move(c, want, lead)
	return true
}

// slide moves the strings of c to the other end of its block.
func (l *List) slide(c *chunk, before bool) {
	old := c.buf[c.lo:]
	lo := 0
	if before {
		lo = cap(c.buf) - len(old)
	}
	buf := c.buf[:lo+len(old)]
	copy(buf[lo:], old)
	c.buf, c.lo = buf, uint32(lo)
}

// shrink gives c a smaller block if the present one has much too much room.
func (l *List) shrink(c *chunk) {
	if used, size := c.used(), cap(c.buf); used < size/2 && size > smallBlock && int64(size) > l.bytes/slackPart {
		l.move(c, used+used/4, 0)
	}
}

// seal gives c a block without room if that is much less: the next chunk gets what is pushed.
func (l *List) seal(c *chunk) {
	if used, size := c.used(), cap(c.buf); alloc.Size(int64(used)) <= int64(size-size/8) {
		l.move(c, used, 0)
	}
}

// splice has size bytes in the place of the old bytes at a place, which it returns: strings may have moved.
func (l *List) splice(c *chunk, at, old, size int) int {
	more := size - old
	if room := cap(c.buf) - len(c.buf); more > room {
		at -= int(c.lo)
		if used := c.used(); used+more <= cap(c.buf) {
			l.slide(c, false)
		} else {
			l.move(c, max(used+more, min(chunkBytes, used+used/4)), 0)
		}
	}
	rest := c.buf[at+old:]
	c.buf = c.buf[:len(c.buf)+more]
	copy(c.buf[at+size:], rest)
	return at
}

// insertChunk adds an empty chunk after another one, or at the beginning. Its block has that size, and room before its strings
// if before is not 0.
func (l *List) insertChunk(after *chunk, size, before int) *chunk {
	if l.n == 0 { // there is a chunk, which is empty
		l.move(l.head, size, before)
		return l.head
	}
	c := &chunk{}
	l.bytes += bytesOfChunk
	l.link(c, after)
	l.move(c, size, before)
	return c
}

func (l *List) link(c, after *chunk) {
	c.prev, c.next = after, l.head
	if after != nil {
		c.next = after.next
		after.next = c
	} else {
		l.head = c
	}
	if c.next != nil {
		c.next.prev = c
	} else {
		l.tail = c
	}
}

// drop takes a chunk out that has no strings any more.
func (l *List) drop(c *chunk) {
	l.bytes -= int64(cap(c.buf))
	if c.prev == nil && c.next == nil {
		if c != &l.first {
			l.bytes -= bytesOfChunk
		}
		l.head, l.tail = &l.first, &l.first
		l.first = chunk{}
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.tail = c.prev
	}
	if c != &l.first {
		l.bytes -= bytesOfChunk
	}
	*c = chunk{}
}

// split makes room for size bytes at a place of c, which has too little of it: what is behind the place goes to a chunk of
// its own. It returns where they belong.
func (l *List) split(c *chunk, at, size int) (*chunk, int) {
	rest := c.buf[at:]
	if n := c.count(at); n > 0 && len(rest) > 0 {
		d := l.insertChunk(c, len(rest), 0)
		d.buf = append(d.buf, rest...)
		d.n = c.n - n
		c.buf, c.n = c.buf[:at], n
		l.move(c, c.used(), 0)
		l.joinNext(d)
		at = len(c.buf)
	}
	if at == int(c.lo) { // before c
		if p := c.prev; p != nil && p.used()+size <= chunkBytes {
			return p, len(p.buf)
		}
		return l.insertChunk(c.prev, size, 0), 0
	}
	if c.used()+size <= chunkBytes {
		return c, at
	}
	if d := c.next; d != nil && d.used()+size <= chunkBytes {
		return d, int(d.lo)
	}
	return l.insertChunk(c, size, 0), 0
}

// count returns how many strings are before a place.
func (c *chunk) count(at int) (n uint32) {
	for i := int(c.lo); i < at; i = c.after(i) {
		n++
	}
	return n
}

// join makes c and a neighbour one chunk if they have little.
func (l *List) join(c *chunk) {
	if c.prev != nil && c.prev.used()+c.used() <= joinAt {
		c = c.prev
	}
	l.joinNext(c)
}

// joinNext makes c and the next chunk one if they have little.
func (l *List) joinNext(c *chunk) {
	d := c.next
	if d == nil || c.used()+d.used() > joinAt {
		l.shrink(c)
		return
	}
	at := l.splice(c, len(c.buf), 0, d.used())
	copy(c.buf[at:], d.buf[d.lo:])
	c.n += d.n
	l.drop(d)
}

// appendChunk adds n strings, which data is.
func (l *List) appendChunk(data []byte, n int) {
	c := l.insertChunk(l.tail, len(data), 0)
	c.buf = c.buf[:len(data)]
	copy(c.buf, data)
	c.n = uint32(n)
	l.n += n
}
