package admin_test

import (
	"bytes"
	"context"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/admin"
)

// read counts what is read of a body.
type read struct {
	*bytes.Reader
	n int64
}

func (r *read) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n += int64(n)
	return n, err
}

// Whoever may only look sends no body: a form of any size would be kept in memory and in files.
func TestLooksReadNoBody(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Shutdown(context.Background())
	h, err := admin.Handler(pool, admin.ReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	file, err := w.CreateFormFile("file", "large")
	if err != nil {
		t.Fatal(err)
	}
	file.Write(make([]byte, 48<<20))
	w.Close()
	for _, path := range []string{"/", "/api/v1/key", "/api/v1/events", "/readyz"} {
		body := &read{Reader: bytes.NewReader(form.Bytes())}
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, body)
		r.Header.Set("Content-Type", w.FormDataContentType())
		h.ServeHTTP(httptest.NewRecorder(), r)
		if body.n > 0 || r.MultipartForm != nil {
			t.Errorf("GET %s reads %d bytes of a body", path, body.n)
		}
	}
}

// What is logged of a request that is refused is short, however long its path is.
func TestRefusedPathIsShort(t *testing.T) {
	var log bytes.Buffer
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithPoolLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Shutdown(context.Background())
	h, err := admin.Handler(pool, admin.AuthorizeAll(func(*http.Request) error { return http.ErrNoCookie }))
	if err != nil {
		t.Fatal(err)
	}
	log.Reset()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+strings.Repeat("%1b", 300<<10), nil))
	if log.Len() == 0 || log.Len() > 1<<10 {
		t.Errorf("%d bytes are logged", log.Len())
	}
}

// Any bytes in a form are an answer, and no panic.
func FuzzForms(f *testing.F) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
	if err != nil {
		f.Fatal(err)
	}
	getter := peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil })
	if _, err := peercache.NewGroup("g", 1<<20, getter, peercache.WithPeers(pool), peercache.WithTTL(time.Hour)); err != nil {
		f.Fatal(err)
	}
	h, err := admin.Handler(pool, admin.ShowValues())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("api/v1/key", "group=g&key=%00%ff<script>", true, true)
	f.Add("api/v1/remove", "group=g&key=a", false, false)
	f.Add("", "group=g&key=\"><img src=x onerror=alert(1)>&done=cleared", true, true)
	f.Add("api/v1/events", "after=-1", true, false)
	f.Add(".", "\n", true, true)
	f.Fuzz(func(t *testing.T, path, form string, get, html bool) {
		if strings.Contains(path, "live") || strings.Contains(path, "drain") {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if get {
			if strings.ContainsFunc(form, unicode.IsControl) {
				return // no server takes that for the query of a request; a redirect would repeat it
			}
			r = httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
			r.URL.RawQuery = form
		}
		r.URL.Path = "/" + path
		if html {
			r.Header.Set("Accept", "text/html")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if b := strings.ToLower(w.Body.String()); strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && (strings.Contains(b, "<img") || strings.Count(b, "<script") > 1) {
			t.Errorf("%q becomes HTML", form)
		}
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n") {
					t.Errorf("the header %s is %q", name, v)
				}
			}
		}
	})
}
