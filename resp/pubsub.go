package resp

import (
	"fmt"

	"github.com/peercache/peercache/resp/codec"
)

// A client of version 2 gets the messages that keys have changed on a channel. There are no others.

func cmdSubscribe(c *Conn, args [][]byte) {
	for _, a := range args[1:] {
		if string(a) != channel {
			c.Error(fmt.Sprintf("ERR there is no channel '%s': want %s", arg(a), channel))
			return
		}
	}
	s := &c.session
	for range args[1:] {
		if s.inChannel == nil {
			s.inChannel = make(map[string]struct{})
		}
		s.inChannel[channel] = struct{}{}
		c.pushable.Store(true)
		c.setFacts(func(f *facts) { f.channels = len(s.inChannel) })
		c.subscription("subscribe", channel)
	}
}

func cmdUnsubscribe(c *Conn, args [][]byte) { c.unsubscribe("unsubscribe", args[1:]) }

// cmdPUnsubscribe ends subscriptions to patterns. Nobody has one.
func cmdPUnsubscribe(c *Conn, args [][]byte) {
	if len(args) == 1 {
		c.subscription("punsubscribe", "")
	}
	for _, a := range args[1:] {
		c.subscription("punsubscribe", string(a))
	}
}

func (c *Conn) unsubscribe(kind string, names [][]byte) {
	s := &c.session
	if len(names) == 0 {
		for _, name := range s.channels() {
			names = append(names, []byte(name))
		}
	}
	if len(names) == 0 {
		c.subscription(kind, "")
	}
	for _, name := range names {
		delete(s.inChannel, string(name))
		c.setFacts(func(f *facts) { f.channels = len(s.inChannel) })
		c.subscription(kind, string(name))
	}
}

// subscription tells the client what it is subscribed to now.
func (c *Conn) subscription(kind, name string) {
	c.out = codec.AppendPush(c.out, c.session.proto, 3)
	c.Bulk(kind)
	if name == "" {
		c.Null()
	} else {
		c.Bulk(name)
	}
	c.Int(int64(len(c.session.inChannel)))
}
