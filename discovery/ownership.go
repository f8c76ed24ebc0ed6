package discovery

import (
	"context"
	"strings"
)

// ownsNothing ends the text of a peer, in lists, that owns no keys. It is the same everywhere,
// because who owns what follows from the list alone. A fragment is a part of no name: it never goes
// to where the name leads.
const ownsNothing = "#owns=nothing"

// OwningNothing returns the text by which a peer is listed that owns no keys:
// http://10.0.0.9:8001#owns=nothing. A text that says so already stays as it is. See
// peercache.WithoutOwnership.
func OwningNothing(peer string) string {
	name, _ := SplitPeer(peer)
	return name + ownsNothing
}

// SplitPeer returns the name of a peer in the text by which it is listed, and reports whether it may
// own keys. It is the inverse of OwningNothing.
func SplitPeer(text string) (name string, owns bool) {
	name, marked := strings.CutSuffix(text, ownsNothing)
	return name, !marked
}

// WithoutOwnership returns a Discovery that finds what d finds, as peers that own no keys. It is for
// what lists plain addresses, such as the DNS name of a service that has gateways alone; see Merge.
// Everywhere else list each such peer as OwningNothing says.
func WithoutOwnership(d Discovery) Discovery { return ownless{d} }

type ownless struct{ Discovery }

func (o ownless) Run(ctx context.Context, self string, report func(View)) error {
	self, _ = SplitPeer(self)
	return o.Discovery.Run(ctx, self, func(v View) {
		marked := make([]string, len(v.Peers))
		for i, peer := range v.Peers {
			marked[i] = OwningNothing(peer)
		}
		v.Peers = marked
		report(v)
	})
}
