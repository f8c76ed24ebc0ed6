package data

import (
	"context"
	"time"
)

// Channels are the commands of channels: queues that hold no more than they were made for. They are in a Memory alone: no Redis has them. They are made by Commands.Channels.
type Channels struct{ c Commands }

// Channels returns the commands of channels.
func (c Commands) Channels() Channels { return Channels{c} }

// CMake makes a channel that holds up to capacity values. If there is one already, it is an error if that has another capacity.
func (n Channels) CMake(ctx context.Context, key string, capacity int64) error {
	return n.c.done(ctx, "cmake", key, itoa(capacity))
}

// CPush puts a value into a channel. While it is full it waits, as those of Lists do.
func (n Channels) CPush(ctx context.Context, wait time.Duration, key, value string) error {
	return n.c.done(ctx, "cpush", key, value, seconds(wait))
}

// CPop takes count values out of a channel, all at once. While there are fewer it waits, as those of Lists do.
func (n Channels) CPop(ctx context.Context, wait time.Duration, key string, count int64) ([]string, error) {
	r, err := single(n.c.doer.do(ctx, []string{"cpop", key, itoa(count), seconds(wait)}))
	if err != nil {
		return nil, err
	}
	list, err := r.Elements()
	if err != nil {
		return nil, err
	}
	return textsOf(list)
}

// CLen returns how many values are in a channel: 0 if there is none.
func (n Channels) CLen(ctx context.Context, key string) (int64, error) {
	return n.c.integer(ctx, "clen", key)
}

// CClean removes all values of a channel, and returns how many there were. Who waits to push goes on.
func (n Channels) CClean(ctx context.Context, key string) (int64, error) {
	return n.c.integer(ctx, "cclean", key)
}
