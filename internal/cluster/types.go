package cluster

import "github.com/peercache/peercache/peer"

type (
	Peer          = peer.Peer
	Query         = peer.Query
	Answer        = peer.Answer
	Change        = peer.Change
	Holder        = peer.Holder
	PeerError     = peer.PeerError
	ConfigError   = peer.ConfigError
	ConfigProblem = peer.ConfigProblem
)

const (
	WrongProcess   = peer.WrongProcess
	NotAPeer       = peer.NotAPeer
	NotListening   = peer.NotListening
	DifferentLists = peer.DifferentLists
	MissingGroup   = peer.MissingGroup
)

var ErrClosed = peer.ErrClosed
