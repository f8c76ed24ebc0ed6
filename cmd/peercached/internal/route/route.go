// Package route serves one group out of several clusters, by the prefixes of its keys, and fills
// a new cluster from an old one.
//
// While cluster new is being filled from cluster old, a load in new is a Get in old (Getter). Then
// a value can only be as new in new as it is in old. Therefore each change is made in old, and when that
// has ended, in new: a load that begins in new after its part of the change has ended reads what old has after its own part,
// and one that has begun before is not kept, because the change in new taints it (P8). The other order,
// or both at the same time, would leave a gap in which new is filled again with what old still has.
package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// Route says who has the keys of a prefix.
type Route struct {
	Prefix string
	Read   door.Cache // where the keys are read and set
	From   door.Cache // if not nil: the one from which Read is being filled
	Warms  door.Cache // if not nil, and From is: the one that is being filled from Read
}

// chain returns those to which a change is made, in that order.
func (r *Route) chain() []door.Cache {
	all := []door.Cache{r.From, r.Read, r.Warms}
	return slices.DeleteFunc(all, func(c door.Cache) bool { return c == nil })
}

// Cache is a group in several clusters.
type Cache struct {
	name   string
	routes []Route // the longest prefix first; the last one has the prefix ""
	reads  []door.Cache
	// phases are those that a Clear clears: first those that others are filled from.
	phases [2][]door.Cache
}

var _ door.Cache = (*Cache)(nil)

// New makes a Cache of routes: one for each prefix, "" among them. No cluster is filled from one that
// is itself being filled.
func New(name string, routes ...Route) (*Cache, error) {
	c := &Cache{name: name, routes: slices.Clone(routes)}
	slices.SortStableFunc(c.routes, func(a, b Route) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	if n := len(routes); n == 0 || c.routes[n-1].Prefix != "" {
		return nil, errors.New("no route has the prefix \"\"")
	}
	filled, all := map[door.Cache]bool{}, map[door.Cache]bool{}
	add := func(to *[]door.Cache, one door.Cache, seen map[door.Cache]bool) {
		if !seen[one] {
			seen[one] = true
			*to = append(*to, one)
		}
	}
	reads := map[door.Cache]bool{}
	for _, r := range c.routes {
		add(&c.reads, r.Read, reads)
		if chain := r.chain(); len(chain) > 1 {
			add(&c.phases[1], chain[1], filled)
		}
	}
	for _, r := range c.routes {
		switch chain := r.chain(); {
		case len(chain) > 2, len(chain) == 2 && filled[chain[0]]:
			return nil, fmt.Errorf("the route %q: a cluster is filled from one that is being filled", r.Prefix)
		case !filled[chain[0]]:
			add(&c.phases[0], chain[0], all)
		}
	}
	return c, nil
}

// of returns the route of a key.
func (c *Cache) of(key string) *Route {
	for i := range c.routes {
		if strings.HasPrefix(key, c.routes[i].Prefix) {
			return &c.routes[i]
		}
	}
	panic("route: no route of the prefix \"\"") // New has seen it
}

// Name implements door.Cache.
func (c *Cache) Name() string { return c.name }

// Get implements door.Cache.
func (c *Cache) Get(ctx context.Context, key string) (peercache.ByteView, error) {
	return c.of(key).Read.Get(ctx, key)
}

// GetWithTTL implements door.Cache.
func (c *Cache) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	return c.of(key).Read.GetWithTTL(ctx, key)
}

// GetMulti implements door.Cache. It asks all clusters at the same time.
func (c *Cache) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	if len(c.reads) == 1 {
		return c.reads[0].GetMulti(ctx, keys)
	}
	type part struct {
		keys []string
		at   []int
	}
	parts := map[door.Cache]*part{}
	for i, key := range keys {
		read := c.of(key).Read
		p := parts[read]
		if p == nil {
			p = &part{}
			parts[read] = p
		}
		p.keys, p.at = append(p.keys, key), append(p.at, i)
	}
	all := make([]peercache.Result, len(keys))
	var asking sync.WaitGroup
	for read, p := range parts {
		asking.Go(func() {
			for i, result := range read.GetMulti(ctx, p.keys) {
				all[p.at[i]] = result
			}
		})
	}
	asking.Wait()
	return all
}

