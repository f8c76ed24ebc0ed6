package resp

import (
	"slices"
	"sync"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/resp/codec"
)

// This is how a client that caches values hears that one has changed.
//
// What a client reads is noted in three steps: the key goes into Conn.reads and into the tracker's
// table, then the value is got, then the reply is sent and the key leaves Conn.reads (settleReads).
// A change of the group is told to changed before Remove, Set or Clear returns. If the change comes
//   - before the first step, the value is a later one;
//   - up to the third, the client is told at once, which may be before the reply: so it is told
//     again, by the write that sends the reply, behind it;
//   - afterwards, the client is told behind the reply.
//
// So what a client has in its cache was told of, or is about to be, by a message that stands in the
// connection before the reply to whatever it asks after the change has returned.

// invalid is what a client is told: that these keys have changed, or any.
type invalid struct {
	keys []string
	all  bool
}

func (i *invalid) empty() bool { return len(i.keys) == 0 && !i.all }

// keysPerMessage is how many keys one message names.
const keysPerMessage = 1024

// channel is where clients of version 2 get the messages.
const channel = "__redis__:invalidate"

// appendTo appends the messages for a client that speaks that version. toChannel says that it is
// subscribed to them.
func (i *invalid) appendTo(b []byte, proto int, toChannel bool) []byte {
	head := func(b []byte) []byte {
		if proto > 2 {
			b = codec.AppendPush(b, proto, 2)
			return codec.AppendBulk(b, "invalidate")
		}
		b = codec.AppendArray(b, 3)
		b = codec.AppendBulk(b, "message")
		return codec.AppendBulk(b, channel)
	}
	if proto < 3 && !toChannel {
		return b
	}
	if i.all {
		return codec.AppendNull(head(b), proto)
	}
	for keys := range slices.Chunk(i.keys, keysPerMessage) {
		b = codec.AppendArray(head(b), len(keys))
		for _, k := range keys {
			b = codec.AppendBulk(b, k)
		}
	}
	return b
}

// changed tells clients of a change of a group. It returns when the messages are sent.
func (t *tracker) changed(cache *served, inv peercache.Invalidation) {
	var m messages
	if inv.All {
		t.drop()
		t.mu.RLock()
		for _, c := range t.clients {
			m.addAll(c)
		}
		t.mu.RUnlock()
		m.send()
		return
	}
	t.mu.RLock()
	bcast := make([]*Conn, 0, len(t.bcast))
	for _, c := range t.bcast {
		bcast = append(bcast, c)
	}
	t.mu.RUnlock()
	for _, name := range inv.Keys {
		for _, prefix := range cache.prefixes {
			t.changedKey(prefix+name, bcast, &m)
		}
	}
	m.send()
}

// changedKey adds the messages that a key has changed.
func (t *tracker) changedKey(full string, bcast []*Conn, m *messages) {
	t.take(full, func(id uint64) (keep bool) {
		c := t.s.client(id)
		if f := c.following(); f == nil || f.bcast {
			return false
		}
		if c.isOwn(full) {
			return true
		}
		m.add(c, full)
		return false
	})
	for _, c := range bcast {
		if f := c.track.Load(); f != nil && f.bcast && f.matches(full) && !c.isOwn(full) {
			m.add(c, full)
		}
	}
}

// following returns what the client has chosen, or nil: also if there is no client.
func (c *Conn) following() *following {
	if c == nil {
		return nil
	}
	return c.track.Load()
}

// messages are what clients are told of one change. The keys that a client reads at this moment are
// marked as they are added.
type messages struct{ of map[*Conn]*invalid }

func (m *messages) at(c *Conn) *invalid {
	if m.of == nil {
		m.of = make(map[*Conn]*invalid)
	}
	i := m.of[c]
	if i == nil {
		i = new(invalid)
		m.of[c] = i
	}
	return i
}

// add has a client, which may be nil, be told that a key has changed.
func (m *messages) add(c *Conn, full string) {
	if c == nil {
		return
	}
	i := m.at(c)
	i.keys = append(i.keys, full)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellAgain(full)
}

