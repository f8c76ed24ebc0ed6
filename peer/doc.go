// Package peer defines what the processes of a cluster say to each other, and the transport that
// carries it. It is for those who write a transport: users of a cache need only package
// peercache, which has the common names as its own.
//
// A transport has two sides. On the side that asks, a Transport makes a Conn for each peer. On
// the side that answers, its server gets a Handler for each connection from Process.Accept, and
// calls it for each request. What is asked and answered are Query, Answer, Change and Changed; a
// transport that does not carry Go values encodes them with EncodeChange, EncodeError and the
// like, as protobuf messages (package pb).
//
// What keeps a cluster's promises travels inside of these: a transport looks at none of it. It
// has four duties of its own. It carries each message whole and unchanged to the peer that it is
// for, or returns an error. It says who asks and who answers (Identity). It tells a peer that
// cannot be reached (PeerError) from an answer. And it ends when the context does. Package
// peertest has a contract test for any transport.
package peer
