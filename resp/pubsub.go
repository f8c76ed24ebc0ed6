package resp

import (
	"fmt"

	"github.com/peercache/peercache/resp/codec"
)

// Channels are a kind of subscription.
type Channels uint8

// The kinds of subscriptions: to a channel, to the channels that a pattern fits, and to a channel of SPUBLISH.
const (
	Channel Channels = iota
	Pattern
	Shard
)

// Broker has the channels that clients subscribe to. Messages come by Conn.Message, or by a goroutine of its own.
type Broker interface {
	Subscribe(c *Conn, kind Channels, name string)
	Unsubscribe(c *Conn, kind Channels, name string)
}

// A client of version 2 gets the messages that keys have changed on a channel. All others are those of the fallback's
// Broker; without it, there are no others.

func cmdSubscribe(c *Conn, args [][]byte)    { c.subscribe(Channel, args[1:]) }
func cmdPSubscribe(c *Conn, args [][]byte)   { c.subscribe(Pattern, args[1:]) }
func cmdSSubscribe(c *Conn, args [][]byte)   { c.subscribe(Shard, args[1:]) }
func cmdUnsubscribe(c *Conn, args [][]byte)  { c.unsubscribe(Channel, args[1:]) }
func cmdPUnsubscribe(c *Conn, args [][]byte) { c.unsubscribe(Pattern, args[1:]) }
func cmdSUnsubscribe(c *Conn, args [][]byte) { c.unsubscribe(Shard, args[1:]) }

// subscriptionWords are what the replies of each kind begin with.
var subscriptionWords = [...]struct{ begin, end string }{
	Channel: {"subscribe", "unsubscribe"}, Pattern: {"psubscribe", "punsubscribe"}, Shard: {"ssubscribe", "sunsubscribe"},
}

// broker returns what has the channels, or nil.
func (c *Conn) broker() Broker {
	if f := c.s.opts.fallback; f != nil {
		return f.Broker
	}
	return nil
}

// in returns the set of subscriptions of a kind.
func (s *session) in(kind Channels) *map[string]struct{} {
	switch kind {
	case Pattern:
		return &s.inPattern
	case Shard:
		return &s.inShard
	}
	return &s.inChannel
}

// subscribed reports whether a client is subscribed to anything.
func (s *session) subscribed() bool { return len(s.inChannel)+len(s.inPattern)+len(s.inShard) > 0 }

// ours reports whether messages of a channel come from the server itself.
func ours(kind Channels, name string) bool { return kind == Channel && name == channel }

// subscriptionBytes is what a subscription takes, in the broker as well.
func subscriptionBytes(name string) int { return len(name) + 512 }

func (c *Conn) subscribe(kind Channels, names [][]byte) {
	broker := c.broker()
	for _, a := range names {
		if broker == nil && !ours(kind, string(a)) {
			c.Error(fmt.Sprintf("ERR there is no channel '%s': want %s", arg(a), channel))
			return
		}
	}
	c.expectMessages()
	set := c.session.in(kind)
	for _, a := range names {
		name := string(a)
		if *set == nil {
			*set = make(map[string]struct{})
		}
		if _, ok := (*set)[name]; !ok {
			if !c.keep(subscriptionBytes(name)) {
				c.Error("ERR too many subscriptions: no memory is left for more")
				return
			}
			if broker != nil && !ours(kind, name) {
				broker.Subscribe(c, kind, name)
			}
		}
		(*set)[name] = struct{}{}
		c.noteChannels()
		c.subscription(subscriptionWords[kind].begin, kind, &name)
	}
}

func (c *Conn) unsubscribe(kind Channels, names [][]byte) {
	set := c.session.in(kind)
	if len(names) == 0 {
		for _, name := range sorted(*set) {
			names = append(names, []byte(name))
		}
	}
	if len(names) == 0 {
		c.subscription(subscriptionWords[kind].end, kind, nil)
	}
	for _, a := range names {
		name := string(a)
		c.session.forget(c, kind, name)
		c.noteChannels()
		c.subscription(subscriptionWords[kind].end, kind, &name)
	}
}

// forget ends a subscription, if there is one.
func (s *session) forget(c *Conn, kind Channels, name string) {
	set := *s.in(kind)
	if _, ok := set[name]; !ok {
		return
	}
	delete(set, name)
	c.unkeep(subscriptionBytes(name))
	if broker := c.broker(); broker != nil && !ours(kind, name) {
		broker.Unsubscribe(c, kind, name)
	}
}

// unsubscribeAll ends all subscriptions.
func (s *session) unsubscribeAll(c *Conn) {
	for kind := range subscriptionWords {
		for name := range *s.in(Channels(kind)) {
			s.forget(c, Channels(kind), name)
		}
	}
}

func (c *Conn) noteChannels() {
	s := &c.session
	_, invalidations := s.inChannel[channel]
	c.setFacts(func(f *facts) {
		f.channels, f.patterns, f.shards, f.invalidations = len(s.inChannel), len(s.inPattern), len(s.inShard), invalidations
	})
}

// subscription tells the client what it is subscribed to now. A nil name says that there was nothing to end.
func (c *Conn) subscription(word string, kind Channels, name *string) {
	s := &c.session
	n := len(s.inChannel) + len(s.inPattern)
	if kind == Shard {
		n = len(s.inShard)
	}
	ack := codec.AppendPush(nil, s.proto, 3)
	ack = codec.AppendBulk(ack, word)
	if name == nil {
		ack = codec.AppendNull(ack, s.proto)
	} else {
		ack = codec.AppendBulk(ack, *name)
	}
	ack = codec.AppendInt(ack, int64(n))
	if !s.muted && !s.skip {
		c.out = append(c.out, ack...)
		return
	}
	c.mu.Lock() // it comes although replies do not: it is a message
	ok := c.reserveLater(len(ack))
	if ok {
		c.later.bytes = append(c.later.bytes, ack...)
	}
	c.startLater(ok)
}
