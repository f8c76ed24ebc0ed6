package peercache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/peercache/peercache/pb"
)

// errorKinds pairs the errors that keep their identity on the way from one peer
// to another with their names on the wire (P6).
var errorKinds = []struct {
	err  error
	kind pb.Error_Kind
}{
	{ErrNotFound, pb.Error_KIND_NOT_FOUND},
	{ErrValueSize, pb.Error_KIND_VALUE_SIZE},
	{ErrKeySize, pb.Error_KIND_INVALID},
	{context.DeadlineExceeded, pb.Error_KIND_TIMEOUT},
	{context.Canceled, pb.Error_KIND_CANCELED},
	{errNotCached, pb.Error_KIND_NOT_CACHED},
}

// refusals are the errors of a peer that has not answered: another may. They are
// apart, so that a getter's error, which may come from a pool of its own, never
// reads as one.
var refusals = map[pb.Error_Kind]error{
	pb.Error_KIND_UNKNOWN_GROUP: errUnknownGroup,
	pb.Error_KIND_SHUTTING_DOWN: ErrClosed,
}

// errUnknownGroup says that a peer has no group of the name that was asked for.
var errUnknownGroup = errors.New("no such group")

// mostErrorText bounds the text of an error on the wire, in bytes. It must leave
// room within mostOverhead: an error that does not fit would be no answer (P6).
const mostErrorText = 16 << 10

// encodeError puts the error of a load into the form it has on the wire.
func encodeError(err error) *pb.Error {
	// Not err.Error(): that of a nil pointer may panic, and fmt knows.
	text := fmt.Sprint(err)
	e := &pb.Error{Message: []byte(text[:min(len(text), mostErrorText)])}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// untold stands for the text of an error that somebody asked for who is no peer.
const untold = "the text of the error is for peers of the view"

// errorFor puts the error of a load into the form in which it is told the one who asks: with
// its text, if that is a peer. Those of golang/groupcache do not say who they are.
func (p *HTTPPool) errorFor(from string, g *Group, err error) *pb.Error {
	e := encodeError(err)
	switch {
	case !p.compat && !p.isPeer(from):
		e.Message = []byte(untold)
	case g.errorText != nil:
		text := g.textOfError(err)
		e.Message = []byte(text[:min(len(text), mostErrorText)])
	}
	return e
}

// textOfError returns what peers are told of err. A function of the user's that panics tells
// them nothing.
func (g *Group) textOfError(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "the function of WithErrorText panicked"
		}
	}()
	return g.errorText(err)
}

// isPeer reports whether a process of that name is in the view, or has just left it.
func (p *HTTPPool) isPeer(name string) bool {
	if name == "" {
		return false
	}
	peer, _ := p.peer(name)
	return peer != nil || p.view.Load().lacks(name)
}

// holder returns what a peer says of one that it could not tell of a change. It may say
// anything: one that is no peer here counts as that peer itself, and no lease is longer than
// the longest.
func (h *httpPeer) holder(said *pb.Holder) Holder {
	reason := string(said.GetReason()[:min(len(said.GetReason()), mostReason)])
	held := Holder{said.GetPeer(), max(0, min(time.Duration(said.GetLeftNs()), longestLease)), quoteText(reason)}
	if !h.pool.isPeer(held.Peer) {
		held.Reason = fmt.Sprintf("of %s it says %s", quote(held.Peer), held.Reason)
		held.Peer = h.url
	}
	return held
}

// mostReason bounds why a holder could not be told, in bytes.
const mostReason = 512

// encodeRefusal says that the request is not answered.
func encodeRefusal(kind pb.Error_Kind, text string) *pb.Error {
	return &pb.Error{Kind: kind, Message: []byte(text)}
}

// unknownGroup is the refusal of a request of the process from for a group that is not here. Its
// text is the name as it is: who gets it quotes it.
func (p *HTTPPool) unknownGroup(from, name string) *pb.Error {
	p.askedForMissing(from, name)
	return encodeRefusal(pb.Error_KIND_UNKNOWN_GROUP, name[:min(len(name), longestGroupName)])
}

// statusText is the status of a response. What is not a number in it is the peer's own text,
// and left out.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// decodeError returns the error that a peer sent.
func decodeError(peer string, e *pb.Error) error {
	text := string(e.GetMessage()[:min(len(e.GetMessage()), mostErrorText)])
	if refusal := refusals[e.GetKind()]; refusal != nil {
		return &PeerError{Peer: peer, Err: fmt.Errorf("%w: %s", refusal, quoteText(text))}
	}
	remote := &RemoteError{Peer: peer, Message: text}
	for _, k := range errorKinds {
		if e.GetKind() == k.kind {
			remote.kind = k.err
		}
	}
	return remote
}
