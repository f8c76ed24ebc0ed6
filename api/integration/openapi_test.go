package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// broken is a door.Cache whose methods return an error, or panic with it.
type broken struct {
	*peercache.Group
	err    error
	panics bool
}

func (b *broken) fail() error {
	if b.panics {
		panic(b.err)
	}
	return b.err
}

func (b *broken) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	if b.err != nil {
		return peercache.ByteView{}, 0, b.fail()
	}
	view, err := b.Get(ctx, key)
	return view, time.Minute, err
}

func (b *broken) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	if b.panics {
		panic(b.err)
	}
	return b.Group.GetMulti(ctx, keys)
}

func (b *broken) Set(ctx context.Context, key string, item peercache.Item) error {
	if b.err != nil {
		return b.fail()
	}
	return b.Group.Set(ctx, key, item)
}

func (b *broken) Remove(ctx context.Context, keys ...string) error {
	if b.err != nil {
		return b.fail()
	}
	return b.Group.Remove(ctx, keys...)
}

func (b *broken) Clear(ctx context.Context) error {
	if b.err != nil {
		return b.fail()
	}
	return b.Group.Clear(ctx)
}

// slow stands for a body that does not arrive.
const slow = "slow"

// operation is one of the description.
type operation struct {
	path, method string
	item         *openapi3.PathItem
	*openapi3.Operation
}

// description reads the OpenAPI file, and returns its operations by their ids.
func description(t *testing.T) (*openapi3.T, map[string]operation) {
	t.Helper()
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	operations := make(map[string]operation)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations[op.OperationID] = operation{path, method, item, op}
		}
	}
	return doc, operations
}

func handlerOf(t *testing.T, e *exchange) *api.Handler {
	t.Helper()
	getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		if key == "nobody" {
			return nil, peercache.ErrNotFound
		}
		return []byte(key + "\xff\x00 630"), nil
	})
	var caches []door.Cache
	for _, name := range []string{"scores", "other"} {
		g, err := peercache.NewGroup(name, 1<<20, getter)
		if err != nil {
			t.Fatal(err)
		}
		caches = append(caches, &broken{Group: g, err: e.err, panics: e.panics})
	}
	h, err := api.New(caches, e.opts...)
	if err != nil {
		t.Fatal(err)
	}
	if e.closed {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestOpenAPI checks requests and answers against the description: each operation with each status
// that it has there, and none that it has not.
func TestOpenAPI(t *testing.T) {
	doc, operations := description(t)
	seen := make(map[string]bool)
	for _, e := range exchanges() {
		op, ok := operations[e.operation]
		if !ok {
			t.Fatalf("there is no operation %s", e.operation)
		}
		t.Run(fmt.Sprintf("%s %d", e.operation, e.status), func(t *testing.T) { check(t, doc, op, &e) })
		seen[fmt.Sprint(e.operation, " ", e.status)] = true
	}
	for id, op := range operations {
		for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
			if !seen[id+" "+status] {
				t.Errorf("nothing is answered to %s with the status %s", id, status)
			}
		}
	}
}

func check(t *testing.T, doc *openapi3.T, op operation, e *exchange) {
	request := func() *http.Request {
		var body io.Reader = strings.NewReader(e.body)
		if e.body == slow {
			body = slowBody{}
		}
		r := httptest.NewRequest(op.method, "http://peercache"+e.target, body)
		for _, one := range e.headers {
			name, value, _ := strings.Cut(one, ": ")
			r.Header.Set(name, value)
		}
		return r
	}
	parameters, ok := parametersOf(op.path, request().URL.EscapedPath())
	if !ok {
		t.Fatalf("%s is no %s", e.target, op.path)
	}
	r := request()
	input := &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: parameters,
		Route:      &routers.Route{Spec: doc, PathItem: op.item, Path: op.path, Method: op.method, Operation: op.Operation},
		Options:    &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if e.body != slow {
		if err := openapi3filter.ValidateRequest(context.Background(), input); (err != nil) != e.invalid {
			t.Errorf("the request %s %s %q: %v, want an error: %v", op.method, e.target, e.body, err, e.invalid)
		}
	}
	h := handlerOf(t, e)
	if e.twice {
		h.ServeHTTP(httptest.NewRecorder(), request())
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request())
	body := w.Body.Bytes()
	if w.Code != e.status {
		t.Errorf("%s %s: status %d, want %d: %s", op.method, e.target, w.Code, e.status, body)
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), answer); err != nil {
		t.Errorf("%s %s: the answer %d %v: %v", op.method, e.target, w.Code, w.Header(), err)
	}
	if w.Header().Get("Content-Type") == "application/x-ndjson" {
		for line := range bytes.Lines(body) {
			checkLine(t, doc, line)
		}
	}
}

// slowBody is a body that does not arrive in time.
type slowBody struct{}

func (slowBody) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// parametersOf returns the parameters in a path of a template. A group ends where what follows it in
// the template begins, and a key has all that is left.
func parametersOf(template, path string) (map[string]string, bool) {
	pattern := strings.NewReplacer(`\{group\}`, `(?P<group>[^/]+)`, `\{key\}`, `(?P<key>.+)`).Replace(regexp.QuoteMeta(template))
	re := regexp.MustCompile("^" + pattern + "$")
	found := re.FindStringSubmatch(path)
	if found == nil {
		return nil, false
	}
	parameters := make(map[string]string)
	for i, name := range re.SubexpNames()[1:] {
		value, err := url.PathUnescape(found[i+1])
		if err != nil {
			return nil, false
		}
		parameters[name] = value
	}
	return parameters, true
}

// checkLine checks a line of NDJSON, for which OpenAPI 3.1 has no words.
func checkLine(t *testing.T, doc *openapi3.T, line []byte) {
	t.Helper()
	var value any
	if err := json.Unmarshal(line, &value); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if err := doc.Components.Schemas["Result"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// TestMethods checks that each path of the description has the methods that it has there, and no
// others.
func TestMethods(t *testing.T) {
	doc, _ := description(t)
	h := handlerOf(t, &exchange{})
	for path, item := range doc.Paths.Map() {
		var documented []string
		for method := range item.Operations() {
			documented = append(documented, method)
		}
		slices.Sort(documented)
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, strings.NewReplacer("{group}", "scores", "{key}", "Tom").Replace(path), nil))
			if slices.Contains(documented, method) {
				if w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusNotFound {
					t.Errorf("%s %s: status %d", method, path, w.Code)
				}
				continue
			}
			allowed := strings.Split(w.Header().Get("Allow"), ", ")
			slices.Sort(allowed)
			if w.Code != http.StatusMethodNotAllowed || !slices.Equal(allowed, documented) {
				t.Errorf("%s %s: status %d, allowed are %s: want 405 and %s", method, path, w.Code, allowed, documented)
			}
		}
	}
}
