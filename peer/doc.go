// Package peer defines what the processes of a cluster say to each other, and the transport that
// carries it. It is for those who write a transport, for example over gRPC. Users of a cache need
// only package peercache, which has the common names as its own.
//
// # The two sides
//
// On the side that asks, a pool (peercache.NewPool) calls Transport.Dial once for each peer in its
// view, and gets a Conn. It calls the methods of the Conn for each question: Get for a key, Change
// for a removal, an update or the state of the view, Ping for who is there.
//
// On the side that answers, the transport's server calls Process.Accept, which returns a Handler
// for one connection or one request. peercache.Pool is the Process. For a Get the server calls
// Handler.Hit, and if the error is ErrNotCached, Handler.Load. For a Change it calls
// Handler.Change.
//
// A Conn may also be a Starter, which asks for many keys in one message and without a goroutine for
// each. That is for speed alone.
//
// # The messages
//
// Query and Answer, Change and Changed are the messages. A transport between machines encodes them.
// For a Change there are EncodeChange, DecodeChange, EncodeChanged and DecodeChanged, which use the
// protobuf messages ChangeRequest and ChangeResponse of package pb. For a Query and an Answer, use
// GetRequest and GetResponse of package pb. The error of a Handler goes as EncodeError encodes it.
// DecodeError makes the error of it that Conn.Get or Conn.Change returns. All fields travel, except
// those whose comments say that they are not sent.
//
// # The duties of a transport
//
// What keeps the promises of a cluster travels inside the messages, and a transport need not
// understand it. It has these duties:
//
//   - It carries each message whole and unchanged to the peer it is for, or returns an error.
//   - It sends the Identity of the process that asks (Local.Identity) and the name of the peer that it
//     asks. The server gives both to Process.Accept, and refuses the request if that returns an error.
//   - It sends back the Identity of the process that answers (Process.Identity). The Conn gives that
//     to Local.Answered before the answer counts. If that returns an error, the Conn drops the answer
//     and returns the error in a PeerError.
//   - It returns a PeerError if it cannot reach the peer, or gets no answer. Only then does the cache
//     ask another peer. Every other error counts as the peer's answer.
//   - It returns when the context ends, and cancels the context of the Handler when the peer that asked
//     does not wait any more.
//
// A transport should also detect that a peer hangs while a request waits for it, and return a
// PeerError that wraps ErrSilent. Otherwise a Get waits for the whole load timeout.
package peer
