// Package web is an origin whose values are the bodies of a web server.
//
// # What is kept, and for how long
//
// Origin is the side of an HTTP cache that faces the server, after RFC 9111. What it finds in the headers of
// an answer becomes the TTL of a value of the group, which is the store. The group is a shared cache, unless
// Config.Private says that it is for one user.
//
//   - max-age, s-maxage, Expires and Age say how long an answer is fresh. The clock of this machine is not
//     compared with that of the server: what counts are Age and what passes here.
//   - An answer with no-store, private or "Vary: *" goes to those who wait for it, and is kept nowhere. An answer with
//     no-cache goes to them as well, and the next load asks whether it has changed.
//   - An answer that does not say how long it is fresh has the TTL of the Config, or of the group.
//   - An answer that varies with a header that was forwarded is not kept in the group. Variants by other headers
//     do not exist, because each request has the same.
//   - Status 404 and 410 are peercache.ErrNotFound. They are remembered if the group remembers that
//     (peercache.WithNegativeTTL), and not for longer than the answer is fresh.
//
// # A load asks the server, always
//
// Answers that have an ETag or a Last-Modified are kept here as well, in bounded memory. A load sends the two
// with its request, and where the answer is 304 Not Modified, without a body, the value is taken from here. No load is
// answered without asking, not even if the answer kept here is fresh. So after a Remove the next value comes from the server.
//
// # Values that have expired
//
// The group serves them, for the same time for all its values (peercache.WithStaleWhileRevalidate,
// peercache.WithStaleIfError), because that obeys Remove. The headers stale-while-revalidate, stale-if-error,
// must-revalidate, proxy-revalidate and s-maxage say how long an answer may be served after it has expired.
// Where that is shorter than the window of the group, the TTL of the value is shorter, by so much that it is never
// served for longer than the server allows. If nothing is left, the value is not kept, and a warning says so. Where the
// headers say nothing, the window of the group holds.
package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// Origin is a web server. It is made by New, and is safe for concurrent use. Close ends its idle connections.
type Origin struct {
	Config
	where  *template
	client *http.Client
	kept   *keptAnswers // nil: none
	header http.Header  // of each request
	host   string       // or empty: that of the URL
	about  string       // scheme and host, for errors

	warned [warnings]atomic.Bool
}

// Factory makes the origin of a node's group: see origin.Factory.
func Factory(_ context.Context, env origin.Env, decode func(section any) error) (peercache.Getter, error) {
	c := Config{Log: env.Log, StaleWhileRevalidate: env.StaleWhileRevalidate, StaleIfError: env.StaleIfError,
		Retries: DefaultRetries, Redirects: DefaultRedirects, RevalidateBytes: DefaultRevalidateBytes}
	return origin.Make(c, decode, func(c Config) (*Origin, error) {
		// In a file zero is said, and means none. In a Config of a Go program it means the default.
		c.Retries, c.Redirects, c.RevalidateBytes = cmp.Or(c.Retries, -1), cmp.Or(c.Redirects, -1), cmp.Or(c.RevalidateBytes, -1)
		return New(c)
	})
}

// New returns an error if c cannot be right. It does not ask the server.
func New(c Config) (*Origin, error) {
	where, err := parseTemplate(c.URL)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	base, err := where.expand("key")
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	c.setDefaults()
	transport, err := c.transport()
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	o := &Origin{Config: c, where: where, header: make(http.Header), about: base.Scheme + "://" + base.Host}
	o.header.Set("User-Agent", "peercache")
	for name, value := range c.Headers {
		if strings.EqualFold(name, "Host") {
			o.host = value
			continue
		}
		o.header.Set(name, value)
	}
	o.Forward = nil
	for _, name := range c.Forward {
		o.Forward = append(o.Forward, http.CanonicalHeaderKey(name))
	}
	if c.RevalidateBytes > 0 {
		if o.kept, err = newKeptAnswers(int64(c.RevalidateBytes)); err != nil {
			return nil, fmt.Errorf("http: revalidate_bytes: %w", err)
		}
	}
	o.client = &http.Client{Transport: transport, CheckRedirect: o.mayFollow}
	return o, nil
}

// Close ends idle connections.
func (o *Origin) Close() error {
	o.client.CloseIdleConnections()
	return nil
}

// errRedirect is found in the error of a redirect that is not followed: it would be the same one again.
var errRedirect = errors.New("redirect not followed")

// mayFollow is http.Client.CheckRedirect.
func (o *Origin) mayFollow(next *http.Request, before []*http.Request) error {
	from := before[0].URL
	next.Header.Del("Referer") // it has the query of the URL before
	switch {
	case len(before) > o.Redirects:
		return fmt.Errorf("%w: more than %d of them (redirects)", errRedirect, o.Redirects)
	case next.URL.Scheme != from.Scheme:
		return fmt.Errorf("%w: from %s to %s", errRedirect, from.Scheme, next.URL.Scheme)
	case sameHost(next.URL, from):
		return nil
	case !slices.ContainsFunc(o.RedirectHosts, func(host string) bool { return strings.EqualFold(host, next.URL.Host) }):
		return fmt.Errorf("%w: to %s, want it in redirect_hosts", errRedirect, next.URL.Host)
	}
	for _, name := range slices.Concat(o.Forward, credentials) {
		next.Header.Del(name)
	}
	for name := range o.Headers {
		next.Header.Del(name)
	}
	return nil
}

func sameHost(a, b *url.URL) bool { return strings.EqualFold(a.Host, b.Host) }

// The warnings that are given once each.
const (
	shortWindow = iota
	variesWithCaller
	warnings
)

// warn says once what keeps values out of the group.
func (o *Origin) warn(which int, text string, args ...any) {
	if !o.warned[which].Swap(true) {
		o.Log.Warn(text, append([]any{"origin", o.about}, args...)...)
	}
}
