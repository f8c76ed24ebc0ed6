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

// This file decides what opens and closes the breaker of a peer that is asked by the plain way. On
// a stream the link decides: it opens the breaker after an attempt that failed, silence, or a
// broken protocol. The error of a getter never opens it, nor does a slow origin, nor what may be
// due to the one key that was asked for.

// errLost says that a plain request has had no response, or only a part of one.
var errLost = errors.New("no response")

// lost returns err as an errLost, unless ctx, that of the request, has ended.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // the caller stopped waiting, which says nothing about the peer
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// plainly reports whether the peer is asked by the plain way alone. Otherwise its link decides
// about the breaker.
func (c *conn) plainly() bool { return c.link == nil || c.link.plain() }

// checkAnswerer returns an error if the response does not come from this peer. asked is when the
// request was sent.
func (c *conn) checkAnswerer(resp *http.Response, asked clock.Instant) error {
	switch who := identityOf(resp.Header); {
	case who.Name != "" && refusesSender(resp):
		err := unauthenticated(resp)
		c.reportProblem(peer.Unauthenticated, err)
		return err
	case who.Name != "":
		return c.local.Answered(who, asked)
	case c.t.cfg.Groupcache: // golang/groupcache does not say who it is
		return nil
	}
	err := foreign(resp)
	if !fromGateway(resp.StatusCode) { // a gateway's error may pass by itself
		c.reportProblem(peer.NotAPeer, err)
	}
	return err
}

// refusesSender reports whether a peer does not accept who this process is. A response that is one
// of the protocol's messages is an answer, also with the status 403 (peer.ErrUnauthorized).
func refusesSender(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusForbidden:
		return resp.Header.Get("Content-Type") != contentType
	case http.StatusUnauthorized:
		return true
	}
	return false
}

// noResponse returns why a request had no response, and reports reasons that are a wrong
// configuration.
func (c *conn) noResponse(ctx context.Context, err error) error {
	err = connectionError(ctx, err)
	switch {
	case errors.Is(err, peer.ErrUnauthenticated):
		c.reportProblem(peer.Unauthenticated, err)
	case errors.Is(err, peer.ErrNotAPeer):
		c.reportProblem(peer.NotAPeer, err)
	}
	return err
}

// unauthenticated returns the error for a response by which a peer refuses this process. It reads
// the beginning of the body, which says why.
func unauthenticated(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, mostStatusText))
	return fmt.Errorf("%w: the peer refuses this process: %w", peer.ErrUnauthenticated, statusError(resp, string(text)))
}

// connectionError returns why a request had no response: an ErrUnauthenticated if one side does not
// accept the other's certificate, an ErrNotAPeer if something at the address does not speak as it
// should, otherwise an errLost.
func connectionError(ctx context.Context, err error) error {
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	want := ""
	switch {
	case badCertificate:
		return fmt.Errorf("%w: the certificate of what answers there is not accepted: want the CA of the peers in WithTLS, or in the transport of WithTransport, and the host of its base URL in the certificate: %w", peer.ErrUnauthenticated, err)
	case refusedCertificate(err):
		return fmt.Errorf("%w: the peer does not accept the certificate of this process: want one that is signed by a CA of the peer's, and for clients too: %w", peer.ErrUnauthenticated, err)
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		want = "it does not speak TLS: want a server that does, as with WithTLS and its ServeTLS, or http:// in the base URL"
	case notHTTP1(err):
		want = "it does not speak HTTP/1.1: want a server that does, or a WithTransport that speaks what it does"
	default:
		return lost(ctx, err)
	}
	return fmt.Errorf("%w: %w: %s", peer.ErrNotAPeer, err, want)
}

// refusedCertificate reports whether the other side of a connection has refused the certificate of
// this one. The errors of crypto/tls for that have no type.
func refusedCertificate(err error) bool {
	text := err.Error()
	return strings.Contains(text, "remote error: tls: ") && (strings.Contains(text, "certificate") || strings.Contains(text, "unknown ca"))
}

// notHTTP1 reports whether a request failed because the peer speaks only HTTP/2, or no HTTP at all.
// The errors of net/http for that have no type.
func notHTTP1(err error) bool { return strings.Contains(err.Error(), "malformed HTTP response") }

// reportProblem reports what is wrong with the configuration of the peer, unless the conn is
// closed.
func (c *conn) reportProblem(kind peer.ConfigProblem, err error) {
	if c.inUse.Err() == nil {
		c.local.Misconfigured(kind, err)
	}
}

// mostStatusText is how many bytes of the text of a foreign response an error shows.
const mostStatusText = 200

// foreign returns the error for a response that does not come from a peer. It reads the beginning
// of the body.
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

// statusError returns an error with the status and the text of a response.
func statusError(resp *http.Response, text string) error {
	err := errors.New("HTTP status " + statusText(resp))
	if text = strings.TrimSpace(text); text != "" {
		err = fmt.Errorf("%w: %.*q", err, mostStatusText, text)
	}
	return err
}

// judge updates the breaker after a plain request that ended with err, or with an answer if err is
// not a *PeerError.
func (c *conn) judge(err error) {
	switch {
	case !peer.Unreachable(err):
		c.breaker.Answered()
	case errors.Is(err, peer.ErrNotAPeer), errors.Is(err, peer.ErrWrongPeer), errors.Is(err, peer.ErrUnauthenticated), errors.Is(err, peer.ErrClosed):
		c.failedPlainly(err)
	case errors.Is(err, errLost) && c.plainly():
		c.tryPlainly() // a connection may break, or a server may end it because a load took long
	}
}

// failedPlainly opens the breaker, unless the link decides about it.
func (c *conn) failedPlainly(err error) {
	if c.plainly() {
		c.breaker.Trip(err)
	}
}

// tryAgain starts an attempt to reach a peer that has failed. The breaker calls it.
func (c *conn) tryAgain() {
	if c.plainly() {
		c.tryPlainly()
	} else {
		c.link.tryNow()
	}
}

// tryPlainly asks for a sign of life in the background. It closes the breaker if one comes, and
// opens it if not.
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

// statusText returns the status of a response with net/http's text for it, not the peer's own.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// fromGateway reports whether status says that a gateway did not reach the peer, or that it or the
// peer is not available now.
func fromGateway(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}
