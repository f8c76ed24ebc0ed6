package peercache_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
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
		var opts []peercache.PoolOption
		if compat {
			opts = append(opts, peercache.WithGroupcacheCompat())
		}
		pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", opts...)
		if err != nil {
			t.Fatal(err)
		}
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			if strings.HasPrefix(key, "x") {
				return nil, peercache.ErrNotFound
			}
			return []byte("value of " + key), nil
		})
		if _, err := peercache.NewGroup("test", 1<<20, getter, peercache.WithPeers(pool)); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(method, "http://127.0.0.1:1", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if req.URL, err = url.ParseRequestURI(target); err != nil {
			t.Skip()
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
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

// notFound is a transport that answers every request with the status 404.
type notFound struct{}

func (notFound) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusNotFound, Status: http.StatusText(http.StatusNotFound), Header: make(http.Header), Body: http.NoBody, Request: req,
	}, nil
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
		pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithTransport(notFound{}))
		if err != nil {
			t.Fatal(err)
		}
		const mostKey, mostValue = 10, 20
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) { return []byte("loaded"), nil })
		g, err := peercache.NewGroup("test", 1<<20, getter, peercache.WithPeers(pool), peercache.WithMaxKeyBytes(mostKey), peercache.WithMaxValueBytes(mostValue))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Get(t.Context(), "Tom"); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("POST", "http://127.0.0.1:1"+pool.BasePath()+"change", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header["Peercache-Peer"] = []string{from}
		w := httptest.NewRecorder()
		pool.ServeHTTP(w, req)
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Fatalf("status %d", w.Code)
		}
		var resp pb.ChangeResponse
		if err := proto.Unmarshal(w.Body.Bytes(), &resp); w.Code == 200 && err != nil {
			t.Fatal(err)
		}
		for key, value := range g.Cached() {
			if key == "" || len(key) > mostKey || len(value) > mostValue {
				t.Fatalf("%d bytes are cached for the key %.20q", len(value), key)
			}
		}
	})
}
