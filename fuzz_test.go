package peercache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// FuzzHandler sends any request to a pool (P10): no panic, and a status that is
// one of the protocol's. A value is only ever that of the key that was asked for.
func FuzzHandler(f *testing.F) {
	f.Add("GET", "/_peercache/test/Tom", "", false)
	f.Add("GET", "/_groupcache/test/a+b%20c", "", true)
	f.Add("POST", "/_peercache/get", "\x0a\x04test\x12\x03Tom", false)
	f.Add("POST", "/_peercache/remove", "\x0a\x04test\x12\x03Tom", false)
	f.Add("GET", "//_peercache/%zz", "", false)
	f.Fuzz(func(t *testing.T, method, target, body string, compat bool) {
		var opts []PoolOption
		if compat {
			opts = append(opts, WithGroupcacheCompat())
		}
		pool, err := NewHTTPPool("http://127.0.0.1:1", opts...)
		if err != nil {
			t.Fatal(err)
		}
		getter := GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			if strings.HasPrefix(key, "x") {
				return nil, ErrNotFound
			}
			return []byte("value of " + key), nil
		})
		if _, err := NewGroup("test", 1<<20, getter, WithPeers(pool)); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(method, "http://127.0.0.1:1", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if req.URL, err = url.ParseRequestURI(target); err != nil {
			t.Skip()
		}
		req.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		pool.ServeHTTP(w, req)
		switch w.Code {
		case 200, 400, 404, 405, 413:
		default:
			t.Fatalf("status %d", w.Code)
		}
		if w.Code != 200 || strings.HasSuffix(target, "remove") {
			return
		}
		var resp pb.GetResponse
		if err := proto.Unmarshal(w.Body.Bytes(), &resp); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(resp.GetValue()), "value of ") {
			t.Fatalf("value %q", resp.GetValue())
		}
	})
}

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

// FuzzResponse decodes any response of a peer (P10): a value within the limit,
// or an error of a known kind.
func FuzzResponse(f *testing.F) {
	f.Add(200, "\x0a\x03630", true, false)
	f.Add(404, "\x22\x05\x08\x01\x12\x01x", true, false)
	f.Add(500, "getter failed", false, true)
	f.Fuzz(func(t *testing.T, status int, body string, protobuf, compat bool) {
		r := respond{status: status, body: body, contentType: "text/plain"}
		if protobuf {
			r.contentType = contentType
		}
		opts := []PoolOption{WithTransport(r)}
		if compat {
			opts = append(opts, WithGroupcacheCompat())
		}
		pool, err := NewHTTPPool("http://127.0.0.1:1", opts...)
		if err != nil {
			t.Fatal(err)
		}
		const limit = 1000
		getter := GetterFunc(func(context.Context, string) ([]byte, error) { return nil, nil })
		if _, err := NewGroup("test", 1<<20, getter, WithPeers(pool), WithMaxValueBytes(limit)); err != nil {
			t.Fatal(err)
		}
		peer := newPlainPeer(pool, "http://127.0.0.1:2")
		defer peer.part(t.Context())
		item, err := peer.Get(t.Context(), Query{Group: "test", Key: "key"})
		var remote *RemoteError
		var gone *PeerError
		switch {
		case err == nil:
			if len(item.Value) > limit {
				t.Fatalf("%d bytes, over the limit", len(item.Value))
			}
		case errors.Is(err, ErrValueSize), errors.As(err, &remote), errors.As(err, &gone):
		default:
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

// FuzzChange sends any change to a pool (P10): it is obeyed or refused, in bounded time,
// and what is cached then is a value of a possible key, within the limits.
func FuzzChange(f *testing.F) {
	for _, req := range []*pb.ChangeRequest{
		{Group: "test", Keys: [][]byte{[]byte("Tom")}},
		{Group: "test", Keys: [][]byte{[]byte("Tom")}, Item: &pb.Item{Value: []byte("set"), TtlNs: -1}},
		{Group: "test", Keys: [][]byte{{}}, Item: &pb.Item{Value: []byte("set")}},
		{Group: "test", All: true, Holders: true, WaitNs: -1 << 63},
		{View: 1, Announced: true},
	} {
		body, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, "http://127.0.0.1:2")
	}
	f.Fuzz(func(t *testing.T, body []byte, from string) {
		pool, err := NewHTTPPool("http://127.0.0.1:1", WithTransport(respond{status: 404}))
		if err != nil {
			t.Fatal(err)
		}
		const mostKey, mostValue = 10, 20
		getter := GetterFunc(func(_ context.Context, key string) ([]byte, error) { return []byte("loaded"), nil })
		g, err := NewGroup("test", 1<<20, getter, WithPeers(pool), WithMaxKeyBytes(mostKey), WithMaxValueBytes(mostValue))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Get(t.Context(), "Tom"); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("POST", "http://127.0.0.1:1"+pool.BasePath()+changePath, strings.NewReader(string(body)))
		req.Header.Set("Content-Type", contentType)
		req.Header[peerHeader] = []string{from}
		w := httptest.NewRecorder()
		pool.ServeHTTP(w, req)
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Fatalf("status %d", w.Code)
		}
		var resp pb.ChangeResponse
		if err := proto.Unmarshal(w.Body.Bytes(), &resp); w.Code == 200 && err != nil {
			t.Fatal(err)
		}
		g.main.Range(func(key string, e Entry) bool {
			if key == "" || len(key) > mostKey || e.View.Len() > mostValue {
				t.Fatalf("%d bytes are cached for the key %.20q", e.View.Len(), key)
			}
			return true
		})
	})
}
