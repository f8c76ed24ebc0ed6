package httppeer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// What opens a peer's breaker, and closes it. On a stream that is the link's: an attempt
// that failed, silence, a broken protocol. By the plain way it is what follows. A getter's
// error never is, nor a slow origin, nor what may be due to the one key that was asked for.

var (
	// errLost says that a request by the plain way has had no response, or not the whole.
	errLost = errors.New("no response")
)

// lost is why there was no response to a request with that context.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // it was not waited for any longer, which says nothing of the peer
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// plainly reports whether the peer is spoken to by the plain way for all there is. Else
// its link is the one to judge it.
func (c *conn) plainly() bool { return c.link == nil || c.link.plain() }

// checkAnswerer returns an error if a response is not one of this peer. The request was sent
// at the instant asked.
func (c *conn) checkAnswerer(resp *http.Response, asked clock.Instant) error {
	switch who := identityOf(resp.Header); {
	case who.Name != "":
		return c.local.Answered(who, asked)
	case c.t.cfg.Groupcache: // golang/groupcache does not say who it is
		return nil
	}
	err := foreign(resp)
	if !fromGateway(resp.StatusCode) { // that may pass by itself
		c.reportProblem(peer.NotAPeer, err)
	}
	return err
}

// noResponse is why a request had no response. Some reasons are wrong configurations.
func (c *conn) noResponse(ctx context.Context, err error) error {
	err = connectionError(ctx, err)
	if errors.Is(err, peer.ErrNotAPeer) {
		c.reportProblem(peer.NotAPeer, err)
	}
	return err
}

// connectionError is why a request had no response: an errForeign, if what is at the address
// does not speak as it should, else an errLost.
func connectionError(ctx context.Context, err error) error {
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	want := ""
	switch {
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		want = "it does not speak TLS: want http:// in its base URL, or a server with a certificate"
	case badCertificate:
		want = "want a WithTransport that trusts its certificate"
	case notHTTP1(err):
		want = "it does not speak HTTP/1.1: want a server that does, or a WithTransport that speaks what it does"
	default:
		return lost(ctx, err)
	}
	return fmt.Errorf("%w: %w: %s", peer.ErrNotAPeer, err, want)
}

// notHTTP1 reports whether a request failed because the peer speaks HTTP/2 alone, or nothing
// like HTTP. The errors of net/http for that have no type.
func notHTTP1(err error) bool { return strings.Contains(err.Error(), "malformed HTTP response") }

// reportProblem tells what is wrong with the configuration of the peer, unless the conn is closed.
func (c *conn) reportProblem(kind peer.ConfigProblem, err error) {
	if c.inUse.Err() == nil {
		c.local.Misconfigured(kind, err)
	}
}

// mostStatusText is how much of the text of a response that is not the protocol's an error
// shows, in bytes.
const mostStatusText = 200

// foreign returns the error of a response that does not come from a peer. It reads the
// beginning of the body.
func foreign(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, mostStatusText))
	text := string(body)
	want := "want the pool of a peer there, served under the same base path as here"
	switch s := resp.StatusCode; {
	case strings.Contains(text, "HTTP request to an HTTPS server"):
		want = "want https:// in its base URL"
	case s/100 == 3:
		want = fmt.Sprintf("it redirects to %s: want a base URL that is not redirected", quote.Key(resp.Header.Get("Location")))
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		want = "something asks for credentials in its place: want the peers' requests let through"
	case s == http.StatusTooManyRequests:
		want = "something limits the rate of requests in its place: want the peers' requests let through"
	case fromGateway(s):
		return fmt.Errorf("%w: %w in its place: %w", peer.ErrNotAPeer, peer.ErrGateway, statusError(resp, text))
	}
	return fmt.Errorf("%w: %w: %s", peer.ErrNotAPeer, statusError(resp, text), want)
}

// statusError is the error of a response by its status and its text.
func statusError(resp *http.Response, text string) error {
	err := errors.New("HTTP status " + statusText(resp))
	if text = strings.TrimSpace(text); text != "" {
		err = fmt.Errorf("%w: %.*q", err, mostStatusText, text)
	}
	return err
}

// judge draws the conclusions from an answer by the plain way, or from the want of one.
func (c *conn) judge(err error) {
	switch {
	case !peer.Unreachable(err):
		c.breaker.Answered()
	case errors.Is(err, peer.ErrNotAPeer), errors.Is(err, peer.ErrWrongPeer), errors.Is(err, peer.ErrClosed):
		c.failedPlainly(err)
	case errors.Is(err, errLost) && c.plainly():
		c.tryPlainly() // a connection may break, or be ended because a load took long
	}
}

// failedPlainly opens the breaker.
func (c *conn) failedPlainly(err error) {
	if c.plainly() {
		c.breaker.Trip(err)
	}
}

// tryAgain is the breaker's attempt to reach a peer that failed.
func (c *conn) tryAgain() {
	if c.plainly() {
		c.tryPlainly()
	} else {
		c.link.try()
	}
}

// tryPlainly asks for a sign of life in the background, and opens or closes the breaker by
// what comes of it.
func (c *conn) tryPlainly() {
	if !c.trying.CompareAndSwap(false, true) {
		return
	}
	go func() {
		err := c.signOfLife(c.inUse)
		c.trying.Store(false)
		switch {
		case c.inUse.Err() != nil:
		case err != nil:
			c.breaker.Trip(err)
		default:
			c.breaker.Reset()
		}
	}()
}

// statusText is the status of a response. What is not a number in it is the peer's own text,
// and left out.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// fromGateway reports whether a status says that what is on the way to the peer has not
// reached it, or that it has no time.
func fromGateway(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}
