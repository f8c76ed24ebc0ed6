package data

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/peercache/peercache/data/internal/pubsub"
)

// Message is what was published to a channel.
type Message struct {
	Channel string
	Pattern string // the pattern of Listen that the channel fits, or "" if it is one of the channels
	Text    string
}

// ErrSlowListener says that a Listener has not received its messages in time.
var ErrSlowListener = errors.New("data: the listener does not receive its messages")

// listenerBuffer is how many messages may wait for a Listener.
const listenerBuffer = 1024

// Listener gets the messages of channels. It is made by Memory.Listen.
type Listener struct {
	m                  *Memory
	channels, patterns []string

	mu     sync.Mutex
	c      chan Message
	err    error // why it has ended
	ended  bool
	forget func() bool // ends the wait for the end of the context
}

// C is where the messages come from, in the order in which they were published. It is closed when the context of Listen
// ends, the Memory is closed, or too many messages wait: messages that wait can be received still.
func (l *Listener) C() <-chan Message { return l.c }

// Err returns why C is closed: ErrSlowListener, the error of the context, or nil, also while it is not closed.
func (l *Listener) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Listen returns the messages that are published from now on to channels, and to those that patterns fit, until ctx
// ends. Nobody who publishes waits for who listens: a Listener for which more than 1024 messages wait is ended, as
// Redis does with clients.
func (m *Memory) Listen(ctx context.Context, channels, patterns []string) *Listener {
	l := &Listener{m: m, channels: channels, patterns: patterns, c: make(chan Message, listenerBuffer)}
	if !m.listeners.add(l) {
		l.end(nil)
		return l
	}
	for _, name := range channels {
		m.engine.Messages.Subscribe(pubsub.Channel, name, subscriber{l})
	}
	for _, pattern := range patterns {
		m.engine.Messages.Subscribe(pubsub.Pattern, pattern, subscriber{l})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.forget = context.AfterFunc(ctx, func() { l.stop(ctx.Err()) })
	}
	return l
}

// subscriber is a Listener as the hub knows it.
type subscriber struct{ *Listener }

// Message implements pubsub.Subscriber.
func (l subscriber) Message(m pubsub.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	select {
	case l.c <- Message{strings.Clone(m.Channel), m.Pattern, strings.Clone(m.Text)}:
	default:
		l.m.listeners.tooSlow.Add(1)
		l.endLocked(ErrSlowListener)
		go l.stop(nil) // the hub is locked
	}
}

// stop ends l, and its subscriptions.
func (l *Listener) stop(why error) {
	l.end(why)
	for _, name := range l.channels {
		l.m.engine.Messages.Unsubscribe(pubsub.Channel, name, subscriber{l})
	}
	for _, pattern := range l.patterns {
		l.m.engine.Messages.Unsubscribe(pubsub.Pattern, pattern, subscriber{l})
	}
	l.m.listeners.remove(l)
}

func (l *Listener) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(why)
}

func (l *Listener) endLocked(why error) {
	if l.ended {
		return
	}
	l.ended, l.err = true, why
	close(l.c)
	if l.forget != nil {
		l.forget()
	}
}
