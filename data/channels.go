package data

import "context"

// Channels are the commands of channels: queues that hold no more than they were made for. No Redis has them. They are made by Commands.Channels.
type Channels struct{ c Commands }

// Channels returns the commands of channels.
func (c Commands) Channels() Channels { return Channels{c} }

// CMake makes a channel that holds up to capacity elements. It does nothing if there is one of that capacity, and is an error if the key
// has something else.
func (n Channels) CMake(ctx context.Context, key string, capacity int64) error {
	return n.c.done(ctx, "cmake", key, itoa(capacity))
}

// CPush puts an element into a channel. It waits for room as long as ctx lasts, behind those who came earlier.
func (n Channels) CPush(ctx context.Context, key, element string) error {
	return n.c.done(ctx, "cpush", key, element)
}

// CPop takes count elements out of a channel, at once. It waits until there are so many as long as ctx lasts, behind those
// who came earlier.
func (n Channels) CPop(ctx context.Context, key string, count int64) ([]string, error) {
	return n.c.texts(ctx, "cpop", key, itoa(count))
}

// CLen returns how many elements are in a channel.
func (n Channels) CLen(ctx context.Context, key string) (int64, error) {
	return n.c.integer(ctx, "clen", key)
}

// CClean removes all elements, and returns how many there were. Who waits for room has it then; who waits for elements goes on waiting.
func (n Channels) CClean(ctx context.Context, key string) (int64, error) {
	return n.c.integer(ctx, "cclean", key)
}
