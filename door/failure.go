package door

import (
	"context"
	"errors"

	"github.com/peercache/peercache"
)

// Failure is what the error of a Cache means to a client. Each front door says it in the terms of its
// protocol.
type Failure uint8

// The kinds of failures.
const (
	Origin      Failure = iota // the getter failed: the origin is down, or answers with an error
	NotFound                   // the origin has no such key
	KeySize                    // the key is empty, or longer than the group allows
	ValueSize                  // the value is larger than the group allows
	Incomplete                 // a change is made, and not everybody has heard of it: *peercache.InvalidationError
	Lapsed                     // a change of a process that may have been replaced
	Closed                     // the process is shutting down
	Timeout                    // no answer came in time
	Canceled                   // somebody else gave the load up
	Unreachable                // the peer that has the key
)

// texts are what clients are told. None has anything of the origin's own words, which may name hosts,
// users and databases.
var texts = [...]string{
	Origin:      "the origin failed",
	NotFound:    "the origin has no such key",
	KeySize:     "the key is empty, or longer than the group allows",
	ValueSize:   "the value is larger than the group allows",
	Incomplete:  "the change is made, but not everybody has heard of it: the peers in pending may still serve the old values. The request may be repeated.",
	Lapsed:      "this process may have been replaced: peers that it does not know may still serve the old values. The request may be repeated.",
	Closed:      "this process is shutting down",
	Timeout:     "there was no answer in time",
	Canceled:    "the request was given up",
	Unreachable: "the peer that has the key could not be reached",
}

// FailureOf returns what an error means.
func FailureOf(err error) Failure {
	if _, ok := errors.AsType[*peercache.InvalidationError](err); ok {
		return Incomplete
	}
	switch {
	case errors.Is(err, peercache.ErrNotFound):
		return NotFound
	case errors.Is(err, peercache.ErrKeySize):
		return KeySize
	case errors.Is(err, peercache.ErrValueSize):
		return ValueSize
	case errors.Is(err, peercache.ErrLapsed):
		return Lapsed
	case errors.Is(err, peercache.ErrClosed):
		return Closed
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	if _, ok := errors.AsType[*peercache.PeerError](err); ok {
		return Unreachable
	}
	return Origin
}

// String returns what a client is told of the failure.
func (f Failure) String() string { return texts[f] }
