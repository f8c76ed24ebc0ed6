package data

import (
	"context"
	"strconv"
	"time"
)

// seconds returns a time to wait, as commands have it. They round up to milliseconds: what a deadline leaves that has just passed
// would be zero, which is to wait without end.
func seconds(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// waiting appends a time to wait to a command with keys.
func waiting(name string, keys []string, wait time.Duration) []string {
	return append(append([]string{name}, keys...), seconds(wait))
}

// BLPop waits until one of the lists has an element, removes its first one, and returns it with the list. Lists says
// how long it waits.
func (l Lists) BLPop(ctx context.Context, wait time.Duration, keys ...string) (key, element string, err error) {
	return l.c.poppedOne(ctx, waiting("blpop", keys, wait))
}

// BRPop waits until one of the lists has an element, removes its last one, and returns it with the list.
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