// addAll has a client be told that any key may have changed.
func (m *messages) addAll(c *Conn) {
	m.at(c).all = true
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.reads {
		c.reads[n].told = true
	}
}

// send sends the messages, to all clients at the same time, so that those that do not read are
// waited for together.
func (m *messages) send() {
	var sending sync.WaitGroup
	for c, i := range m.of {
		to := c.recipient()
		if to == nil || !to.queueInvalid(i) {
			continue
		}
		c.s.counts.pushes.Add(1)
		if len(m.of) == 1 {
			to.deliver()
		} else {
			sending.Go(to.deliver)
		}
	}
	sending.Wait()
}

// recipient returns the client that gets the messages for c, or nil.
func (c *Conn) recipient() *Conn {
	f := c.track.Load()
	if f == nil || f.redirect == 0 || f.redirect == c.id {
		return c
	}
	to := c.s.client(f.redirect)
	if to == nil {
		c.Push(2, func(b []byte, proto int) []byte {
			if proto < 3 {
				return nil
			}
			return codec.AppendInt(codec.AppendBulk(b, "tracking-redir-broken"), int64(f.redirect))
		})
	}
	return to
}

// queueInvalid has messages be sent to the client, and reports whether it gets any.
func (c *Conn) queueInvalid(i *invalid) bool {
	c.mu.Lock()
	message := i.appendTo(nil, c.facts.proto, c.facts.invalidations)
	ok := c.push(message)
	c.mu.Unlock()
	if !ok {
		c.s.counts.unread.Add(1)
		c.kill()
	}
	return len(message) > 0
}

// settleReads ends the reading of keys whose replies are sent, and appends to these what the client
// has to be told again. The caller holds c.mu, and c.sending.
func (c *Conn) settleReads() {
	var again invalid
	for _, r := range c.reads {
		if r.told {
			again.keys = append(again.keys, r.full)
		}
	}
	clear(c.reads)
	if c.reads = c.reads[:0]; cap(c.reads) > keysPerMessage {
		c.reads = nil
	}
	if again.empty() {
		return
	}
	slices.Sort(again.keys)
	again.keys = slices.Compact(again.keys)
	if f := c.track.Load(); f != nil && f.redirect != 0 && f.redirect != c.id {
		c.session.elsewhere.keys = append(c.session.elsewhere.keys, again.keys...)
		return
	}
	c.out = again.appendTo(c.out, c.facts.proto, false)
}

// followUp tells the client that gets the messages of this one what settleReads left to it.
func (s *session) followUp(c *Conn) {
	if s.elsewhere.empty() {
		return
	}
	if to := c.recipient(); to != nil && to.queueInvalid(&s.elsewhere) {
		to.deliver()
	}
	s.elsewhere = invalid{}
}

// ownChange is a change that a client with NOLOOP makes: it is not told of that. A Clear it is told
// of, as by Redis.
type ownChange struct {
	keys []string // that change
	told []string // of keys, those that it would have been told of
}

// isOwn reports whether a change of a key is the client's own, which it does not want to be told
// of. It says so once for each of its changes: if another client changes the key at the same time,
// there are two.
func (c *Conn) isOwn(full string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.own.keys, full) || slices.Contains(c.own.told, full) {
		return false
	}
	c.own.told = append(c.own.told, full)
	return true
}

// changing runs a change of keys that the client makes. If it fails, what the client was not told of
// may have been a change of somebody else.
func (c *Conn) changing(keys []string, change func() error) error {
	f := c.track.Load()
	if f == nil || !f.noloop {
		return change()
	}
	c.mu.Lock()
	c.own = ownChange{keys: keys}
	c.mu.Unlock()
	err := change()
	c.mu.Lock()
	told := c.own.told
	c.own = ownChange{}
	c.mu.Unlock()
	if err != nil && len(told) > 0 {
		var m messages
		for _, full := range told {
			m.add(c, full)
		}
		m.send()
	}
	return err
}
