package data

import "context"

// Messages are the commands of messages, which go to those who listen to a channel at that moment. They are made by Commands.Messages.
//
// Who listens is a Go program (Memory.Listen), a Redis client (SUBSCRIBE) that package respdoor serves, or a client of the Redis that has the
// data. Memory.Subscribe tells of changes of keys. Where nothing may be lost though nobody listens, use a list and Lists.BLPop.
type Messages struct{ c Commands }

// Messages returns the commands of messages.
func (c Commands) Messages() Messages { return Messages{c} }

// Publish sends a message to a channel, and returns to how many listeners it went. Of a cluster these are the listeners at one node. In a transaction it
// is sent if that happens.
func (m Messages) Publish(ctx context.Context, channel, message string) (int64, error) {
	return m.c.integer(ctx, "publish", channel, message)
}

// PubSubChannels returns the channels that somebody listens to, and a pattern fits.
func (m Messages) PubSubChannels(ctx context.Context, pattern string) ([]string, error) {
	return m.c.texts(ctx, "pubsub", "channels", pattern)
}

// PubSubNumPat returns how many patterns of channels somebody listens to.
func (m Messages) PubSubNumPat(ctx context.Context) (int64, error) {
	return m.c.integer(ctx, "pubsub", "numpat")
}

// PubSubNumSub returns how many listen to each channel.
func (m Messages) PubSubNumSub(ctx context.Context, channels ...string) (map[string]int64, error) {
	list, err := m.c.list(ctx, append([]string{"pubsub", "numsub"}, channels...)...)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	for i := 0; i+1 < len(list); i += 2 {
		name, err := list[i].Text()
		if err != nil {
			return nil, err
		}
		if counts[name], err = list[i+1].Integer(); err != nil {
			return nil, err
		}
	}
	return counts, nil
}
