package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Static is a list of peers that does not change: the base URLs of all processes
// of the cluster, the same list in each of them.
//
// The error is for an empty list. Run fails if the list lacks self: the others,
// who have the same list, would never hear of this process.
func Static(peers ...string) (Discovery, error) {
	if len(peers) == 0 {
		return nil, errors.New("discovery: an empty list of peers: want the base URLs of all of them, such as http://10.0.0.1:8001")
	}
	return static(slices.Clone(peers)), nil
}

type static []string

func (s static) Run(ctx context.Context, self string, report func(View)) error {
	if !slices.Contains(s, self) {
		name, _ := SplitPeer(self)
		for _, peer := range s {
			if other, _ := SplitPeer(peer); other == name {
				return fmt.Errorf("discovery: the list of peers has this process as %q: want %q, in all processes", peer, self)
			}
			if with, ok := withScheme(peer); ok {
				return fmt.Errorf("discovery: the list of peers has %q, without a scheme: want %q", peer, with)
			}
		}
		return fmt.Errorf("discovery: the list of peers %q lacks this process, %q", []string(s), self)
	}
	report(View{Peers: slices.Clone(s)})
	<-ctx.Done()
	return nil
}
