// Package peertest is for those who write a transport between peers, and for those who test a
// cluster in one process.
//
// TestTransport is the contract of a peer.Transport and its server: a transport that passes keeps
// the promises of package peercache. Network is a transport in memory, with faults that are the
// same for the same seed. It passes the contract, and is the shortest example of a transport.
package peertest
