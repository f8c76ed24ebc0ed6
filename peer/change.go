package peer

import "time"

// Change tells a peer that values are not valid any more, whether they are cached, or are being
// loaded or fetched. It also carries the state of its sender, and may ask the peer about itself. A
// transport looks at Wait, Question, Apart and Long alone, and carries the rest.
//
// A Change has one or more of these uses:
//
//   - Keys, All, Item, Holders, Wait: values end. Only this may be limited or delayed; without the
//     rest, lists of peers never agree.
//   - Announced, State: the sender has a new view, is leaving, or is back.
//   - Offered: the sender has values that the peer owns now, and may ask for.
//   - Since: a process that restarts asks what was changed meanwhile.
//   - Members: the sender asks for the peer's list, to say how it differs.
//   - Question: the sender asks who the peer is.
//   - Watch: the sender asks for a lease on all keys of the group.
//   - Relay: the peer tells all others of the sender's view, and Roll is what it tells them. PassOn:
//     it tells some of them.
type Change struct {
	Group string
	Keys  []string
	All   bool // all keys of the group
	// Item, if not nil, is the new value of the only key. It is for the peer that owns the key.
	Item *Item
	// From is the name of the sender. As in Query, it is not sent, and the Handler sets it.
	From string
	// Holders asks the peer to tell all processes that may hold copies which they got from it,
	// except the sender, and to answer when they have answered or their leases are over.
	Holders bool
	// Wait is how long the answer may take because of Holders.
	Wait time.Duration
	// Announced says that the sender has just got its present view.
	Announced bool

	// State is what the sender says of itself. A pool sets it: a caller of Peer.Change leaves
	// it empty.
	State State
	// Token is a secret for the peer, which the peer sends as Proof in its own Changes to the
	// sender. It is only sent to the peer's address.
	Token uint64
	// Proof is the Token that the sender got last from the peer. With it, the peer believes the
	// State. Without it, the State is a hint that the peer has to confirm at the sender's
	// address.
	Proof uint64
	// Offered are keys of which the sender has values, and which the peer owns now.
	Offered []string
	// Since asks which Keys were changed since one of these departures (State.Departure).
	Since []uint64
	// Members asks for the members of the peer's view, and for the names of its groups.
	Members bool
	// Relay asks the peer to tell all members of the view that the sender has it, and to answer
	// with the Roll of those that were told. It comes with Announced, and Wait is how long that may
	// take.
	Relay bool
	// PassOn asks the peer to tell some peers that the sender has its view, because the sender
	// cannot reach them, and to answer with the Roll of those that were told. It is a list of
	// NameIDs, each in 8 bytes, the lowest first. It comes with Announced.
	PassOn []byte
	// Roll is what other processes have said of themselves to the sender, who was asked to tell
	// the peer. It counts only with a proof.
	Roll Roll
	// Trace is the span that the change is part of, as in Query.
	Trace string
	// Watch asks for a lease on all keys of the group, for that time: the peer tells the sender of
	// each change of which it is told with Holders. Caches in front of the sender are exact by that
	// (peercache.Group.Watch). WatchID is the name of the lease that is to be renewed; zero: none.
	Watch   time.Duration
	WatchID uint64

	// The fields below are not sent.

	// Question says that the Change only asks the peer about itself. A transport opens no
	// connection for it that lasts.
	Question bool
	// Apart asks for a new connection, because the present ones may lead to a process that has
	// ended.
	Apart bool
}

// Long reports whether the answer may be long. A transport does not send such an answer on a
// connection on which other answers wait behind it.
func (c *Change) Long() bool { return len(c.Since) > 0 || c.Members }

// State is what a process says of itself and of its view, with each Change and with each answer to
// one.
type State struct {
	// Process is the random number of the process (Identity.Process). Zero means an earlier
	// version, which does not say.
	Process uint32
	// Number is the sequence number of the State. A State with a lower number than another one
	// of the same process is out of date.
	Number uint64
	// View is a hash of the peers in the view: the same peers have the same hash. Zero means
	// that the other fields say nothing.
	View uint64
	// Began is the Number that the process had when it got this view. It is zero in a request,
	// and in an earlier version.
	Began uint64
	// Leaving says that the process is about to end. It is not in its own view then.
	Leaving bool
	// Departure identifies the end of a process that is leaving. Its next process asks with it
	// what was changed since (Change.Since).
	Departure uint64
	// Offering says that the receiver is new in the view of the process, which has not yet
	// offered all that it will (Change.Offered).
	Offering bool
	// Absent are the names of peers that were listed as peers, and are not in the view because
	// they are leaving or have left.
	Absent []string
}

// Changed is a peer's answer to a Change.
type Changed struct {
	// Holders are the holders of copies that the peer could not tell.
	Holders []Holder
	// State is what the peer says of itself.
	State State
	// Unheard says that the peer has not recorded the State of the Change: the sender's address
	// did not confirm it.
	Unheard bool
	// Groups is a hash of the names of the peer's groups: the same names have the same hash.
	// Zero means that the peer does not say.
	Groups uint64

	// GroupNames and Members answer a Change with Members: the names of the peer's groups, and
	// the members of its view, each in order, and as far as there is room. Size is how many
	// members there are.
	GroupNames, Members []string
	Size                int

	// Log answers a Change with Since. It has a bit for each of its Keys, which is set if the
	// peer knows that the key was changed. It is empty if the peer cannot answer for that time.
	// SinceDeparture says that it is since one of the departures, Unbroken that one process has
	// recorded all the time since. If not, Circle is a hash of the names of all processes that may
	// have made changes while none recorded; zero if these are not known.
	Log                      []byte
	SinceDeparture, Unbroken bool
	Circle                   uint64

	// Relayed answers a Change with a Roll, with Relay or with PassOn: the peer has recorded the
	// Roll, but for the Statements that Untold has a bit for, the lowest of each byte first; or it has
	// told all in its own Roll that the sender has its view, and the Roll says what they answered.
	Relayed bool
	Untold  []byte
	Roll    Roll

	// Watch answers a Change with Watch: the lease lasts so long from when it was asked for; zero:
	// it is not given. WatchID is its name. If that is not the one in the Change, it has begun just
	// now, and the sender may have missed changes before.
	Watch   time.Duration
	WatchID uint64
}
