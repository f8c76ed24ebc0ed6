// Package gossip lets the processes of a cluster find each other by themselves:
// no server, no list of peers to keep. It is the discovery to start with.
//
// Each process listens on a port of its own for gossip (TCP and UDP, 7946 unless
// WithBind says otherwise) and is told where it may meet some of the others:
//
//	d, err := gossip.New(gossip.WithJoin("10.0.0.1:7946", "10.0.0.2:7946"))
//
// One of them is enough, and it then hears of all. The protocol is SWIM, as
// github.com/hashicorp/memberlist speaks it: members probe each other, and what
// one of them finds out travels along with the probes.
//
// # Who is a peer
//
// A member carries its base URL, as Run got it, in its metadata. The view is
// what the members carry, each URL once, exactly as they wrote it: whoever takes
// the view checks it. This process is always part of its own view.
//
// A process that ends by its context leaves: the others know at once. One that
// crashes is found out, in the time that the Profile says. A process that comes
// back under its old name but another address is let in when the others have
// found its former self dead.
//
// Gossip has no lease: View.Lapsed is never set. A process that is cut off from
// the others sees them die, and they see it die; both sides carry on by
// themselves, and become one again when the network is whole.
//
// # Joining
//
// The first view waits for the first attempt to join, but not longer than a
// second. If nobody answers, or does not let this process in because its key is
// another, that view is this process alone, so that it can serve; it logs one
// warning and keeps trying, at last every ten seconds. Also later it tries, every few
// seconds, those addresses of WithJoin at which no member is known: so the two
// halves of a split find each other again, as long as one of them has an address
// in the other. Give two or three addresses, or a name that has many.
//
// # Who may join
//
// Whoever can reach the port, unless there is a key (WithKey). The key encrypts
// all gossip, and who does not have it stays out. Give one wherever others can
// reach the port; without it, one warning says so. WithCluster keeps clusters
// apart that should not become one by mistake; it is no protection.
// WithMaxMembers bounds how many members a process knows, and
// peercache.WithPeerFilter says whose base URLs a pool accepts.
package gossip
