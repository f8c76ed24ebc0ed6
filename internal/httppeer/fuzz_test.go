package httppeer

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peercache/peercache/peer"
)

// respond is a transport that answers every request with the same bytes.
type respond struct {
	status      int
	contentType string
	body        string
}

func (r respond) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode:    r.status,
		Status:        http.StatusText(r.status),
		Header:        http.Header{"Content-Type": {r.contentType}},
		Body:          io.NopCloser(strings.NewReader(r.body)),
		ContentLength: -1,
		Request:       req,
	}, nil
}

// FuzzResponse decodes any response of a peer (P10): a value of no more
// bytes than are read of it, or an error of a known kind.
func FuzzResponse(f *testing.F) {
	f.Add(200, "\x0a\x03630", true, false)
	f.Add(404, "\x22\x05\x08\x01\x12\x01x", true, false)
	f.Add(500, "getter failed", false, true)
	f.Fuzz(func(t *testing.T, status int, body string, protobuf, compat bool) {
		r := respond{status: status, body: body, contentType: "text/plain"}
		if protobuf {
			r.contentType = contentType
		}
		cfg := fakeConfig()
		cfg.RoundTripper, cfg.Groupcache = r, compat
		const limit = 1000
		c := newConn(NewTransport(cfg, "http://127.0.0.1:1"), fakeLocal{}, "http://127.0.0.1:2")
		defer c.Close(t.Context())
		item, err := c.Get(t.Context(), &peer.Query{Group: "test", Key: "key", MaxBytes: limit})
		var remote *peer.RemoteError
		var gone *peer.PeerError
		switch {
		case err == nil:
			if len(item.Value) > limit+peer.MaxOverhead {
				t.Fatalf("%d bytes, over the limit", len(item.Value))
			}
		case errors.As(err, &remote), errors.As(err, &gone):
		default:
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}
