package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Merge returns a Discovery of all peers that the given ones find. It is for sources that register
// nobody, such as the DNS, a file or the services of Kubernetes: owners in one, and gateways in
// another one that is given as WithoutOwnership. All processes merge the same sources.
//
// There is no view before each of them has one. If one fails, Run does. The registration of this
// process has lapsed if it has in all of them that have it.
//
// The error is for no sources, or one that is nil.
func Merge(sources ...Discovery) (Discovery, error) {
	if len(sources) == 0 || slices.Contains(sources, nil) {
		return nil, fmt.Errorf("discovery: Merge of %d sources: want one or more, and none that is nil", len(sources))
	}
	return merged(slices.Clone(sources)), nil
}

type merged []Discovery

func (m merged) Run(ctx context.Context, self string, report func(View)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex // held while a view is reported: that is one at a time
	views := make([]*View, len(m))
	errs := make([]error, len(m))
	var running sync.WaitGroup
	for i, source := range m {
		running.Go(func() {
			defer stop() // the others would give views without its peers
			errs[i] = source.Run(ctx, self, func(v View) {
				mu.Lock()
				defer mu.Unlock()
				views[i] = &v
				if ctx.Err() == nil && !slices.Contains(views, nil) {
					report(merge(views, self))
				}
			})
			if errs[i] == nil && ctx.Err() == nil {
				errs[i] = errors.New("discovery: one of the merged sources ended by itself")
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// merge returns the view of several.
func merge(views []*View, self string) View {
	name, _ := SplitPeer(self)
	all := View{Lapsed: true}
	for _, v := range views {
		all.Peers = append(all.Peers, v.Peers...)
		if !v.Lapsed && slices.ContainsFunc(v.Peers, func(peer string) bool { other, _ := SplitPeer(peer); return other == name }) {
			all.Lapsed = false
		}
	}
	slices.Sort(all.Peers)
	all.Peers = slices.Compact(all.Peers)
	return all
}
