package peercache

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// untold stands for the text of an error that somebody asked for who is no peer.
const untold = "the text of the error is for peers of the view"

// errorFor puts the error of a load into the form in which it is told the one who asks: with
// its text, if that is a peer. Those of golang/groupcache do not say who they are.
func (p *HTTPPool) errorFor(from string, g *Group, err error) *pb.Error {
	e := peer.EncodeError(err)
	switch {
	case !p.compat && !p.isPeer(from):
		e.Message = []byte(untold)
	case g.errorText != nil:
		text := g.textOfError(err)
		e.Message = []byte(text[:min(len(text), peer.MaxErrorText)])
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
	reason := string(said.GetReason()[:min(len(said.GetReason()), peer.MaxReason)])
	held := Holder{said.GetPeer(), max(0, min(time.Duration(said.GetLeftNs()), lease.Longest)), quote.Text(reason)}
	if !h.pool.isPeer(held.Peer) {
		held.Reason = fmt.Sprintf("of %s it says %s", quote.Key(held.Peer), held.Reason)
		held.Peer = h.url
	}
	return held
}

// statusText is the status of a response. What is not a number in it is the peer's own text,
// and left out.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}
