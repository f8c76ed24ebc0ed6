package httppeer

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/peercache/peercache/internal/body"
)

// What has arrived of a body counts, not what is announced, and counts until it is released.
func TestP10BodiesCountAsTheyArrive(t *testing.T) {
	cfg := fakeConfig()
	cfg.RequestBytes = 4 << 20
	s := NewServer(cfg, fakeProcess{}, "http://127.0.0.1:1")
	read := func(sent, announced int) (*body.Body, error) {
		r := httptest.NewRequest("POST", "http://127.0.0.1:1/", bytes.NewReader(make([]byte, sent)))
		r.ContentLength = int64(announced)
		return s.readRequestBody(r, http.NewResponseController(httptest.NewRecorder()), limit{most: MaxRequestBytes})
	}
	for range 10 {
		if b, err := read(1000, 4<<20); err != nil || cap(b.Bytes) > body.First || s.requests.Used() != body.First {
			t.Fatalf("a body of 1000 bytes that announces 4 MiB: error %v", err)
		} else {
			b.Release()
		}
	}
	first, err := read(3<<20, 3<<20)
	charged := s.requests.Used()
	if err != nil || charged < 3<<20 || charged > 3<<20+body.First {
		t.Fatalf("error %v, or 3 MiB count otherwise", err)
	}
	if _, err := read(2<<20, -1); err != body.ErrNoRoom {
		t.Errorf("2 MiB beside 3 of 4 MiB: error %v, want %v", err, body.ErrNoRoom)
	}
	if s.requests.Used() != charged {
		t.Error("a body that was refused still counts")
	}
	first.Release()
	if b, err := read(2<<20, -1); err != nil {
		t.Errorf("2 MiB alone: %v", err)
	} else {
		b.Release()
	}
	if n := s.requests.Used(); n != 0 {
		t.Errorf("%d bytes count when all is released", n)
	}
}
