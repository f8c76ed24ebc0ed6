// Package cluster is this process's part in a cluster: it knows the peers, agrees with them on
// who they are, and moves what changes owner. It sees the network as a peer.Transport, and what
// is cached as a Group.
//
// Begin with cluster.go (what a Cluster is made of, and in which order its locks are taken) and
// view.go (a view and its ring). Names come from Set or from discovery.go; members.go checks
// them. agreement.go, announce.go and hint.go keep the views of all processes the same, relay.go and
// coordinator.go among many, witness.go with those that cannot be reached; answer.go is the
// answering side. changeorder.go finds changes that come too late, changerate.go delays a peer that
// sends too many. absent.go, departed.go, departure.go and handoff.go are for processes that leave,
// changelog.go and restore.go for those that start again with a snapshot. ready.go, problems.go,
// ownaddress.go, identity.go, configwatch.go, refusals.go and difference.go find what is wrong.
// access.go says who is a peer, and records for the audit; traffic.go counts.
//
// Fifteen words:
//
//   - list: the names of all processes, from Set or from a discovery.
//   - view: the listed peers that are not leaving, with the ring over them.
//   - member: a peer as this process knows it. It stays the same while the peer is in the view.
//   - absent: listed, but not in the view, because its process is leaving. It may be back any time.
//   - departed: in an earlier view, and not in this one.
//   - departure: the end of one process, by Shutdown. It has a number. Its record is in the
//     snapshots, and says what the next process at the address has to know.
//   - peer state: what a process says of itself. To observe it is to record it as a fact.
//   - sequence number: the order in which one process says things.
//   - hint: a peer state without a proof. The peer is asked before anything is recorded.
//   - dissent: a peer has another view. The view is disputed as long as one does.
//   - coordinator: the peer that tells the others who has a view, so that not each has to tell each.
//   - roll: what a coordinator tells of others, as statements. In its answer: who was told.
//   - witness: a peer that passes a view on to another one which its process cannot reach.
//   - newcomer: a peer that this process hands its values over to.
//   - lapsed: the discovery may have given this process up, and peers may change keys without it.
package cluster
