package data

import "context"

// Lists are the commands of lists. They are made by Commands.Lists.
//
// Those that begin with B wait for an element: as long as wait says, or, if that is zero, as long as ctx lasts. ErrNil says that the time
// is over, and an error of ctx that ctx has ended: over a Memory nothing was removed then; over a Redis an element may be lost that was removed at that moment,
// or when the connection breaks. In a transaction they do not wait. Those of sorted sets and channels wait alike.
type Lists struct{ c Commands }

// Lists returns the commands of lists.
func (c Commands) Lists() Lists { return Lists{c} }

// End is an end of a list.
type End string

// The ends.
const (
	Left  End = "left"
	Right End = "right"
)

// LPush puts elements before the first one, one after the other, and returns the length.
func (l Lists) LPush(ctx context.Context, key string, elements ...string) (int64, error) {
	return l.c.integer(ctx, append([]string{"lpush", key}, elements...)...)
}

// RPush puts elements behind the last one, and returns the length.
func (l Lists) RPush(ctx context.Context, key string, elements ...string) (int64, error) {
	return l.c.integer(ctx, append([]string{"rpush", key}, elements...)...)
}

// LPushX is LPush for a list that is there. It returns 0 if it is not.
func (l Lists) LPushX(ctx context.Context, key string, elements ...string) (int64, error) {
	return l.c.integer(ctx, append([]string{"lpushx", key}, elements...)...)
}

// RPushX is RPush for a list that is there. It returns 0 if it is not.
func (l Lists) RPushX(ctx context.Context, key string, elements ...string) (int64, error) {
	return l.c.integer(ctx, append([]string{"rpushx", key}, elements...)...)
}

// LPop removes the first element, and returns it.
func (l Lists) LPop(ctx context.Context, key string) (string, error) {
	return l.c.text(ctx, "lpop", key)
}

// LPopN removes up to n elements from the left, and returns them.
func (l Lists) LPopN(ctx context.Context, key string, n int64) ([]string, error) {
	return l.c.texts(ctx, "lpop", key, itoa(n))
}

// RPop removes the last element, and returns it.
func (l Lists) RPop(ctx context.Context, key string) (string, error) {
	return l.c.text(ctx, "rpop", key)
}

// RPopN removes up to n elements from the right, and returns them.
func (l Lists) RPopN(ctx context.Context, key string, n int64) ([]string, error) {
	return l.c.texts(ctx, "rpop", key, itoa(n))
}

// Popped is what was removed from one of several keys.
type Popped struct {
	Key      string
	Elements []string
}

// LMPop removes up to n elements from an end of the first of the lists that has any.
func (l Lists) LMPop(ctx context.Context, from End, n int64, keys ...string) (Popped, error) {
	return l.c.popped(ctx, append(numbered("lmpop", keys), string(from), "count", itoa(n)))
}

// popped runs a command that returns a key, and elements of it.
func (c Commands) popped(ctx context.Context, args []string) (p Popped, err error) {
	r, err := single(c.doer.do(ctx, args))
	if err != nil || r.Kind == QueuedReply {
		return p, err
	}
	if len(r.List) != 2 {
		return p, r.not("a key with elements")
	}
	if p.Key, err = r.List[0].Text(); err != nil {
		return p, err
	}
	if r.List[1].List == nil { // a single one
		var element string
		element, err = r.List[1].Text()
		p.Elements = []string{element}
		return p, err
	}
	p.Elements, err = textsOf(r.List[1].List)
	return p, err
}

// LLen returns how many elements there are.
func (l Lists) LLen(ctx context.Context, key string) (int64, error) {
	return l.c.integer(ctx, "llen", key)
}

// LRange returns the elements from start to end, end included. Less than zero counts from the right: -1 is the last one.
func (l Lists) LRange(ctx context.Context, key string, start, end int64) ([]string, error) {
	return l.c.texts(ctx, "lrange", key, itoa(start), itoa(end))
}

// LIndex returns the element at a place. Less than zero counts from the right.
func (l Lists) LIndex(ctx context.Context, key string, at int64) (string, error) {
	return l.c.text(ctx, "lindex", key, itoa(at))
}

// LSet puts another element at a place, which must be there. Less than zero counts from the right.
func (l Lists) LSet(ctx context.Context, key string, at int64, element string) error {
	return l.c.done(ctx, "lset", key, itoa(at), element)
}

// LInsert puts an element beside the first one that equals pivot: before it if side is Left, else behind it. It returns the length. ErrNil says that there
// is no such list, or no pivot.
func (l Lists) LInsert(ctx context.Context, key string, side End, pivot, element string) (int64, error) {
	where := "before"
	if side == Right {
		where = "after"
	}
	n, err := l.c.doer.do(ctx, []string{"linsert", key, where, pivot, element})
	if err != nil || n.Kind == QueuedReply {
		return 0, err
	}
	length, err := n.Integer()
	if err == nil && length <= 0 {
		return 0, ErrNil
	}
	return length, err
}

// LRem removes the first n elements that equal one, or the last -n, or all if n is 0. It returns how many that were.
func (l Lists) LRem(ctx context.Context, key string, n int64, element string) (int64, error) {
	return l.c.integer(ctx, "lrem", key, itoa(n), element)
}

// LTrim removes all elements but those from start to end, end included. Less than zero counts from the right.
func (l Lists) LTrim(ctx context.Context, key string, start, end int64) error {
	return l.c.done(ctx, "ltrim", key, itoa(start), itoa(end))
}

// LPosOptions say which places Lists.LPos looks for.
type LPosOptions struct {
	Rank   int64 // the first place is that of the Rank-th such element, less than zero from the right; 0 is 1
	MaxLen int64 // how many elements are looked at; 0: all
}

func (o LPosOptions) args(args []string) []string {
	if o.Rank != 0 {
		args = append(args, "rank", itoa(o.Rank))
	}
	if o.MaxLen != 0 {
		args = append(args, "maxlen", itoa(o.MaxLen))
	}
	return args
}

// LPos returns the place of an element.
func (l Lists) LPos(ctx context.Context, key, element string, o LPosOptions) (int64, error) {
	return l.c.integer(ctx, o.args([]string{"lpos", key, element})...)
}

// LPosN returns up to n places of an element, or all if n is 0.
func (l Lists) LPosN(ctx context.Context, key, element string, n int64, o LPosOptions) ([]int64, error) {
	return l.c.integers(ctx, o.args([]string{"lpos", key, element, "count", itoa(n)})...)
}

// integers runs a command that returns integers.
func (c Commands) integers(ctx context.Context, args ...string) ([]int64, error) {
	list, err := c.list(ctx, args...)
	if err != nil {
		return nil, err
	}
	all := make([]int64, len(list))
	for i, r := range list {
		if all[i], err = r.Integer(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// LMove removes an element from an end of one list, puts it at an end of another, or of the same one, and returns it.
func (l Lists) LMove(ctx context.Context, source, destination string, from, to End) (string, error) {
	return l.c.text(ctx, "lmove", source, destination, string(from), string(to))
}

// RPopLPush is LMove from Right to Left.
func (l Lists) RPopLPush(ctx context.Context, source, destination string) (string, error) {
	return l.c.text(ctx, "rpoplpush", source, destination)
}
