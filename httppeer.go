package peercache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/stream"
)

// httpPeer is a peer that is spoken to on a stream, where it knows that, and by
// the plain protocol for the rest.
type httpPeer struct {
	pool *HTTPPool
	url  string
	link *link // nil: the plain way alone
}

func newHTTPPeer(p *HTTPPool, url string) *httpPeer {
	h := &httpPeer{pool: p, url: url}
	if p.streams {
		h.link = &link{pool: p, url: url}
	}
	return h
}

// part ends the link when what is in flight on it is answered, or ctx has ended.
func (h *httpPeer) part(ctx context.Context) {
	if h.link != nil {
		h.link.close(ctx)
	}
}

// mostOverhead is what a response may have beyond its value: error text, fields
// of later versions.
const mostOverhead = 64 << 10

func (h *httpPeer) Name() string { return h.url }

// Get implements Peer.
func (h *httpPeer) Get(ctx context.Context, group, key string) (item Item, err error) {
	if h.pool.closed.Load() { // it is alone now
		return Item{}, &PeerError{Peer: h.url, Err: ErrClosed}
	}
	var answer error
	plain, err := h.onLink(ctx, func(l *stream.Link) (plain bool, err error) {
		a, err := l.Get(ctx, group, key)
		if err == nil && !a.Plain {
			_, maxValue := h.limits(group)
			item, answer = h.item(a, maxValue)
		}
		return a.Plain, err
	})
	switch {
	case err != nil:
		return Item{}, err
	case plain:
		return h.getPlain(ctx, group, key)
	}
	return item, answer
}

// onLink asks on the link, and once more on another one if the first turns out to
// be broken. Its error is ctx's or, when there was no answer, a *PeerError. It
// reports whether to ask by the plain way, as ask may.
func (h *httpPeer) onLink(ctx context.Context, ask func(*stream.Link) (plain bool, err error)) (plain bool, err error) {
	if h.link == nil {
		return true, nil
	}
	for try := 0; ; try++ {
		l, err := h.link.get(ctx)
		unlinked := err != nil
		if !unlinked {
			plain, err = ask(l)
		}
		switch {
		case err == nil:
			return plain, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, errNoStream), errors.Is(err, stream.ErrTooLarge), errors.Is(err, stream.ErrInvalid):
			return true, nil
		case unlinked, try > 0:
			return false, &PeerError{Peer: h.url, Err: err}
		}
	}
}

// connect implements linkedPeer.
func (h *httpPeer) connect(ctx context.Context) {
	if h.link != nil && !h.pool.closed.Load() {
		h.link.get(ctx)
	}
}

// start implements linkedPeer.
func (h *httpPeer) start(r *request) (n int, s sent) {
	if h.link == nil || h.pool.closed.Load() {
		return 0, s
	}
	l := h.link.ready()
	if l == nil {
		return 0, s
	}
	r.peer = h
	_, r.maxValue = h.limits(r.group)
	if len(r.keys) == 1 {
		id, err := l.Ask(r, r.group, r.keys[0])
		if err != nil {
			return 0, s
		}
		return 1, sent{l, id}
	}
	for n < len(r.keys) {
		_, asked, err := l.AskBatch(r, n, r.group, r.keys[n:])
		if err != nil {
			break
		}
		n += asked
	}
	return n, s
}

// sent is a request for one key that was sent on a link.
type sent struct {
	link *stream.Link
	id   stream.ID
}

// cancel withdraws the request. It reports whether there was no answer so far, and
// then there will be none.
func (s sent) cancel() bool { return s.link.Cancel(s.id) }

// Answer implements stream.Waiter.
func (r *request) Answer(i int, a stream.Answer, err error) {
	switch {
	case err != nil:
		r.waiter.answer(i, Item{}, &PeerError{Peer: r.peer.url, Err: err})
	case a.Plain:
		go func() {
			item, err := r.peer.getPlain(context.Background(), r.group, r.keys[i])
			r.waiter.answer(i, item, err)
		}()
	default:
		item, err := r.peer.item(a, r.maxValue)
		r.waiter.answer(i, item, err)
	}
}

// item returns the value in an answer, or the error.
func (h *httpPeer) item(a stream.Answer, maxValue int) (Item, error) {
	if a.Err != nil {
		return Item{}, errorOfStream(h.url, a.Err)
	}
	if len(a.Value) > maxValue {
		return Item{}, h.tooLarge(len(a.Value), maxValue)
	}
	return Item{Value: ByteView{a.Value}.bytes(), TTL: a.TTL}, nil
}

func (h *httpPeer) tooLarge(size, most int) error {
	return fmt.Errorf("%w: peer %s answered %d bytes, want at most %d", ErrValueSize, h.url, size, most)
}

// getPlain asks for one key by a request of its own.
func (h *httpPeer) getPlain(ctx context.Context, group, key string) (Item, error) {
	timeout, maxValue := h.limits(group)
	var resp pb.GetResponse
	err := errRedirected
	if h.pathCarries(group, key) {
		path := escapeSegment(group) + "/" + escapeSegment(key)
		err = h.call(ctx, timeout, http.MethodGet, path, nil, maxValue, &resp)
	}
	if errors.Is(err, errRedirected) {
		var body []byte
		if body, err = proto.Marshal(&pb.GetRequest{Group: group, Key: []byte(key)}); err != nil {
			return Item{}, err
		}
		err = h.call(ctx, timeout, http.MethodPost, getPath, body, maxValue, &resp)
	}
	if err != nil {
		return Item{}, err
	}
	if e := resp.GetError(); e != nil {
		return Item{}, decodeError(h.url, e)
	}
	if len(resp.GetValue()) > maxValue {
		return Item{}, h.tooLarge(len(resp.GetValue()), maxValue)
	}
	return Item{Value: resp.GetValue(), TTL: time.Duration(resp.GetTtlNs())}, nil
}

