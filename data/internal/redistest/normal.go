package redistest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peercache/peercache/resp/codec"
)

// normal returns a reply without what may differ: the order of what has none, and random choices.
func normal(name string, args []string, r codec.Reply) codec.Reply {
	if r.Kind == '-' {
		return r
	}
	if name == "object" && len(args) > 1 {
		name += " " + strings.ToLower(args[1])
	}
	switch name {
	case "keys", "smembers", "sunion", "sinter", "sdiff", "hkeys", "hvals":
		sortBy(r.List, 1)
	case "hgetall":
		sortBy(r.List, 2)
	case "srandmember", "spop", "hrandfield", "zrandmember", "randomkey", "time", "object idletime", "object freq", "object help":
		return shape(r)
	case "scan", "sscan", "hscan", "zscan":
		return shape(r)
	}
	return r
}

// apart is how much later, in seconds, one side may look at its clock than the other one.
const apart = 5

// differ compares what both sides have replied to a command, and returns how it differs, or "".
func differ(args []string, want, got codec.Reply) string {
	name := strings.ToLower(args[0])
	want, got = normal(name, args, want), normal(name, args, got)
	most := int64(0)
	switch name {
	case "ttl", "expiretime":
		most = apart
	case "pttl", "pexpiretime":
		most = apart * 1000
	}
	if d := want.Int - got.Int; want.Int >= 0 && got.Int >= 0 && max(d, -d) <= most {
		got.Int = want.Int
	}
	if w, g := show(want), show(got); w != g {
		return fmt.Sprintf("%s\n\tours:  %s\n\tRedis: %s", quote(args), g, w)
	}
	return ""
}

// sortBy sorts a list in groups of n.
func sortBy(list []codec.Reply, n int) {
	if len(list)%n != 0 {
		return
	}
	var groups [][]codec.Reply
	for g := range slices.Chunk(slices.Clone(list), n) {
		groups = append(groups, g)
	}
	slices.SortStableFunc(groups, func(a, b []codec.Reply) int { return strings.Compare(show(a[0]), show(b[0])) })
	for i, g := range groups {
		copy(list[i*n:], g)
	}
}

// shape returns a reply of the same kind and size, without anything in it.
func shape(r codec.Reply) codec.Reply {
	s := codec.Reply{Kind: r.Kind, Null: r.Null}
	for _, part := range r.List {
		s.List = append(s.List, shape(part))
	}
	return s
}

// cursorOf returns the place of the cursor among the arguments of a command, or 0.
func cursorOf(args []string) int {
	at := 0
	switch strings.ToLower(args[0]) {
	case "scan":
		at = 1
	case "sscan", "hscan", "zscan":
		at = 2
	}
	if at >= len(args) {
		return 0
	}
	return at
}

// scanned goes on with a scan to its end, and returns all it finds, sorted, each once.
func scanned(do func(args ...string) codec.Reply, args []string, cursor int, r codec.Reply) codec.Reply {
	args = slices.Clone(args)
	width := 1
	if name := strings.ToLower(args[0]); name == "hscan" || name == "zscan" {
		width = 2
	}
	all := codec.Reply{Kind: '*'}
	seen := make(map[string]bool)
	for r.Kind == '*' && len(r.List) == 2 {
		for i := 0; i+width <= len(r.List[1].List); i += width {
			part := r.List[1].List[i : i+width]
			if key := show(part[0]); !seen[key] {
				seen[key] = true
				all.List = append(all.List, part...)
			}
		}
		args[cursor] = r.List[0].Text
		if args[cursor] == "0" {
			sortBy(all.List, width)
			return all
		}
		r = do(args...)
	}
	return r // an error
}
