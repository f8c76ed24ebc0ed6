package peer

import (
	"fmt"
	"strconv"
)

// ConfigError says what is wrong with the configuration of this process or of a peer, as far as
// this process can see. errors.As finds it in the error of Pool.Ready, and in that of a Remove, Set
// or Clear that fails because of it.
type ConfigError struct {
	Peer    string // the name that it is about: a peer's, or that of this process
	Problem ConfigProblem
	Err     error // what is wrong, and what would be right
}

func (e *ConfigError) Error() string { return fmt.Sprintf("%s: %v", e.Peer, e.Err) }

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.Err }

// ConfigProblem is a kind of wrong configuration. See ConfigError.
type ConfigProblem int

const (
	// WrongProcess: another process than the named one answers at an address. Meanwhile a
	// Remove of this process fails.
	WrongProcess ConfigProblem = iota + 1
	// NotAPeer: what answers at an address is no peer. The pool may not be mounted there,
	// or under another base path, or something on the way answers in its place.
	NotAPeer
	// NotListening: connections to the address of this process itself are refused, and no
	// peer has reached it.
	NotListening
	// DifferentLists: a peer has had another list of peers for some time. Meanwhile a Remove
	// of this process fails.
	DifferentLists
	// MissingGroup: a peer lacks a group that this process has. The group's keys that the
	// peer owns go to the next peer.
	MissingGroup
	// Unauthenticated: a peer does not accept the certificate of this process, or this
	// process not that of what answers at the peer's address.
	Unauthenticated
	// Unauthorized: a peer does not let this process do what it asks for, for some time: this
	// process is not on the peer's list, or its WithAccess says so.
	Unauthorized
)

var configProblems = [...]string{
	WrongProcess: "wrong process", NotAPeer: "not a peer", NotListening: "not listening",
	DifferentLists: "different lists", MissingGroup: "missing group",
	Unauthenticated: "unauthenticated", Unauthorized: "unauthorized",
}

// String returns the kind in lower case, such as "wrong process".
func (k ConfigProblem) String() string {
	if k > 0 && int(k) < len(configProblems) {
		return configProblems[k]
	}
	return "ConfigProblem(" + strconv.Itoa(int(k)) + ")"
}