// errRedirected says that a mux on the way takes the path of a request for
// another one. The key has to go in the body then.
var errRedirected = errors.New("redirected")

// Remove implements Peer.
func (h *httpPeer) Remove(ctx context.Context, group string, keys []string) error {
	var answer error
	plain, err := h.onLink(ctx, func(l *stream.Link) (bool, error) {
		err := l.Remove(ctx, group, keys)
		if refused, ok := errors.AsType[*stream.Error](err); ok {
			answer, err = errorOfStream(h.url, refused), nil
		}
		return false, err
	})
	if plain || err != nil && ctx.Err() == nil {
		// A peer that is leaving takes no streams any more, but obeys this.
		return h.removePlain(ctx, group, keys)
	}
	if err != nil {
		return err
	}
	return answer
}

// removePlain asks to drop keys. Many go in several requests.
func (h *httpPeer) removePlain(ctx context.Context, group string, keys []string) error {
	timeout, _ := h.limits(group)
	for len(keys) > 0 {
		req := &pb.RemoveRequest{Group: group}
		for size := 0; len(keys) > 0 && (size == 0 || size+len(keys[0]) <= mostRequestBytes/2); keys = keys[1:] {
			req.Keys = append(req.Keys, []byte(keys[0]))
			size += len(keys[0]) + 8
		}
		body, err := proto.Marshal(req)
		if err != nil {
			return err
		}
		var resp pb.RemoveResponse
		if err := h.call(ctx, timeout, http.MethodPost, removePath, body, 0, &resp); err != nil {
			return err
		}
		if e := resp.GetError(); e != nil {
			return decodeError(h.url, e)
		}
	}
	return nil
}

// limits returns how long a request for the group may take, and how large a
// value may come back.
func (h *httpPeer) limits(group string) (timeout time.Duration, maxValue int) {
	timeout, maxValue = DefaultLoadTimeout, DefaultMaxValueBytes
	if g := h.pool.group(group); g != nil {
		timeout, maxValue = g.loadTimeout, g.maxValue
	}
	if h.pool.peerTimeout > 0 {
		return h.pool.peerTimeout, maxValue
	}
	if withMargin := timeout + time.Second; withMargin > 0 { // no overflow
		timeout = withMargin
	}
	return timeout, maxValue
}

// pathCarries reports whether a request for group and key has them in the path
// of its URL. Else they are in the body, which brings them to the peer unchanged
// whatever proxies and muxes are on the way. golang/groupcache knows only paths.
func (h *httpPeer) pathCarries(group, key string) bool {
	return h.pool.compat || plainSegment(group) && plainSegment(key)
}

// escapeSegment puts s into a form in which a URL's path has it as one segment,
// which no mux that looks at the escaped path takes for something else.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}

// longestSegment is how long a key may be to go into a URL's path.
const longestSegment = 1024

// plainSegment reports whether s, as a segment of a URL's path, stands for
// itself everywhere.
func plainSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > longestSegment {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-_.~:@,=", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// call sends one request and decodes the response, which may hold a value of
// maxValue bytes. An error of the transport, or a response that is not the
// protocol's, is a *PeerError.
func (h *httpPeer) call(ctx context.Context, timeout time.Duration, method, path string, body []byte, maxValue int, resp proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.url+h.pool.basePath+path, bytes.NewReader(body))
	if err != nil {
		return &PeerError{Peer: h.url, Err: err}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
		// Not sent, but it allows the transport to try again when the peer
		// has closed an idle connection.
		req.Header["Idempotency-Key"] = nil
	}
	httpResp, err := h.pool.transport.RoundTrip(req)
	if err != nil {
		return &PeerError{Peer: h.url, Err: err}
	}
	defer httpResp.Body.Close()
	data, err := readBody(httpResp, int64(maxValue)+mostOverhead)
	if err != nil {
		return &PeerError{Peer: h.url, Err: err}
	}
	if err := h.checkResponse(httpResp, data); err != nil {
		return err
	}
	if err := proto.Unmarshal(data, resp); err != nil {
		return &PeerError{Peer: h.url, Err: fmt.Errorf("the response is no protobuf: %w", err)}
	}
	return nil
}

// mostTrusted is the memory that is set aside for a response by what its header
// says, in bytes.
const mostTrusted = 1 << 20

// readBody reads the body of a response of at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("a response of %d bytes: want at most %d", resp.ContentLength, limit)
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		// MinRead, or ReadFrom grows it again. No more than mostTrusted for what
		// is only announced: a peer may announce and send nothing.
		buf.Grow(int(min(resp.ContentLength, mostTrusted)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("a response of more than %d bytes", limit)
	}
	return buf.Bytes(), err
}

// checkResponse returns an error if a response is not one of the protocol's
// messages.
func (h *httpPeer) checkResponse(resp *http.Response, body []byte) error {
	if resp.Header.Get("Content-Type") == contentType {
		return nil // also with an error's status: the message says which
	}
	text := strings.TrimSpace(string(body[:min(len(body), 1024)]))
	if h.pool.compat && resp.StatusCode == http.StatusInternalServerError {
		// So golang/groupcache sends the error of a getter.
		return &RemoteError{Peer: h.url, Message: text}
	}
	if resp.StatusCode/100 == 3 {
		return &PeerError{Peer: h.url, Err: fmt.Errorf("%w: HTTP status %s", errRedirected, resp.Status)}
	}
	if text == "" {
		return &PeerError{Peer: h.url, Err: errors.New("HTTP status " + resp.Status)}
	}
	return &PeerError{Peer: h.url, Err: fmt.Errorf("HTTP status %s: %.200q", resp.Status, text)}
}
