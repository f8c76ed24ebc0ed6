package resp

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/resp/codec"
)

// This is how clients with CLIENT TRACKING are told of changes of the fallback's keys. It differs from invalidate.go in
// that a change is told while the fallback has locks: so the messages are put into the clients' buffers at once, and sent afterwards, by who has made
// the change, before that is replied to. A client whose commands run at that moment sends them itself, behind their replies.

// pending is the clients that have messages of changes to come.
type pending struct {
	n       atomic.Int64 // how many are in clients, or are being told
	mu      sync.Mutex
	clients map[*Conn]struct{}
	telling sync.Mutex // held by who tells them
}

// readsOther records which keys of the fallback a command of the client reads.
func (c *Conn) readsOther(cmd *Command, args [][]byte) {
	if cmd.Flags&ReadOnly == 0 || c.track.Load() == nil {
		return
	}
	untold := c.s.opts.fallback.Track == nil // then the client is told at once, and caches nothing for long
	for _, k := range cmd.keys(args) {
		full := string(k)
		if c.follows(full) {
			c.read(full, untold || len(full) > longestTracked)
		}
	}
}

// changesOther records which keys of the fallback a command of the client changes, with NOLOOP.
func (c *Conn) changesOther(cmd *Command, args [][]byte) {
	if f := c.track.Load(); f == nil || !f.noloop {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range cmd.keys(args) {
		c.own.keys = append(c.own.keys, string(k))
	}
}

// changedOther has clients be told of a change of keys, and of all keys if all is true. It waits for nothing.
func (t *tracker) changedOther(keys []string, all bool) {
	if all {
		t.drop()
		t.mu.RLock()
		for _, c := range t.clients {
			t.tellLater(c, &invalid{all: true})
		}
		t.mu.RUnlock()
	}
	keys = unique(keys)
	for _, full := range keys {
		i := &invalid{keys: []string{full}}
		t.take(full, func(id uint64) (keep bool) {
			c := t.s.client(id)
			if f := c.following(); f == nil || f.bcast {
				return false
			}
			if c.isOwn(full) {
				return true
			}
			t.tellLater(c, i)
			return false
		})
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.bcast {
		if f := c.track.Load(); f != nil && f.bcast {
			t.tellPrefixes(c, f, keys)
		}
	}
}

// unique returns keys, each once.
func unique(keys []string) []string {
	if len(keys) < 2 {
		return keys
	}
	seen := make(map[string]bool, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
		was := seen[k]
		seen[k] = true
		return was
	})
}

// tellPrefixes has a client with BCAST be told of the keys that changed: by one message for each of its prefixes, as by Redis.
func (t *tracker) tellPrefixes(c *Conn, f *following, keys []string) {
	for _, p := range f.allPrefixes() { // none is a prefix of another one
		var i invalid
		for _, full := range keys {
			if strings.HasPrefix(full, p) && !c.isOwn(full) {
				i.keys = append(i.keys, full)
			}
		}
		if len(i.keys) > 0 {
			t.tellLater(c, &i)
		}
	}
}

// tellLater has a client be told by settleOther.
func (t *tracker) tellLater(c *Conn, i *invalid) {
	to, f := c, c.track.Load()
	if f != nil && f.redirect != 0 && f.redirect != c.id {
		to = t.s.client(f.redirect)
	}
	c.mu.Lock()
	if to != c || !c.later.replying { // else the message follows what the client reads now
		for n := range c.reads {
			if i.all || slices.Contains(i.keys, c.reads[n].full) {
				c.reads[n].told = true
			}
		}
	}
	c.mu.Unlock()
	broken := to == nil
	if broken {
		to = c
	}
	to.mu.Lock()
	var message []byte
	switch {
	case !broken:
		message = i.appendTo(nil, to.facts.proto, to.facts.invalidations)
	case to.facts.proto > 2:
		message = codec.AppendPush(nil, 3, 2)
		message = codec.AppendInt(codec.AppendBulk(message, "tracking-redir-broken"), int64(f.redirect))
	}
	if len(message) == 0 {
		to.mu.Unlock()
		return
	}
	ok := to.reserveLater(len(message))
	if ok {
		to.later.bytes = append(to.later.bytes, message...)
		t.s.counts.pushes.Add(1)
	}
	wait := !to.later.replying
	to.startLater(ok)
	if ok && wait {
		t.pending.add(to)
	}
}

func (p *pending) add(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients == nil {
		p.clients = make(map[*Conn]struct{})
	}
	if _, ok := p.clients[c]; !ok {
		p.clients[c] = struct{}{}
		p.n.Add(1)
	}
}

// settleOther returns when the clients are told of what has changed, or are disconnected, c excepted: it is told behind its reply.
func (t *tracker) settleOther(c *Conn) {
	if len(c.own.keys) > 0 {
		c.mu.Lock()
		c.own = ownChange{}
		c.mu.Unlock()
	}
	p := &t.pending
	if p.n.Load() == 0 {
		return
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	clients := p.clients
	p.clients = nil
	p.mu.Unlock()
	var telling sync.WaitGroup
	for to := range clients {
		if to != c {
			telling.Go(to.deliverWithin)
		}
	}
	telling.Wait()
	p.n.Add(-int64(len(clients)))
}

// deliverWithin is deliverLater for which somebody waits: for at most Limits.PushTimeout.
func (c *Conn) deliverWithin() {
	c.mu.Lock()
	if c.waiting++; c.waiting == 1 {
		c.waitSince = c.s.now.Load()
	}
	c.mu.Unlock()
	c.deliverLater()
	c.mu.Lock()
	c.waiting--
	c.waitSince = c.s.now.Load()
	c.mu.Unlock()
}
