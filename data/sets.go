package data

import (
	"context"
	"iter"
)

// Sets are the commands of sets. They are made by Commands.Sets.
type Sets struct{ c Commands }

// Sets returns the commands of sets.
func (c Commands) Sets() Sets { return Sets{c} }

// SAdd adds members to a set, and returns how many are new.
func (s Sets) SAdd(ctx context.Context, key string, members ...string) (int64, error) {
	return s.c.manyOf(ctx, "sadd", key, members)
}

// SRem removes members, and returns how many were there.
func (s Sets) SRem(ctx context.Context, key string, members ...string) (int64, error) {
	return s.c.manyOf(ctx, "srem", key, members)
}

// SCard returns how many members there are.
func (s Sets) SCard(ctx context.Context, key string) (int64, error) {
	return s.c.integer(ctx, "scard", key)
}

// SIsMember reports whether a set has a member.
func (s Sets) SIsMember(ctx context.Context, key, member string) (bool, error) {
	return s.c.flag(ctx, "sismember", key, member)
}

// SMIsMember reports of each member whether a set has it.
func (s Sets) SMIsMember(ctx context.Context, key string, members ...string) ([]bool, error) {
	if len(members) == 0 {
		return nil, nil
	}
	list, err := s.c.list(ctx, append([]string{"smismember", key}, members...)...)
	if err != nil {
		return nil, err
	}
	has := make([]bool, len(list))
	for i, r := range list {
		n, err := r.Integer()
		if err != nil {
			return nil, err
		}
		has[i] = n == 1
	}
	return has, nil
}

// SMembers returns all members.
func (s Sets) SMembers(ctx context.Context, key string) ([]string, error) {
	return s.c.texts(ctx, "smembers", key)
}

// SPop removes a member by chance, and returns it.
func (s Sets) SPop(ctx context.Context, key string) (string, error) {
	return s.c.text(ctx, "spop", key)
}

// SPopN removes up to n members by chance, and returns them.
func (s Sets) SPopN(ctx context.Context, key string, n int64) ([]string, error) {
	return s.c.texts(ctx, "spop", key, itoa(n))
}

// SRandMember returns up to n members by chance, each once; if n is less than zero, -n members, of which some may be the same.
func (s Sets) SRandMember(ctx context.Context, key string, n int64) ([]string, error) {
	return s.c.texts(ctx, "srandmember", key, itoa(n))
}

// SMove moves a member from one set to another, and reports whether it was there.
func (s Sets) SMove(ctx context.Context, source, destination, member string) (bool, error) {
	return s.c.flag(ctx, "smove", source, destination, member)
}

// SInter returns the members that all sets have.
func (s Sets) SInter(ctx context.Context, keys ...string) ([]string, error) {
	return s.c.texts(ctx, append([]string{"sinter"}, keys...)...)
}

// SInterCard returns how many members all sets have, but counts no further than limit, unless that is 0.
func (s Sets) SInterCard(ctx context.Context, limit int64, keys ...string) (int64, error) {
	return s.c.integer(ctx, append(numbered("sintercard", keys), "limit", itoa(limit))...)
}

// numbered returns a command with the number of its keys before them.
func numbered(name string, keys []string) []string {
	return append([]string{name}, counted(keys)...)
}

func counted(keys []string) []string { return append([]string{itoa(int64(len(keys)))}, keys...) }

// SUnion returns the members that any of the sets has.
func (s Sets) SUnion(ctx context.Context, keys ...string) ([]string, error) {
	return s.c.texts(ctx, append([]string{"sunion"}, keys...)...)
}

// SDiff returns the members of the first set that none of the others has.
func (s Sets) SDiff(ctx context.Context, keys ...string) ([]string, error) {
	return s.c.texts(ctx, append([]string{"sdiff"}, keys...)...)
}

// SInterStore gives the key destination what SInter returns, and returns how many members that are.
func (s Sets) SInterStore(ctx context.Context, destination string, keys ...string) (int64, error) {
	return s.c.integer(ctx, append([]string{"sinterstore", destination}, keys...)...)
}

// SUnionStore gives the key destination what SUnion returns, and returns how many members that are.
func (s Sets) SUnionStore(ctx context.Context, destination string, keys ...string) (int64, error) {
	return s.c.integer(ctx, append([]string{"sunionstore", destination}, keys...)...)
}

// SDiffStore gives the key destination what SDiff returns, and returns how many members that are.
func (s Sets) SDiffStore(ctx context.Context, destination string, keys ...string) (int64, error) {
	return s.c.integer(ctx, append([]string{"sdiffstore", destination}, keys...)...)
}

// SScan goes through all members, as Keys.Scan goes through keys. An error is the last that is yielded.
func (s Sets) SScan(ctx context.Context, key string, o ScanOptions) iter.Seq2[string, error] {
	return s.c.scanOne(ctx, o.args([]string{"sscan", key, "0"}), 2)
}
