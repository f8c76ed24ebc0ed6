package data

import (
	"context"
	"strconv"
	"time"
)

// The commands that wait do so for a time, or as long as ctx lasts if that is zero. ErrNil says that the time is over. In a transaction they do not
// wait. Where ctx ends, or the connection to a Redis breaks, what was removed in that moment may be lost.

// seconds returns a time to wait, as commands have it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// waiting appends a time to wait to a command with keys.
func waiting(name string, keys []string, wait time.Duration) []string {
	return append(append([]string{name}, keys...), seconds(wait))
}

// BLPop waits until one of the lists has an element, removes its first one, and returns it.
func (l Lists) BLPop(ctx context.Context, wait time.Duration, keys ...string) (key, element string, err error) {
	return l.c.poppedOne(ctx, waiting("blpop", keys, wait))
}

// BRPop waits until one of the lists has an element, removes its last one, and returns it.
func (l Lists) BRPop(ctx context.Context, wait time.Duration, keys ...string) (key, element string, err error) {
	return l.c.poppedOne(ctx, waiting("brpop", keys, wait))
}

// poppedOne runs a command that returns a key, and one element of it.
func (c Commands) poppedOne(ctx context.Context, args []string) (key, element string, err error) {
	p, err := c.popped(ctx, args)
	if err != nil || len(p.Elements) == 0 {
		return "", "", err
	}
	return p.Key, p.Elements[0], nil
}

// BLMPop is LMPop that waits until one of the lists has an element.
func (l Lists) BLMPop(ctx context.Context, wait time.Duration, from End, n int64, keys ...string) (Popped, error) {
	args := append([]string{"blmpop", seconds(wait)}, counted(keys)...)
	return l.c.popped(ctx, append(args, string(from), "count", itoa(n)))
}

// BLMove is LMove that waits until source has an element.
func (l Lists) BLMove(ctx context.Context, wait time.Duration, source, destination string, from, to End) (string, error) {
	return l.c.text(ctx, "blmove", source, destination, string(from), string(to), seconds(wait))
}

// BRPopLPush is BLMove from Right to Left.
func (l Lists) BRPopLPush(ctx context.Context, wait time.Duration, source, destination string) (string, error) {
	return l.c.text(ctx, "brpoplpush", source, destination, seconds(wait))
}
