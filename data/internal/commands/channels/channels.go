// Package channels has the commands of channels, which are queues that have a bound. Redis has none.
//
// Who pushes waits for room, and who pops waits for as many values as it wants; each is served before those that came later. So
// a command that could run at once waits if another one of its name waits. A channel is there until it is deleted, though it be
// empty; who waits for one that is deleted waits until it is made again.
package channels

import (
	"time"

	"github.com/peercache/peercache/data/internal/channel"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/number"
)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "cmake", Arity: 3, Flags: engine.Write | engine.Grows | engine.Fast | engine.Status, Keys: engine.Key(1), Group: "channel", Args: "key capacity",
		Complexity: "O(1)", Summary: "Makes a channel for up to capacity values, or fails if the key has something else.", Run: makeChannel},
	{Name: "cpush", Arity: -3, Flags: engine.Write | engine.Grows | engine.Blocking | engine.InTurn | engine.Status, Keys: engine.Key(1), Group: "channel", Args: "key value [timeout]",
		Complexity: "O(1)", Summary: "Adds a value to a channel. While it is full, it waits: as long as its caller does, or for timeout seconds, after which it replies null.", Run: push},
	{Name: "cpop", Arity: -3, Flags: engine.Write | engine.Blocking | engine.InTurn, Keys: engine.Key(1), Group: "channel", Args: "key count [timeout]",
		Complexity: "O(N) for N values", Summary: "Takes count values from a channel, all at once. While there are fewer, it waits: as long as its caller does, or for timeout seconds, after which it replies null.", Run: pop},
	{Name: "clen", Arity: 2, Flags: engine.ReadOnly | engine.Fast, Keys: engine.Key(1), Group: "channel", Args: "key",
		Complexity: "O(1)", Summary: "Returns how many values a channel has.", Run: length},
	{Name: "cclean", Arity: 2, Flags: engine.Write, Keys: engine.Key(1), Group: "channel", Args: "key",
		Complexity: "O(N) for N values", Summary: "Removes the values of a channel, and returns how many there were. Those who wait to push go on.", Run: clean},
}

const (
	errCapacity engine.Error = "ERR capacity should be greater than 0"
	errOther    engine.Error = "ERR the channel exists with another capacity"
	errNone     engine.Error = "ERR no such channel"
	errCount    engine.Error = "ERR count should be greater than 0"
	errMost     engine.Error = "ERR count is greater than the capacity of the channel"
)

func makeChannel(c *engine.Call) error {
	capacity, ok := number.Int(c.Args[2])
	if !ok || capacity < 1 {
		return errCapacity
	}
	ch, err := engine.Read[*channel.Channel](c, c.Args[1])
	switch {
	case err != nil:
		return err
	case ch == nil:
		c.SetObject(c.Args[1], channel.New(capacity), 0)
		c.Notify(engine.EventChannel, "cmake", c.Args[1])
	case ch.Capacity != capacity:
		return errOther
	}
	c.W.Simple("OK")
	return nil
}

// find returns the channel of a command that may wait, and for how long. The channel is nil if there is none now, and the
// command has waited.
func find(c *engine.Call) (ch *channel.Channel, timeout time.Duration, err error) {
	switch {
	case len(c.Args) > 4:
		return nil, 0, engine.Error("ERR wrong number of arguments for '" + c.Name() + "' command")
	case len(c.Args) == 4:
		if timeout, err = engine.Timeout(c.Args[3]); err != nil {
			return nil, 0, err
		}
	}
	ch, err = engine.Change[*channel.Channel](c, c.Args[1])
	switch {
	case ch == nil && c.Again():
		return nil, timeout, nil
	case ch == nil && err == nil:
		return nil, 0, errNone
	}
	return ch, timeout, err
}

func push(c *engine.Call) error {
	key, value := c.Args[1], c.Args[2]
	ch, timeout, err := find(c)
	if err != nil {
		return err
	}
	if ch == nil || int64(ch.Len()) >= ch.Capacity || c.Behind(key) {
		return c.Wait(timeout, engine.Writer.Null)
	}
	ch.List.PushRight(value)
	if c.Undoing() {
		c.Undo(func() { ch.List.DropRight(1) })
	}
	c.Log("CPUSH", key, value)
	c.Changed(key)
	c.Ready(key)
	c.Notify(engine.EventChannel, "cpush", key)
	c.W.Simple("OK")
	return nil
}

func pop(c *engine.Call) error {
	key := c.Args[1]
	count, ok := number.Int(c.Args[2])
	if !ok || count < 1 {
		return errCount
	}
	ch, timeout, err := find(c)
	switch {
	case err != nil:
		return err
	case ch != nil && count > ch.Capacity:
		return errMost
	case ch == nil || int64(ch.Len()) < count || c.Behind(key):
		return c.Wait(timeout, engine.Writer.Null)
	}
	c.W.Array(int(count))
	var buf list.Buffer
	for range count {
		value := ch.List.PopLeft(&buf)
		if c.Undoing() {
			text := string(value)
			c.Undo(func() { ch.List.PushLeft(text) })
		}
		c.W.Bytes(value)
	}
	c.Log("CPOP", key, c.Args[2])
	c.Changed(key)
	c.Ready(key)
	c.Notify(engine.EventChannel, "cpop", key)
	return nil
}

func length(c *engine.Call) error {
	ch, err := engine.Read[*channel.Channel](c, c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if ch != nil {
		n = ch.Len()
	}
	c.W.Int(int64(n))
	return nil
}

func clean(c *engine.Call) error {
	key := c.Args[1]
	ch, err := engine.Change[*channel.Channel](c, key)
	if err != nil {
		return err
	}
	n := 0
	if ch != nil {
		n = ch.Len()
	}
	if n > 0 {
		old := ch.List
		ch.List = list.New()
		if c.Undoing() {
			c.Undo(func() { ch.List = old })
		}
		c.Changed(key)
		c.Ready(key)
		c.Notify(engine.EventChannel, "cclean", key)
	}
	c.W.Int(int64(n))
	return nil
}
