package integration

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

const (
	token   = "a-token-that-may-all"
	reading = "a-token-that-may-read"
)

// exchange is a request, what it meets, and the status that it gets.
type exchange struct {
	operation string // its operationId
	status    int
	target    string
	body      string
	headers   []string     // as "Name: value"
	err       error        // of the group
	panics    bool         // the group panics with err
	opts      []api.Option // of the handler
	closed    bool         // the handler is shut down
	twice     bool         // the request is made before
	invalid   bool         // the request itself is not one of the description
}

// exchanges returns requests for each operation and each status.
func exchanges() []exchange {
	const (
		js    = "Content-Type: application/json"
		value = "/v1/scores/a%2F%FF"
		keys  = `{"keys":["Tom","nobody"],"keysBase64":["/w=="]}`
	)
	rated := []api.Option{api.WithRateLimit(0.001, 1)}
	small := []api.Option{api.WithMaxBodyBytes(10)}
	tokens, err := door.NewTokens(map[string]door.Rights{token: {May: door.AllRights}, reading: {May: door.RightGet, Groups: []string{"other"}}})
	if err != nil {
		panic(err)
	}
	guarded := []api.Option{api.WithTokens(tokens)}
	failed, late := errors.New("failed"), context.DeadlineExceeded
	pending := &peercache.InvalidationError{Group: "scores", Pending: []peercache.Pending{{Peer: "http://a", Until: time.Now(), Err: failed}, {Peer: "http://b", Err: failed}}}
	var all []exchange
	add := func(target, body string, headers []string, operations []string, more ...exchange) {
		for _, operation := range operations {
			for _, e := range more {
				e.operation = operation
				if e.target == "" {
					e.target = target
				}
				if e.body == "" {
					e.body = body
				}
				e.headers = append(slices.Clone(headers), e.headers...)
				all = append(all, e)
			}
		}
	}
	gets := func(target, other, missing, bad string, operations ...string) {
		add(target, "", nil, operations,
			exchange{status: 200},
			exchange{status: 200, headers: []string{"Accept: application/json"}},
			exchange{status: 200, headers: []string{"Authorization: Bearer " + token}, opts: guarded},
			exchange{status: 304, headers: []string{"If-None-Match: *"}},
			exchange{status: 400, target: bad, invalid: bad == "/api"},
			exchange{status: 401, opts: guarded},
			exchange{status: 403, opts: guarded, headers: []string{"Authorization: Bearer " + reading}},
			exchange{status: 404, target: other},
			exchange{status: 404, target: missing},
			exchange{status: 406, headers: []string{"Accept: text/html"}},
			exchange{status: 412, headers: []string{`If-Match: "x"`}},
			exchange{status: 429, opts: rated, twice: true},
			exchange{status: 500, err: failed, panics: true},
			exchange{status: 502, err: failed},
			exchange{status: 502, err: peercache.ErrValueSize},
			exchange{status: 502, err: &peercache.PeerError{Peer: "http://a", Err: failed}},
			exchange{status: 503, closed: true},
			exchange{status: 504, err: late})
	}
	gets(value, "/v1/goals/Tom", "/v1/scores/nobody", "/v1/scores/a?b", "getValue", "headValue")
	gets("/api?key=%FF&group=scores", "/api?key=Tom&group=goals", "/api?key=nobody&group=scores", "/api", "getByQuery", "headByQuery")
	for operation, target := range map[string]string{"getValue": value, "getByQuery": "/api?key=Tom&group=scores"} {
		add(target, "", nil, []string{operation},
			exchange{status: 206, headers: []string{"Range: bytes=1-"}},
			exchange{status: 206, headers: []string{"Range: bytes=0-0,2-"}},
			exchange{status: 416, headers: []string{"Range: bytes=99-"}})
	}
	changes := func(target, other string, body string, operation string, more ...exchange) {
		add(target, body, []string{js}, []string{operation}, append(more,
			exchange{status: 204},
			exchange{status: 401, opts: guarded},
			exchange{status: 403, opts: []api.Option{api.WithReadOnly()}},
			exchange{status: 404, target: other},
			exchange{status: 429, opts: rated, twice: true},
			exchange{status: 500, err: failed, panics: true},
			exchange{status: 502, err: failed},
			exchange{status: 503, err: pending},
			exchange{status: 503, err: peercache.ErrLapsed},
			exchange{status: 503, err: peercache.ErrClosed},
			exchange{status: 503, err: context.Canceled},
			exchange{status: 504, err: late})...)
	}
	bodies := func(more ...exchange) []exchange {
		return append(more,
			exchange{status: 408, body: slow},
			exchange{status: 413, body: "{}          ", opts: small},
			exchange{status: 503, closed: true})
	}
	changes(value, "/v1/goals/Tom", "value", "setValue", bodies(
		exchange{status: 204, target: value + "?ttl=90"},
		exchange{status: 400, headers: []string{"If-Match: *"}},
		exchange{status: 413, err: peercache.ErrValueSize},
		exchange{status: 415, headers: []string{"Content-Encoding: gzip"}})...)
	changes(value, "/v1/goals/Tom", "", "removeValue", exchange{status: 400, headers: []string{"If-Match: *"}})
	wrong := exchange{status: 400, body: `{"key":["Tom"]}`, invalid: true}
	other := exchange{status: 415, headers: []string{"Content-Type: text/plain"}, invalid: true}
	changes("/v1/scores:remove", "/v1/goals:remove", keys, "removeKeys", bodies(wrong, other)...)
	changes("/v1/scores:clear", "/v1/goals:clear", "{}", "clearGroup", bodies(wrong, other)...)
	add("/v1/scores:batchGet", keys, []string{js}, []string{"batchGet"}, bodies(wrong, other,
		exchange{status: 200},
		exchange{status: 200, headers: []string{"Accept: application/x-ndjson"}},
		exchange{status: 200, opts: []api.Option{api.WithMaxBatchBytes(1)}},
		exchange{status: 401, opts: guarded},
		exchange{status: 403, opts: guarded, headers: []string{"Authorization: Bearer " + reading}},
		exchange{status: 404, target: "/v1/goals:batchGet"},
		exchange{status: 406, headers: []string{"Accept: text/html"}},
		exchange{status: 413, opts: []api.Option{api.WithMaxBatchKeys(1)}},
		exchange{status: 429, opts: rated, twice: true},
		exchange{status: 500, err: failed, panics: true})...)
	add("/v1", "", nil, []string{"listGroups", "headGroups"},
		exchange{status: 200},
		exchange{status: 401, opts: guarded},
		exchange{status: 406, headers: []string{"Accept: text/html"}},
		exchange{status: 429, opts: rated, twice: true},
		exchange{status: 500, opts: []api.Option{api.WithAuthorizer(func(*http.Request, door.Access) error { panic("planted") })}},
		exchange{status: 503, closed: true})
	add("/v1/openapi.yaml", "", nil, []string{"getDescription", "headDescription"},
		exchange{status: 200},
		exchange{status: 429, opts: rated, twice: true},
		exchange{status: 503, closed: true})
	return all
}
