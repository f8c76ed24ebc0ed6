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
)

// httpPeer is a peer that is spoken to by the plain protocol.
type httpPeer struct {
	pool *HTTPPool
	url  string
}

// mostOverhead is what a response may have beyond its value: error text, fields
// of later versions.
const mostOverhead = 64 << 10

func (h *httpPeer) Name() string { return h.url }

// Get implements Peer.
func (h *httpPeer) Get(ctx context.Context, group, key string) (Item, error) {
	if h.pool.closed.Load() { // it is alone now
		return Item{}, &PeerError{Peer: h.url, Err: ErrClosed}
	}
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
		return Item{}, fmt.Errorf("%w: peer %s answered %d bytes, and the group takes %d", ErrValueSize, h.url, len(resp.GetValue()), maxValue)
	}
	return Item{Value: resp.GetValue(), TTL: time.Duration(resp.GetTtlNs())}, nil
}

// errRedirected says that a mux on the way takes the path of a request for
// another one. The key has to go in the body then.
var errRedirected = errors.New("redirected")

// Remove implements Peer. Many keys go in several requests.
func (h *httpPeer) Remove(ctx context.Context, group string, keys []string) error {
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
