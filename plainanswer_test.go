package peercache_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/pb"
)

// allocated returns how many bytes f allocates. If that is more than most, it runs f up to three
// times: others may have allocated something meanwhile.
func allocated(most uint64, f func()) uint64 {
	least := ^uint64(0)
	for try := 0; try < 3 && least > most; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// partWriter is a ResponseWriter that keeps where what is written is in memory.
type partWriter struct {
	header http.Header
	parts  [][]byte
}

func (w *partWriter) Header() http.Header { return w.header }
func (w *partWriter) WriteHeader(int)     {}
func (w *partWriter) Write(b []byte) (int, error) {
	w.parts = append(w.parts, b)
	return len(b), nil
}

// An answer by the plain way has the value from where it is cached.
func TestPlainAnswerDoesNotCopyTheValue(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("value"), 200_000)
	getter := peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil })
	g, err := peercache.NewGroup("test", 64<<20, getter, peercache.WithPeers(pool))
	if err != nil {
		t.Fatal(err)
	}
	var view peercache.ByteView
	for range 2 { // the second is what is cached
		if view, err = g.Get(t.Context(), "Tom"); err != nil {
			t.Fatal(err)
		}
	}
	w := &partWriter{header: make(http.Header)}
	req := httptest.NewRequest("GET", "http://127.0.0.1:1/_peercache/test/Tom", nil)
	most := uint64(len(value)) / 10
	if n := allocated(most, func() { w.parts = nil; pool.ServeHTTP(w, req) }); n > most {
		t.Errorf("an answer of %d bytes allocates %d", len(value), n)
	}
	at := 0
	for _, part := range w.parts[1:] {
		if &part[0] != &peercache.BytesOf(view)[at] {
			t.Fatalf("the value from byte %d on is a copy", at)
		}
		at += len(part)
	}
	var resp pb.GetResponse
	if err := proto.Unmarshal(bytes.Join(w.parts, nil), &resp); err != nil || !bytes.Equal(resp.GetValue(), value) {
		t.Errorf("the answer has %d bytes, error %v", len(resp.GetValue()), err)
	}
}
