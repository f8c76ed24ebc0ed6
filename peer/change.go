package peer

import "time"

// Change tells a peer that values are not valid any more, whether they are cached, or
// being loaded or fetched. It may also, or only, say something of its sender, or ask the peer
// about itself.
type Change struct {
	Group string
	Keys  []string
	All   bool // all keys of the group
	// Item, if not nil, is the new value of the one key there is. It is for the
	// peer that owns it.
	Item *Item
	// From is as in Query.
	From string
	// Holders asks the peer to tell all who may hold copies that they got from it,
	// but for the one who asks, and to answer when they have answered or their
	// leases are over.
	Holders bool
	// Wait is how long the answer may take because of that.
	Wait time.Duration
	// Announced tells that the peer which sends it has just begun to have its view.
	Announced bool

	// State is what the sender says of itself. A pool sets it: who sends a Change by a pool's
	// Peer leaves it empty.
	State State
	// Token is what the peer is to send as Proof in its own requests to the sender. It goes
	// to the peer's address and nowhere else.
	Token uint64
	// Proof is the Token that the sender was given last by the peer. With it, what the sender
	// says of itself is believed. Without it, it is a hint.
	Proof uint64
	// Offered are keys that the sender has values of, and that the peer owns now.
	Offered []string
	// Since asks for the keys that were changed since one of these departures.
	Since []uint64
	// Members asks for the members of the peer's view, and for the names of its groups.
	Members bool

	// Question says that the Change only asks the peer how it is. It is not sent. A transport
	// opens no connection for it that lasts.
	Question bool
	// Apart asks for a connection of its own, because those that there are may lead to a
	// process that has ended. It is not sent.
	Apart bool
}

// Long reports whether the answer may be longer than what is sent on a connection that others
// wait for.
func (c *Change) Long() bool { return len(c.Since) > 0 || c.Members }

// State is what a process says of itself and of its view, with each Change and with each answer
// to one.
type State struct {
	// Process is a random number, which tells it from others at its address. Zero is an
	// earlier version, which does not say.
	Process uint32
	// Number counts what the process has said. What comes after something with a higher
	// number of the same process is not true any more.
	Number uint64
	// View stands for the list of peers that it has: peers with the same list have the same
	// number. Zero says nothing of the process.
	View uint64
	// Began is the Number with which it began to have the view. Zero in a request, and in
	// an earlier version.
	Began uint64
	// Leaving says that it is about to end. Its view is without it.
	Leaving bool
	// Departure, if it is leaving, is a number for that, by which its next process asks what
	// was changed since.
	Departure uint64
	// Offering says that the peer is new in its view, and was not offered yet all that it
	// will be.
	Offering bool
	// Absent are those that were said to be peers, and are not in its view because they are
	// leaving, or have left.
	Absent []string
}

// Changed is a peer's answer to a Change.
type Changed struct {
	// Holders are those that the peer could not tell.
	Holders []Holder
	// State is what the peer says of itself.
	State State
	// Unheard says that what the Change said of its sender was not confirmed at the sender's
	// address: the peer has not recorded it.
	Unheard bool
	// Groups stands for the names of the peer's groups: the same number for the same names.
	// Zero: it does not say.
	Groups uint64

	// If the Change asked for Members: the names of the peer's groups, in order, as far as
	// there was room; the members of its view, likewise; and how many members there are.
	GroupNames, Members []string
	Size                int

	// If the Change asked Since: a bit for each key of which the peer knows that it was
	// changed, nothing if it cannot answer for that time; whether it is since one of the
	// departures; and whether one process has recorded all that time.
	Log                      []byte
	SinceDeparture, Unbroken bool
}
