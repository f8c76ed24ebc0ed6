// Package lists has the commands of lists.
package lists

import (
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/number"
)

const (
	writes = engine.Write
	grows  = engine.Write | engine.Grows
	reads  = engine.ReadOnly
	fast   = engine.Fast
	blocks = engine.Blocking
)

// twoKeys is a key, and the next argument.
var twoKeys = engine.Keys{First: 1, Last: 2, Step: 1}

// butLast is keys from the first argument to the one before the last.
var butLast = engine.Keys{First: 1, Last: -2, Step: 1}

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "lpush", Arity: -3, Flags: grows | fast, Keys: engine.Key(1), Group: "list", Args: "key element [element ...]",
		Since: "1.0.0", Complexity: "O(N) for N elements", Summary: "Adds elements at the left end of a list, which is made if it does not exist.", Run: push},
	{Name: "rpush", Arity: -3, Flags: grows | fast, Keys: engine.Key(1), Group: "list", Args: "key element [element ...]",
		Since: "1.0.0", Complexity: "O(N) for N elements", Summary: "Adds elements at the right end of a list, which is made if it does not exist.", Run: push},
	{Name: "lpushx", Arity: -3, Flags: grows | fast, Keys: engine.Key(1), Group: "list", Args: "key element [element ...]",
		Since: "2.2.0", Complexity: "O(N) for N elements", Summary: "Adds elements at the left end of a list, if it exists.", Run: pushX},
	{Name: "rpushx", Arity: -3, Flags: grows | fast, Keys: engine.Key(1), Group: "list", Args: "key element [element ...]",
		Since: "2.2.0", Complexity: "O(N) for N elements", Summary: "Adds elements at the right end of a list, if it exists.", Run: pushX},
	{Name: "lpop", Arity: -2, Flags: writes | fast, Keys: engine.Key(1), Group: "list", Args: "key [count]",
		Since: "1.0.0", Complexity: "O(N) for N elements", Summary: "Takes the first element, or up to count of them, and returns what it has taken.", Run: pop},
	{Name: "rpop", Arity: -2, Flags: writes | fast, Keys: engine.Key(1), Group: "list", Args: "key [count]",
		Since: "1.0.0", Complexity: "O(N) for N elements", Summary: "Takes the last element, or up to count of them, and returns what it has taken.", Run: pop},
	{Name: "lmpop", Arity: -4, Flags: writes, Keys: engine.Keys{Find: func(args []string) []int { return numberedKeys(args, 1) }}, Group: "list",
		Args: "numkeys key [key ...] LEFT | RIGHT [COUNT count]", Since: "7.0.0", Complexity: "O(N+M) for N keys and M elements",
		Summary: "Takes elements from an end of the first of several lists that has some.", Run: popFirst},
	{Name: "llen", Arity: 2, Flags: reads | fast, Keys: engine.Key(1), Group: "list", Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns how many elements a list has.", Run: length},
	{Name: "lrange", Arity: 4, Flags: reads, Keys: engine.Key(1), Group: "list", Args: "key start stop",
		Since: "1.0.0", Complexity: "O(S+N) for N elements, and S to the nearer end in blocks of up to 8 KiB", Summary: "Returns the elements from one index to another, both included.", Run: elements},
	{Name: "lindex", Arity: 3, Flags: reads, Keys: engine.Key(1), Group: "list", Args: "key index",
		Since: "1.0.0", Complexity: "O(N) for N blocks of up to 8 KiB to the nearer end", Summary: "Returns the element at an index.", Run: index},
	{Name: "lset", Arity: 4, Flags: grows | engine.Status, Keys: engine.Key(1), Group: "list", Args: "key index element",
		Since: "1.0.0", Complexity: "O(N) for N blocks of up to 8 KiB to the nearer end", Summary: "Replaces the element at an index.", Run: set},
	{Name: "linsert", Arity: 5, Flags: grows, Keys: engine.Key(1), Group: "list", Args: "key BEFORE | AFTER pivot element",
		Since: "2.2.0", Complexity: "O(N) for N elements up to the pivot", Summary: "Adds an element before or after the first one that equals the pivot.", Run: insert},
	{Name: "lrem", Arity: 4, Flags: writes, Keys: engine.Key(1), Group: "list", Args: "key count element",
		Since: "1.0.0", Complexity: "O(N) for N elements", Summary: "Removes elements with a value: the first count, or the last ones if count is negative, or all if it is 0.", Run: remove},
	{Name: "ltrim", Arity: 4, Flags: writes | engine.Status, Keys: engine.Key(1), Group: "list", Args: "key start stop",
		Since: "1.0.0", Complexity: "O(N) for N blocks of up to 8 KiB that are removed", Summary: "Removes all elements but those from one index to another, both included.", Run: trim},
	{Name: "lpos", Arity: -3, Flags: reads, Keys: engine.Key(1), Group: "list", Args: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
		Since: "6.0.6", Complexity: "O(N) for N elements", Summary: "Returns the index of an element that equals a value, or the indices of several.", Run: position},
	{Name: "lmove", Arity: 5, Flags: grows, Keys: twoKeys, Group: "list", Args: "source destination LEFT | RIGHT LEFT | RIGHT",
		Since: "6.2.0", Complexity: "O(1)", Summary: "Takes an element from an end of one list, adds it at an end of another one, and returns it.", Run: move},
	{Name: "rpoplpush", Arity: 3, Flags: grows, Keys: twoKeys, Group: "list", Args: "source destination",
		Since: "1.2.0", Complexity: "O(1)", Summary: "Takes the last element of a list, makes it the first one of another list, and returns it.", Run: move},
	{Name: "blpop", Arity: -3, Flags: writes | blocks, Keys: butLast, Group: "list", Args: "key [key ...] timeout",
		Since: "2.0.0", Complexity: "O(N) for N keys", Summary: "Takes the first element of the first of several lists that has one, and waits for one if there is none.", Run: popWaiting},
	{Name: "brpop", Arity: -3, Flags: writes | blocks, Keys: butLast, Group: "list", Args: "key [key ...] timeout",
		Since: "2.0.0", Complexity: "O(N) for N keys", Summary: "Takes the last element of the first of several lists that has one, and waits for one if there is none.", Run: popWaiting},
	{Name: "blmove", Arity: 6, Flags: grows | blocks, Keys: twoKeys, Group: "list", Args: "source destination LEFT | RIGHT LEFT | RIGHT timeout",
		Since: "6.2.0", Complexity: "O(1)", Summary: "Does what LMOVE does, and waits for an element if there is none.", Run: moveWaiting},
	{Name: "blmpop", Arity: -5, Flags: writes | blocks, Keys: engine.Keys{Find: func(args []string) []int { return numberedKeys(args, 2) }}, Group: "list",
		Args: "timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]", Since: "7.0.0", Complexity: "O(N+M) for N keys and M elements",
		Summary: "Does what LMPOP does, and waits for an element if there is none.", Run: popFirstWaiting},
	{Name: "brpoplpush", Arity: 4, Flags: grows | blocks, Keys: twoKeys, Group: "list", Args: "source destination timeout",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Does what RPOPLPUSH does, and waits for an element if there is none.", Run: moveWaiting},
}

// numberedKeys returns the places of keys that follow their number, which is at a place. There are none if the number is wrong.
func numberedKeys(args []string, at int) (places []int) {
	n, ok := number.Int(args[at])
	if !ok || n < 1 || n >= int64(len(args)-at-1) {
		return nil
	}
	for i := range int(n) {
		places = append(places, at+1+i)
	}
	return places
}

// is reports whether an option is that word, which is in lower case.
func is(option, word string) bool { return len(option) == len(word) && strings.EqualFold(option, word) }

// end is an end of a list.
type end bool

const (
	left  end = false
	right end = true
)

// endOf returns the end that an argument is.
func endOf(arg string) (e end, ok bool) {
	switch {
	case is(arg, "left"):
		return left, true
	case is(arg, "right"):
		return right, true
	}
	return left, false
}

// word returns the argument that the end is.
func (e end) word() string {
	if e == left {
		return "LEFT"
	}
	return "RIGHT"
}

// popName returns the command that takes from the end, in lower case.
func (e end) popName() string {
	if e == left {
		return "lpop"
	}
	return "rpop"
}

// take takes an element from an end of a list. What it returns is valid until the list changes.
func take(c *engine.Call, l *list.List, e end, buf *list.Buffer) []byte {
	var value []byte
	if e == left {
		value = l.PopLeft(buf)
	} else {
		value = l.PopRight(buf)
	}
	if c.Undoing() {
		text := string(value)
		c.Undo(func() { pushTo(l, e, text) })
	}
	return value
}

// add adds an element at an end of a list.
func add(c *engine.Call, l *list.List, e end, value string) {
	pushTo(l, e, value)
	if c.Undoing() {
		c.Undo(func() { dropFrom(l, e, 1) })
	}
}

func pushTo(l *list.List, e end, value string) {
	if e == left {
		l.PushLeft(value)
	} else {
		l.PushRight(value)
	}
}

func dropFrom(l *list.List, e end, n int) {
	if e == left {
		l.DropLeft(n)
	} else {
		l.DropRight(n)
	}
}

// changed tells of a change of a list, which may have become empty.
func changed(c *engine.Call, key string, l *list.List, event string) {
	c.Changed(key)
	c.Notify(engine.EventList, event, key)
	c.RemoveIfEmpty(key, l)
}
