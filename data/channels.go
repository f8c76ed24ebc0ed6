package data

import "context"

// Channels are the commands of channels: queues that hold no more than they were made for. No Redis has them. They are made by Commands.Channels.
type Channels struct{ c Commands }

// Channels returns the commands of channels.
func (c Commands) Channels() Channels { return Channels{c} }

// CMake makes a channel that holds up to capacity elements. It is an error if there is such a key.
func (n Channels) CMake(ctx context.Context, key string, capacity int64) error {
	return n.c.done(ctx, "cmake", key, itoa(capacity))
}

// CPush puts elements into a channel. It waits for room as long as ctx lasts.
func (n Channels) CPush(ctx context.Context, key string, elements ...string) error {
	if len(elements) == 0 {
		return nil
	}
	return n.c.done(ctx, append([]string{"cpush", key}, elements...)...)
}

// CPop takes count elements out of a channel. It waits until there are so many as long as ctx lasts.
func (n Channels) CPop(ctx context.Context, key string, count int64) ([]string, error) {
	return n.c.texts(ctx, "cpop", key, itoa(count))
}

// CLen returns how many elements are in a channel.
func (n Channels) CLen(ctx context.Context, key string) (int64, error) {
	return n.c.integer(ctx, "clen", key)
}

// CClean removes all elements. Who waits for room, or for elements, gets an error.
func (n Channels) CClean(ctx context.Context, key string) error {
	return n.c.done(ctx, "cclean", key)
}
