package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peercache/peercache"
)

// callNet is a network without connections, so that a thousand pools fit in one process: a
// request is a call of the other pool's ServeHTTP, in the goroutine that asks.
type callNet struct {
	pools sync.Map // the *peercache.HTTPPool that answers, by host
}

// callLatency is how long a request and its answer are on their way.
const callLatency = time.Millisecond

// port is how a process asks others: the http.RoundTripper of its pool. It counts what it
// sends, and the answers.
type port struct {
	net                  *callNet
	requests, gets, body atomic.Int64
}

// traffic is what went through ports.
type traffic struct {
	Requests int64 // each has one answer
	Gets     int64 // of these, for a value
	Bytes    int64 // of the bodies of requests and answers
}

func (t traffic) minus(u traffic) traffic {
	return traffic{t.Requests - u.Requests, t.Gets - u.Gets, t.Bytes - u.Bytes}
}

func (t traffic) plus(u traffic) traffic {
	return traffic{t.Requests + u.Requests, t.Gets + u.Gets, t.Bytes + u.Bytes}
}

func (p *port) sent() traffic { return traffic{p.requests.Load(), p.gets.Load(), p.body.Load()} }

// RoundTrip implements http.RoundTripper.
func (p *port) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil { // as a server has it
		req.Body = http.NoBody
	}
	defer req.Body.Close()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	pool, ok := p.net.pools.Load(req.URL.Host)
	if !ok {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, syscall.ECONNREFUSED) // as where a process has ended
	}
	time.Sleep(callLatency)
	r := reply{header: make(http.Header), status: http.StatusOK}
	pool.(*peercache.HTTPPool).ServeHTTP(&r, req)
	if req.Header.Get("Peercache-Peer") != req.Header.Get("Peercache-To") { // else it looks for itself
		p.requests.Add(1)
		p.body.Add(req.ContentLength + int64(r.body.Len()))
	}
	if strings.HasSuffix(req.URL.Path, "/get") {
		p.gets.Add(1)
	}
	return &http.Response{
		StatusCode: r.status, Status: http.StatusText(r.status), Header: r.header,
		Body: io.NopCloser(&r.body), ContentLength: int64(r.body.Len()), Request: req,
	}, nil
}

// reply is the http.ResponseWriter of a call.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }

// SetReadDeadline is what http.ResponseController wants. A call has read its request.
func (r *reply) SetReadDeadline(time.Time) error { return nil }