// Set implements door.Cache. The other cluster of the route drops the key.
func (c *Cache) Set(ctx context.Context, key string, item peercache.Item) error {
	r := c.of(key)
	return inOrder(ctx, r.chain(), func(ctx context.Context, one door.Cache) error {
		if one == r.Read {
			return one.Set(ctx, key, item)
		}
		return one.Remove(ctx, key)
	})
}

// Remove implements door.Cache.
func (c *Cache) Remove(ctx context.Context, keys ...string) error {
	parts := map[*Route][]string{}
	for _, key := range keys {
		r := c.of(key)
		parts[r] = append(parts[r], key)
	}
	var mu sync.Mutex
	var errs []error
	var removing sync.WaitGroup
	for r, some := range parts {
		removing.Go(func() {
			err := inOrder(ctx, r.chain(), func(ctx context.Context, one door.Cache) error { return one.Remove(ctx, some...) })
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	removing.Wait()
	return join(errs)
}

// Clear implements door.Cache. It clears the group in all clusters.
func (c *Cache) Clear(ctx context.Context) error {
	var all []error
	for i, phase := range c.phases {
		last := len(c.phases[1]) == 0 || i == 1
		part, cancel := partOf(ctx, last)
		errs := make([]error, len(phase))
		var clearing sync.WaitGroup
		for k, one := range phase {
			clearing.Go(func() {
				if errs[k] = one.Clear(part); !last {
					errs[k] = refilled(errs[k])
				}
			})
		}
		clearing.Wait()
		cancel()
		all = append(all, errs...)
	}
	return join(all)
}

// inOrder makes a change in one cluster after the other, also if it fails in one.
func inOrder(ctx context.Context, chain []door.Cache, change func(context.Context, door.Cache) error) error {
	errs := make([]error, len(chain))
	for i, one := range chain {
		last := i+1 == len(chain)
		part, cancel := partOf(ctx, last)
		if errs[i] = change(part, one); !last {
			errs[i] = refilled(errs[i])
		}
		cancel()
	}
	return join(errs)
}

// partOf returns the context of one cluster's part of a change: half of the time that there is, if
// another cluster comes after it. One that cannot be reached must not keep the other from the change.
func partOf(ctx context.Context, last bool) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && !last {
		return context.WithTimeout(ctx, time.Until(end)/2)
	}
	return ctx, func() {}
}

// refilled returns the error of a change that failed in a cluster from which another one is being filled:
// what its peers still serve may get there, so that the time until which they do says nothing.
func refilled(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*peercache.InvalidationError](err); ok {
		pending := slices.Clone(e.Pending)
		for i := range pending {
			pending[i].Until = time.Time{}
		}
		return &peercache.InvalidationError{Group: e.Group, Pending: pending}
	}
	return fmt.Errorf("a cluster from which another one is being filled may have kept the old values: %w", err)
}

// join returns the errors as one. Those that name peers are one that names all of them, because front doors
// tell their clients who they are.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	var group string
	var pending []peercache.Pending
	var others []error
	for _, err := range errs {
		if e, ok := errors.AsType[*peercache.InvalidationError](err); ok {
			group, pending = e.Group, append(pending, e.Pending...)
		} else {
			others = append(others, err)
		}
	}
	if len(pending) == 0 {
		return errors.Join(others...)
	}
	slices.SortStableFunc(pending, func(a, b peercache.Pending) int { return cmp.Compare(a.Peer, b.Peer) })
	return errors.Join(append([]error{&peercache.InvalidationError{Group: group, Pending: pending}}, others...)...)
}

// Watch implements door.Cache. f hears of the changes in all clusters that are read.
func (c *Cache) Watch(f func(peercache.Invalidation)) peercache.Watch {
	var all watches
	for _, one := range c.reads {
		all = append(all, one.Watch(f))
	}
	return all
}

// watches are those of all clusters.
type watches []peercache.Watch

// Live implements peercache.Watch.
func (w watches) Live() bool {
	return !slices.ContainsFunc(w, func(one peercache.Watch) bool { return !one.Live() })
}

// Stop implements peercache.Watch.
func (w watches) Stop() {
	for _, one := range w {
		one.Stop()
	}
}
