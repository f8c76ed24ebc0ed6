package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/origin"
)

// Get implements peercache.Getter.
func (o *Origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	u, err := o.where.expand(key)
	if err != nil {
		return peercache.Item{}, fmt.Errorf("http: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for try := 0; ; try++ {
		item, err := o.try(ctx, u, key)
		if err == nil {
			return item, nil
		}
		again, ok := errors.AsType[*againError](err)
		if !ok || try >= o.Retries || ctx.Err() != nil || !pause(ctx, again.wait(o.RetryWait, try)) {
			return peercache.Item{}, fmt.Errorf("http: %s of %s: %w%s", quote.Key(key), o.about, err, tries(try+1))
		}
	}
}

func tries(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" (%d tries)", n)
}

// againError is an error that another try may not have.
type againError struct {
	error
	after time.Duration // what the server has as Retry-After, or less than zero
}

func (e *againError) Unwrap() error { return e.error }

// wait returns how long to wait before the next try. The tries of all processes are spread by chance.
func (e *againError) wait(first time.Duration, try int) time.Duration {
	most := min(first<<min(try, 16), mostRetryWait)
	if first > mostRetryWait {
		most = first
	}
	d := time.Duration(rand.Float64() * float64(most))
	if e.after >= 0 {
		return e.after + d/8
	}
	return d
}

// pause waits, and reports whether there is time left. It does not wait if there will be none.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// request returns that for a URL, and reports whether it has the caller's own credentials.
func (o *Origin) request(ctx context.Context, u *url.URL) (req *http.Request, secret bool) {
	header := o.header.Clone()
	if given := origin.Headers(ctx); given != nil {
		for _, name := range o.Forward {
			if values := given[name]; len(values) > 0 {
				header[name] = slices.Clone(values)
				secret = secret || slices.Contains(credentials, name)
			}
		}
	}
	req = &http.Request{Method: http.MethodGet, URL: u, Host: o.host, Header: header}
	return req.WithContext(ctx), secret
}

// try asks the server once, or twice if its answer to the first request is about something else.
func (o *Origin) try(ctx context.Context, u *url.URL, key string) (peercache.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, o.TryTimeout)
	defer cancel()
	req, secret := o.request(ctx, u)
	a := o.kept.get(key, req.Header)
	if a != nil {
		plain := req.Header.Clone()
		a.ask(req.Header)
		item, err := o.ask(req, key, a, secret)
		if !errors.Is(err, errOther) {
			return item, err
		}
		o.kept.put(key, nil)
		req.Header = plain
	}
	return o.ask(req, key, nil, secret)
}

// errOther says that a 304 is not about the answer that was asked about.
var errOther = errors.New("304 Not Modified for another answer than that which was asked about")

// ask sends a request, with the validators of a if a is not nil.
func (o *Origin) ask(req *http.Request, key string, a *keptAnswer, secret bool) (peercache.Item, error) {
	sent := time.Now()
	resp, err := o.client.Do(req)
	if err != nil {
		return peercache.Item{}, failed(err)
	}
	defer resp.Body.Close()
	came := time.Now()
	from := resp.Request.URL.String()
	switch status := resp.StatusCode; {
	case status == http.StatusNotModified:
		if a == nil || !a.confirmedBy(resp.Header, from) {
			return peercache.Item{}, errOther
		}
		a = a.updated(resp.Header)
	case status == http.StatusOK, status == http.StatusNonAuthoritativeInfo, status == http.StatusNoContent:
		body, err := o.read(resp)
		if err != nil {
			return peercache.Item{}, err
		}
		if a = newKeptAnswer(req, resp.Header, from, body); a == nil {
			a = &keptAnswer{body: body, header: resp.Header}
		}
	case status == http.StatusNotFound, status == http.StatusGone:
		a = &keptAnswer{header: resp.Header}
		drain(resp.Body)
		o.kept.put(key, nil)
		return peercache.Item{}, &missingError{resp.Status, o.judge(o.response(a, sent, came, secret)).missing}
	default:
		return peercache.Item{}, refused(resp, came)
	}
	r := o.response(a, sent, came, secret)
	v := o.judge(r)
	o.tell(r, v)
	if v.store && a.url != "" {
		o.kept.put(key, a)
	} else {
		o.kept.put(key, nil)
	}
	return peercache.Item{Value: a.body, TTL: v.ttl}, nil
}

// response returns what judge needs of an answer. All the time since the request was sent counts as its age, because
// nobody knows when in between it was made (4.2.3).
func (o *Origin) response(a *keptAnswer, sent, came time.Time, secret bool) response {
	r := response{header: a.header, age: ageOf(a.header) + time.Since(sent), now: came, secret: secret}
	r.varies = slices.ContainsFunc(listed(a.header["Vary"]), func(name string) bool { return slices.Contains(o.Forward, name) })
	return r
}

func (o *Origin) tell(r response, v verdict) {
	if v.shortage {
		o.warn(shortWindow, "values are not kept, because the server does not allow that they are served when they have expired, and the group does so for longer than they are fresh: want shorter stale windows of the group, or ignore_cache_control",
			"cache-control", r.header.Get("Cache-Control"), "stale_while_revalidate", o.StaleWhileRevalidate, "stale_if_error", o.StaleIfError)
	}
	if r.varies {
		o.warn(variesWithCaller, "values are not kept, because they depend on a header of the caller: want what is in it in the key",
			"vary", r.header.Get("Vary"))
	}
}

// read returns the body of an answer.
func (o *Origin) read(resp *http.Response) ([]byte, error) {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, fmt.Errorf("the body has the coding %s, which was not asked for", quote.Key(coding))
	}
	limit := int64(o.MaxBytes)
	if resp.ContentLength > limit {
		return nil, o.tooLarge()
	}
	var b bytes.Buffer
	if resp.ContentLength > 0 {
		b.Grow(int(min(resp.ContentLength, 1<<20)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, &againError{fmt.Errorf("the body is incomplete: %w", err), -1}
	}
	if int64(b.Len()) > limit {
		return nil, o.tooLarge()
	}
	return b.Bytes(), nil
}

func (o *Origin) tooLarge() error {
	return fmt.Errorf("the body has more than %v (max_bytes): %w", o.MaxBytes, peercache.ErrValueSize)
}

// drain reads what is left of a short body, so that its connection may be used again.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 64<<10) }

// failed returns the error of a request that got no answer, without the URL: it may have a secret.
func failed(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	if untrusted || errors.Is(err, errRedirect) || errors.Is(err, context.Canceled) {
		return err
	}
	return &againError{err, -1}
}

// refused returns the error of an answer that has no value.
func refused(resp *http.Response, now time.Time) error {
	drain(resp.Body)
	err := fmt.Errorf("the server answered %s", quote.Key(resp.Status))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &againError{err, retryAfter(resp.Header, now)}
	}
	return err
}

// retryAfter returns how long the server wants to be left alone, or less than zero if it does not say so. A date is
// compared with the server's own.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if d, ok := parseSeconds(text); ok {
		return d
	}
	end, err := http.ParseTime(text)
	if err != nil {
		return -1
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(end.Sub(now), 0)
}

// missingError says that the server has no such key.
type missingError struct {
	status string
	ttl    time.Duration
}

func (e *missingError) Error() string { return "the server answered " + quote.Key(e.status) }
func (e *missingError) Unwrap() error { return peercache.ErrNotFound }

// NegativeTTL returns how long a group may remember that there is no such key: zero means as long as it does by
// itself, less than zero that it must not.
func (e *missingError) NegativeTTL() time.Duration { return e.ttl }
