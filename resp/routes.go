package resp

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// served is a group, with the prefixes of its keys.
type served struct {
	door.Cache
	prefixes []string                        // the empty one is that of the default group
	watch    atomic.Pointer[peercache.Watch] // while there are clients with CLIENT TRACKING
}

// routes say which group a key belongs to.
type routes struct {
	caches  []*served
	byText  map[string]*served // by prefix
	lengths []int              // of the prefixes, the longest first
	other   *served            // of keys without a prefix; nil: they are refused
}

// A key is one of a client's, and where it leads.
type key struct {
	full  string // what the client sends
	name  string // in the group
	cache *served
}

func newRoutes(caches []door.Cache, o *options) (routes, error) {
	r := routes{byText: make(map[string]*served)}
	if len(caches) > 0 { // else there is a fallback
		if _, err := door.ByName(caches); err != nil {
			return r, err
		}
	}
	named := make(map[string]*served)
	for _, cache := range caches {
		s := &served{Cache: cache}
		r.caches, named[cache.Name()] = append(r.caches, s), s
	}
	prefixes := o.prefixes
	if prefixes == nil {
		prefixes = make(map[string]string)
		for name := range named {
			prefixes[name+":"] = name
		}
	}
	for prefix, name := range prefixes {
		s := named[name]
		if s == nil {
			return r, fmt.Errorf("the prefix %q is for a group %q, which is not served", prefix, name)
		}
		s.prefixes = append(s.prefixes, prefix)
		r.byText[prefix] = s
		if !slices.Contains(r.lengths, len(prefix)) {
			r.lengths = append(r.lengths, len(prefix))
		}
	}
	slices.Sort(r.lengths)
	slices.Reverse(r.lengths)
	if o.other != "" {
		if r.other = named[o.other]; r.other == nil {
			return r, fmt.Errorf("the default group is %q, which is not served", o.other)
		}
		r.other.prefixes = append(r.other.prefixes, "")
	}
	return r, nil
}

// of returns the group of a key, and how long its prefix is. It is nil if there is none.
func (r *routes) of(full []byte) (*served, int) {
	for _, n := range r.lengths {
		if n <= len(full) {
			if s := r.byText[string(full[:n])]; s != nil {
				return s, n
			}
		}
	}
	return r.other, 0
}

// has reports whether a key belongs to a group.
func (r *routes) has(full []byte) bool {
	s, _ := r.of(full)
	return s != nil
}

// key returns a key of a client's. Its cache is nil if it belongs to no group.
func (r *routes) key(full []byte) key {
	cache, n := r.of(full)
	if cache == nil {
		return key{}
	}
	text := string(full)
	return key{full: text, name: text[n:], cache: cache}
}

// noGroup replies that a key belongs to no group.
func (c *Conn) noGroup(full []byte) {
	c.Error(fmt.Sprintf("ERR no group has the key '%s': a key begins with the prefix of its group, as a rule its name and a colon", arg(full)))
}

// keysOf returns the keys that args are. If one belongs to no group, it replies that, and returns
// false.
func (c *Conn) keysOf(args [][]byte) ([]key, bool) {
	keys := make([]key, len(args))
	for i, full := range args {
		if keys[i] = c.s.keys.key(full); keys[i].cache == nil {
			c.noGroup(full)
			return nil, false
		}
	}
	return keys, true
}
