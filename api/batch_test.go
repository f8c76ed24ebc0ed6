package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// echoes is an echo whose GetMulti has the keys as well.
type echoes struct{ echo }

func (e echoes) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	results := make([]peercache.Result, len(keys))
	for i, key := range keys {
		results[i].View, _, results[i].Err = e.GetWithTTL(ctx, key)
	}
	return results
}

// result is one of a batch.
type result struct {
	Key, Value             *string
	KeyBase64, ValueBase64 []byte
	Error                  *struct {
		Code   string
		Status int
	}
}

func (r *result) key() string   { return textOr(r.Key, r.KeyBase64) }
func (r *result) value() string { return textOr(r.Value, r.ValueBase64) }

func textOr(text *string, bytes []byte) string {
	if text != nil {
		return *text
	}
	return string(bytes)
}

func resultsOf(t testing.TB, body string) []result {
	t.Helper()
	var all struct{ Results []result }
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return all.Results
}

const isJSON = "Content-Type: application/json"

func TestBatch(t *testing.T) {
	const three = `{"results":[{"key":"Tom","value":"630"},{"key":"nobody","error":{"title":"Not Found","status":404,"code":"not_found","detail":"the origin has no such key"}},{"key":"Sam","valueBase64":"/wA="}]}` + "\n"
	const lines = `{"key":"Tom","value":"630"}` + "\n" + `{"key":"empty","value":""}` + "\n"
	for _, tt := range []struct {
		request, body string
		headers       []string
		want          want
	}{
		{"batchGet", `{"keys":["Tom","nobody","Sam"]}`, []string{isJSON}, want{200, three, "", headers{"Content-Type": "application/json", "Cache-Control": "no-store", "Vary": "Accept"}}},
		{"batchGet", `{"keys":["Tom"],"keysBase64":["ZW1wdHk="]}`, []string{isJSON, "Accept: application/x-ndjson"}, want{200, lines, "", headers{"Content-Type": "application/x-ndjson"}}},
		{"batchGet", `{}`, []string{isJSON + "; charset=utf-8"}, want{200, `{"results":[]}` + "\n", "", nil}},
		{"batchGet", `{"keys":[]}`, []string{isJSON, "Accept: application/x-ndjson"}, want{200, "", "", nil}},
		{"batchGet", `{"keys":["Tom"]}`, []string{isJSON, "Accept: application/octet-stream"}, want{406, "", "not_acceptable", nil}},
		{"batchGet", `{"keys":["Tom"]}`, nil, want{415, "", "unsupported_media_type", nil}},
		{"batchGet", `{"keys":["Tom"]}`, []string{"Content-Type: text/plain"}, want{415, "", "unsupported_media_type", nil}},
		{"batchGet", `{"keys":["Tom"]}`, []string{isJSON + "; charset=latin1"}, want{415, "", "unsupported_media_type", nil}},
		{"batchGet", `{"keys":["1","2","3","4"]}`, []string{isJSON}, want{413, "", "too_many_keys", nil}},
		{"batchGet", `{"keys":["1","2"],"keysBase64":["",""]}`, []string{isJSON}, want{413, "", "too_many_keys", nil}},
		{"batchGet", `{"keys":[""]}`, []string{isJSON}, want{400, "", "bad_key", nil}},
		{"batchGet", `{"keys":[1]}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"keys":"Tom"}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"key":["Tom"]}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"keys":["\ud800"]}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", "{\"keys\":[\"\xff\"]}", []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"keysBase64":["*"]}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"keys":["Tom"]}{}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", `{"keys":["Tom"`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet", ``, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"batchGet?x", `{}`, []string{isJSON}, want{400, "", "bad_request", nil}},
		{"remove", `{"keys":["Tom"],"keysBase64":["/w=="]}`, []string{isJSON}, want{204, "", "", nil}},
		{"remove", `{"keys":["Tom"]}`, nil, want{415, "", "unsupported_media_type", nil}},
		{"remove", `[]`, []string{isJSON}, want{400, "", "bad_request", nil}},
	} {
		f := scores()
		h := handlerOf(t, []door.Cache{f}, api.WithMaxBatchKeys(3))
		resp := ask(t, h, "POST", "/v1/scores:"+tt.request, tt.body, tt.headers...)
		tt.want.check(t, tt.request+" "+tt.body, resp)
		if want := map[bool]string{true: "Tom \xff"}[resp.StatusCode == 204]; strings.Join(f.removed, " ") != want {
			t.Errorf("%s %s: removed %q, want %q", tt.request, tt.body, f.removed, want)
		}
	}
}

// sized is a door.Cache whose values have the size that their key says, and which records what one
// GetMulti returned at most.
type sized struct {
	*fake
	text        string
	calls, most int
}

func (s *sized) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	total := 0
	results := make([]peercache.Result, len(keys))
	for i, key := range keys {
		var size int
		fmt.Sscan(key, &size)
		results[i].View = peercache.ViewOfString(s.text[:size])
		total += size
	}
	s.calls++
	s.most = max(s.most, total)
	return results
}

// TestBatchIsBounded checks that a batch has neither all its values in memory, nor more of them than
// it may.
func TestBatchIsBounded(t *testing.T) {
	keys := func(n, size int) string {
		return `{"keys":[` + strings.Repeat(fmt.Sprintf(`"%d",`, size), n-1) + fmt.Sprintf(`"%d"]}`, size)
	}
	text := strings.Repeat("x", 32<<20)
	for _, tt := range []struct {
		n, size     int
		mostAtOnce  int
		calls, good int
	}{
		{10, 100, 1000, 1, 10},
		{1000, 0, 0, 2, 1000},
		{1000, 1000, 1000 * 1000, 2, 1000},
		{1000, 1 << 20, 32 << 20, 1, 16},         // the first chunk, whose values have an unknown size
		{250, 100 << 10, 40 * 100 << 10, 5, 163}, // 32, 40, 40, 40, 40; the others are not asked for
		{100, 160 << 10, 32 * 160 << 10, 4, 100}, // 32, 25, 25, 18
		{40, 2 << 20, 32 * 2 << 20, 1, 8},        // there is no room for the others
		{1, 16 << 20, 16 << 20, 1, 1},            // as large as it may be
		{2, 16<<20 - 1, 2 * (16<<20 - 1), 1, 1},  // there is no room for the second
		{2, 16<<20 + 1, 2 * (16<<20 + 1), 1, 0},  // both are too large
	} {
		s := &sized{fake: newFake("g"), text: text}
		h := handlerOf(t, []door.Cache{s}, api.WithMaxBatchBytes(16<<20))
		results := resultsOf(t, bodyOf(t, ask(t, h, "POST", "/v1/g:batchGet", keys(tt.n, tt.size), isJSON)))
		good := 0
		for _, r := range results {
			if r.Error == nil {
				good++
			} else if r.Error.Code != "batch_too_large" || r.Error.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%d values of %d bytes: the problem %v", tt.n, tt.size, *r.Error)
			}
		}
		if len(results) != tt.n || good != tt.good || s.calls != tt.calls || s.most > tt.mostAtOnce {
			t.Errorf("%d values of %d bytes: %d results, %d with a value, %d calls, %d bytes at once: want %d with a value, %d calls, %d bytes at most",
				tt.n, tt.size, len(results), good, s.calls, s.most, tt.good, tt.calls, tt.mostAtOnce)
		}
	}
}

// TestTexts checks that keys and values survive JSON.
// The keys of a batch take memory as long as it is answered: that counts.
func TestBatchesHoldTheirMemory(t *testing.T) {
	f := newFake("scores")
	began, release := make(chan struct{}), make(chan struct{})
	f.block = func(context.Context) error {
		began <- struct{}{}
		<-release
		return nil
	}
	h := handlerOf(t, []door.Cache{f}, api.WithBodyMemory(1<<20))
	body := `{"keys":["` + strings.Repeat("k", 700_000) + `"]}`
	for _, target := range []string{"/v1/scores:remove", "/v1/scores:batchGet"} {
		var asking sync.WaitGroup
		asking.Go(func() { ask(t, h, http.MethodPost, target, body, "Content-Type: application/json") })
		<-began
		if resp := ask(t, h, http.MethodPost, target, body, "Content-Type: application/json"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d for what has no room", target, resp.StatusCode)
		}
		release <- struct{}{}
		asking.Wait()
	}
	asking := make(chan int)
	go func() {
		asking <- ask(t, h, http.MethodPost, "/v1/scores:remove", body, "Content-Type: application/json").StatusCode
	}()
	<-began
	release <- struct{}{}
	if status := <-asking; status != http.StatusNoContent {
		t.Errorf("status %d afterwards", status)
	}
}

func TestTexts(t *testing.T) {
	f := newFake("g")
	for _, text := range []string{"<&>", "\u2028", "\x00\x1f\x7f", "é\U0001F600", "\\u0000", "\xed\xa0\x80", strings.Repeat("é", 50000), strings.Repeat("\"", 50000), strings.Repeat("\xff", 50000), "\uFFFD"} {
		f.values[text] = text
		encoded, _ := json.Marshal(map[string]any{"keysBase64": []string{base64.StdEncoding.EncodeToString([]byte(text))}})
		results := resultsOf(t, bodyOf(t, ask(t, handlerOf(t, []door.Cache{f}), "POST", "/v1/g:batchGet", string(encoded), isJSON)))
		if len(results) != 1 || results[0].key() != text || results[0].value() != text {
			t.Errorf("%.40q comes back as %.80v", text, results)
		}
	}
}

// failing is a logger that fails a test, for handlers that have nothing to log but the errors of
// getters.
func failing(t testing.TB) *slog.Logger { return slog.New(failingHandler{slog.DiscardHandler, t}) }

type failingHandler struct {
	slog.Handler
	t testing.TB
}

func (h failingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h failingHandler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "panic" {
			h.t.Errorf("panic: %v", a.Value)
		}
		return true
	})
	return errors.New("not written")
}
