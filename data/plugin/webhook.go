package plugin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/data"
)

// webhook posts events. Its queue is the buffer of its subscription: while one event is tried again, others wait there.
type webhook struct {
	url     string
	client  *http.Client
	retries int
	backoff time.Duration
}

func newWebhook() Plugin { return &webhook{} }

func (*webhook) Name() string { return "webhook" }

func (*webhook) Describe() string {
	return "Posts each event as JSON. Settings: url, timeout (5s) of an attempt, retries (3) if there is no answer, or one of 429 or from 500 on, " +
		"backoff (100ms) before the first of them, and twice as long before each further one."
}

func (p *webhook) Init(h *Host) error {
	p.url = h.Setting("url", "")
	to, err := url.Parse(p.url)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return fmt.Errorf("the setting url: want http:// or https:// and a host, not %q", p.url)
	}
	timeout, err := h.Duration("timeout", 5*time.Second, time.Millisecond)
	if err != nil {
		return err
	}
	if p.backoff, err = h.Duration("backoff", 100*time.Millisecond, time.Millisecond); err != nil {
		return err
	}
	if p.retries, err = h.Int("retries", 3, 0); err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	h.OnClose(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: stayThere}
	return nil
}

// mostRedirects is how many redirects are followed.
const mostRedirects = 3

var errRedirect = errors.New("the answer is a redirect to elsewhere, or to ask for something else, or there are too many")

// stayThere follows redirects of the event to where the first request went, and no others: what keys there are is nobody else's business.
func stayThere(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	if req.URL.Scheme != from.Scheme || req.URL.Host != from.Host || req.Method != http.MethodPost || len(via) > mostRedirects {
		return errRedirect
	}
	return nil
}

// hookEvent is an event as it is posted. A key that is no text is in base64.
type hookEvent struct {
	Kind      string `json:"kind"`
	Event     string `json:"event"`
	Key       string `json:"key,omitempty"`
	KeyBase64 string `json:"key_base64,omitempty"`
}

func (p *webhook) Handle(ctx context.Context, ev data.Event) error {
	posted := hookEvent{Kind: ev.Kind.String(), Event: ev.Name, Key: ev.Key}
	if !utf8.ValidString(ev.Key) {
		posted.Key, posted.KeyBase64 = "", base64.StdEncoding.EncodeToString([]byte(ev.Key))
	}
	body, err := json.Marshal(posted)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		again, err := p.post(ctx, body)
		if err == nil || !again || attempt == p.retries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(p.backoff << min(attempt, 16)):
		}
	}
}

// mostAnswer is how much of an answer is read, so that the connection can be used again.
const mostAnswer = 64 << 10

// post posts an event, and reports whether it may help to try it again.
func (p *webhook) post(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(req)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may have a secret
		}
		return ctx.Err() == nil && !errors.Is(err, errRedirect), err
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, mostAnswer) // an answer that is cut, or longer, is as good
	if code := answer.StatusCode; code < 200 || code > 299 {
		return code == http.StatusTooManyRequests || code >= 500, fmt.Errorf("the answer is %s", answer.Status)
	}
	return false, nil
}
