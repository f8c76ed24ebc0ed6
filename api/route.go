package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/peercache/peercache/door"
)

// route is what a path asks for.
type route struct {
	kind       target
	group, key string
	query      bool // group and key came with the query
}

// target is a kind of route.
type target int

const (
	toValue    target = iota // /v1/{group}/{key}
	toBatchGet               // /v1/{group}:batchGet
	toRemove                 // /v1/{group}:remove
	toClear                  // /v1/{group}:clear
	toGroups                 // /v1
	toOpenAPI                // /v1/openapi.yaml
	toClassic                // /api
)

var actions = map[string]target{"batchGet": toBatchGet, "remove": toRemove, "clear": toClear}

var (
	reads  = []string{http.MethodGet, http.MethodHead}
	values = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
	posts  = []string{http.MethodPost}
)

// methods returns the methods that a route takes.
func (rt *route) methods(readOnly bool) []string {
	switch rt.kind {
	case toValue:
		if readOnly {
			return reads
		}
		return values
	case toBatchGet:
		return posts
	case toRemove, toClear:
		if readOnly {
			return nil
		}
		return posts
	}
	return reads
}

// routeOf finds the route of a path, and returns false if there is none. It reads the path as it was
// sent: the first slash after the group ends the group, and all that follows is the key, with
// percent-encodings decoded once. So any bytes can be a key: slashes, "..", a zero byte.
func routeOf(u *url.URL) (rt route, ok bool) {
	// If there is no RawPath, nothing of the path was percent-encoded that had to be: then a slash
	// in Path is one that was sent, and so is a colon.
	path, encoded := u.Path, u.RawPath != ""
	if encoded {
		path = u.EscapedPath()
	}
	switch path {
	case "/v1":
		return route{kind: toGroups}, true
	case "/v1/openapi.yaml":
		return route{kind: toOpenAPI}, true
	case "/api":
		return route{kind: toClassic}, true
	}
	path, ok = strings.CutPrefix(path, "/v1/")
	if !ok {
		return rt, false
	}
	var isKey bool
	rt.group, rt.key, isKey = strings.Cut(path, "/")
	if !isKey {
		colon := strings.LastIndexByte(rt.group, ':')
		if colon < 0 {
			return rt, false
		}
		if rt.kind, ok = actions[rt.group[colon+1:]]; !ok {
			return rt, false
		}
		rt.group = rt.group[:colon]
	}
	if encoded {
		var err error
		if rt.group, err = url.PathUnescape(rt.group); err != nil {
			return rt, false
		}
		if rt.key, err = url.PathUnescape(rt.key); err != nil {
			return rt, false
		}
	}
	return rt, rt.group != ""
}

// right returns what a client must be allowed to do, to have a request answered.
func (rt *route) right(method string) door.Right {
	switch {
	case rt.kind == toClear:
		return door.RightClear
	case rt.kind == toRemove, method == http.MethodPut, method == http.MethodDelete:
		return door.RightChange
	}
	return door.RightGet
}

// queryOf returns the query of a request, which may have the parameters known and no others, each at
// most once: what is misspelt would go unnoticed.
func queryOf(r *http.Request, known ...string) (url.Values, *problem) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read: %v", err)
	}
	for name, given := range query {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return nil, badRequest("the query has the parameter %.40q: a question mark in a key is sent as %%3F", name)
		}
		if len(given) > 1 {
			return nil, badRequest("the query has the parameter %q more than once", name)
		}
	}
	return query, nil
}
