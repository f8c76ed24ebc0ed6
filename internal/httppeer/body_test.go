package httppeer

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What has arrived of a body counts, not what is announced, and counts until it is released.
func TestP10BodiesCountAsTheyArrive(t *testing.T) {
	cfg := fakeConfig()
	cfg.RequestBytes = 4 << 20
	s := NewServer(cfg, fakeProcess{}, "http://127.0.0.1:1")
	read := func(sent, announced int) (*body, error) {
		r := httptest.NewRequest("POST", "http://127.0.0.1:1/", bytes.NewReader(make([]byte, sent)))
		r.ContentLength = int64(announced)
		return s.readRequestBody(r, http.NewResponseController(httptest.NewRecorder()), limit{most: MaxRequestBytes})
	}
	for range 10 {
		if b, err := read(1000, 4<<20); err != nil || cap(b.bytes) > firstBodyBytes || b.charged != leastCharged {
			t.Fatalf("a body of 1000 bytes that announces 4 MiB: error %v", err)
		} else {
			b.release()
		}
	}
	first, err := read(3<<20, 3<<20)
	if err != nil || first.charged < 3<<20 || first.charged > 3<<20+leastCharged {
		t.Fatalf("error %v, or 3 MiB count otherwise", err)
	}
	if _, err := read(2<<20, -1); err != errNoRoom {
		t.Errorf("2 MiB beside 3 of 4 MiB: error %v, want %v", err, errNoRoom)
	}
	if s.requests.used.Load() != first.charged {
		t.Error("a body that was refused still counts")
	}
	first.release()
	if b, err := read(2<<20, -1); err != nil {
		t.Errorf("2 MiB alone: %v", err)
	} else {
		b.release()
	}
	if n := s.requests.used.Load(); n != 0 {
		t.Errorf("%d bytes count when all is released", n)
	}
}
