// Package pubsub has the channels of messages: who is subscribed to what, and who gets a message.
package pubsub

import (
	"slices"
	"sync"

	"github.com/peercache/peercache/data/internal/glob"
)

// Kind is a kind of subscription.
type Kind uint8

// The kinds of subscriptions.
const (
	Channel Kind = iota // to a channel
	Pattern             // to the channels that a pattern fits
	Shard               // to a channel of SPUBLISH, which has its own channels
	kinds
)

// Message is what was published.
type Message struct {
	Kind    Kind   // of the subscription
	Pattern string // that fits, if it is one of a pattern
	Channel string
	Text    string
}

// Subscriber gets messages. Its method is called by who publishes, one at a time, and waits for nothing. The strings of
// a message are valid until it returns.
type Subscriber interface{ Message(m Message) }

// Hub is all channels. The zero Hub is ready to use.
type Hub struct {
	mu   sync.RWMutex
	subs [kinds]map[string]map[Subscriber]struct{}
}

// Subscribe has s get the messages of a channel, or of a pattern.
func (h *Hub) Subscribe(kind Kind, name string, s Subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[kind] == nil {
		h.subs[kind] = make(map[string]map[Subscriber]struct{})
	}
	set := h.subs[kind][name]
	if set == nil {
		set = make(map[Subscriber]struct{})
		h.subs[kind][name] = set
	}
	set[s] = struct{}{}
}

// Unsubscribe ends that. When it has returned, s gets no more messages of it.
func (h *Hub) Unsubscribe(kind Kind, name string, s Subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	set := h.subs[kind][name]
	if delete(set, s); len(set) == 0 {
		delete(h.subs[kind], name)
	}
}

// Publish sends a message to a channel, which is one of SPUBLISH if shard is true.
func (h *Hub) Publish(shard bool, channel, text string) { h.publish(shard, channel, text, true) }

// Receivers returns to how many subscriptions a message would go.
func (h *Hub) Receivers(shard bool, channel string) int { return h.publish(shard, channel, "", false) }

func (h *Hub) publish(shard bool, channel, text string, send bool) (n int) {
	if send {
		h.mu.Lock() // all get the messages in one order
		defer h.mu.Unlock()
	} else {
		h.mu.RLock()
		defer h.mu.RUnlock()
	}
	each := func(set map[Subscriber]struct{}, m Message) {
		n += len(set)
		if send {
			for s := range set {
				s.Message(m)
			}
		}
	}
	if shard {
		each(h.subs[Shard][channel], Message{Kind: Shard, Channel: channel, Text: text})
		return n
	}
	each(h.subs[Channel][channel], Message{Kind: Channel, Channel: channel, Text: text})
	for pattern, set := range h.subs[Pattern] {
		if glob.Match(pattern, channel) {
			each(set, Message{Kind: Pattern, Pattern: pattern, Channel: channel, Text: text})
		}
	}
	return n
}

// Channels returns the channels that have a subscriber and that a pattern fits, in order. Patterns are no channels.
func (h *Hub) Channels(shard bool, pattern string) []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var names []string
	for name := range h.subs[kindOf(shard)] {
		if glob.Match(pattern, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Subscribers returns how many are subscribed to a channel, patterns aside.
func (h *Hub) Subscribers(shard bool, channel string) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.subs[kindOf(shard)][channel])
}

// Patterns returns how many patterns there are that somebody is subscribed to.
func (h *Hub) Patterns() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.subs[Pattern])
}

func kindOf(shard bool) Kind {
	if shard {
		return Shard
	}
	return Channel
}
