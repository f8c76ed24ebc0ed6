package peercache

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// The requests of the plain protocol, relative to the base path:
//
//	GET  {group}/{key}    GetResponse      as golang/groupcache's
//	POST get              GetResponse      a GetRequest in the body: any key
//	POST change           ChangeResponse   a ChangeRequest in the body
//
// Headers say who asks, who is asked, and who answers: see identity.go. A GET of the base path
// itself, with the header "Upgrade: peercache", begins a stream on the connection: see the
// package stream.
const (
	getPath    = "get"
	changePath = "change"

	// longestPeerName bounds the name of the process that asks, in bytes. It is a base URL.
	longestPeerName = 512

	contentType = "application/x-protobuf"
)

// ServeHTTP answers the peers. Requests for paths outside BasePath get 404, and those that a
// browser may send for a page of somebody else get 403 (WithHosts).
func (p *HTTPPool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), p.basePath)
	if !ok { // a peer that asks for this path has another base path, or somebody strips it
		http.Error(w, fmt.Sprintf("peercache: not a path of the cache: want %s", p.basePath), http.StatusNotFound)
		return
	}
	p.identify(w.Header())
	if err := p.foreignPage(r); err != nil {
		refuse(w, r, err.Error(), http.StatusForbidden)
		return
	}
	if err := p.misdirected(r); err != nil {
		refuse(w, r, err.Error(), http.StatusMisdirectedRequest)
		return
	}
	switch {
	case len(r.Header.Get(peerHeader)) > longestPeerName:
		refuse(w, r, fmt.Sprintf("a %s of more than %d bytes", peerHeader, longestPeerName), http.StatusBadRequest)
	case r.Method == http.MethodGet && path == "" && isUpgrade(r):
		p.serveStream(w, r)
	case r.Method == http.MethodGet && r.ContentLength != 0:
		refuse(w, r, "want a GET without a body", http.StatusBadRequest)
	case r.Method == http.MethodGet:
		group, key, err := p.splitPath(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.writeGet(w, r, p.answerGet(r.Context(), Query{Group: group, Key: key, From: r.Header.Get(peerHeader)}))
	case r.Method == http.MethodPost && path == getPath:
		p.postGet(w, r)
	case r.Method == http.MethodPost && path == changePath:
		p.postChange(w, r)
	case r.Method == http.MethodPost:
		http.Error(w, fmt.Sprintf("peercache: POST %s: want %s or %s", path, getPath, changePath), http.StatusNotFound)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "peercache: want GET or POST", http.StatusMethodNotAllowed)
	}
}

// postGet answers a POST of a GetRequest.
func (p *HTTPPool) postGet(w http.ResponseWriter, r *http.Request) {
	b, ok := p.readRequest(w, r, limit{most: mostGetBytes})
	if !ok {
		return
	}
	req := new(pb.GetRequest)
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b.bytes, req)
	b.release() // what is in memory from here on is the load's
	if err != nil {
		http.Error(w, "peercache: the body is no GetRequest: "+err.Error(), http.StatusBadRequest)
		return
	}
	p.writeGet(w, r, p.answerGet(r.Context(), Query{
		Group: req.GetGroup(), Key: textOf(req.GetKey()), From: r.Header.Get(peerHeader),
		Lease: time.Duration(req.GetLeaseNs()), Digest: textOf(req.GetDigest()), CachedOnly: req.GetCachedOnly(),
		Nested: Nesting(req.GetNested()), Context: textOf(req.GetContext()),
	}))
}

// postChange answers a POST of a ChangeRequest.
func (p *HTTPPool) postChange(w http.ResponseWriter, r *http.Request) {
	b, ok := p.readRequest(w, r, p.limitOfChange())
	if !ok {
		return
	}
	defer b.release()
	req, err := decodeChange(b.bytes)
	if err != nil {
		http.Error(w, "peercache: the body is no ChangeRequest: "+err.Error(), http.StatusBadRequest)
		return
	}
	p.writeMessage(w, http.StatusOK, p.answerChange(r.Context(), r.Header.Get(peerHeader), req))
}

// splitPath takes the group and the key from the escaped path of a GET.
func (p *HTTPPool) splitPath(path string) (group, key string, err error) {
	group, key, ok := strings.Cut(path, "/")
	if !ok {
		return "", "", fmt.Errorf("peercache: want %s{group}/{key}", p.basePath)
	}
	unescape := url.PathUnescape
	if p.compat {
		// groupcache's client escapes as for a query, where a space is "+". Its
		// server does not undo that, but this one can: a plus comes as "%2B".
		unescape = url.QueryUnescape
	}
	if group, err = unescape(group); err == nil {
		key, err = unescape(key)
	}
	if err != nil {
		return "", "", fmt.Errorf("peercache: %w", err)
	}
	return group, key, nil
}

// answerGet is a peer's Get. It is terminal (P2).
func (p *HTTPPool) answerGet(ctx context.Context, q Query) *pb.GetResponse {
	if !p.serving.TryAcquire(1) {
		return &pb.GetResponse{Error: encodeRefusal(pb.Error_KIND_SHUTTING_DOWN, p.self)}
	}
	defer p.serving.Release(1)
	// Look only now: a Shutdown that began before the look is seen, and one that
	// begins after it waits for the unit that is taken.
	if p.closed.Load() {
		return &pb.GetResponse{Error: encodeRefusal(pb.Error_KIND_SHUTTING_DOWN, p.self)}
	}
	g := p.group(q.Group)
	if g == nil {
		return &pb.GetResponse{Error: p.unknownGroup(q.From, q.Group)}
	}
	a, err := g.ServeGet(ctx, q)
	resp := &pb.GetResponse{Value: a.Value, TtlNs: int64(a.TTL), Noted: a.Noted, Unchanged: a.Unchanged}
	if err != nil {
		resp.Value, resp.Error = nil, p.errorFor(q.From, g, err)
	}
	return resp
}

// answerChange is a peer's Change. It is obeyed after Shutdown too, because the
// groups of this process are still used then.
func (p *HTTPPool) answerChange(ctx context.Context, from string, req *changeRequest) *pb.ChangeResponse {
	proven := p.proven(from, req.ChangeRequest)
	heard, waits, done := p.hear(ctx, from, req.ChangeRequest, proven)
	defer done()
	resp := &pb.ChangeResponse{Unheard: !heard}
	g := p.group(req.GetGroup()) // nil: nothing is cached here
	if g != nil && waits && len(req.offered) > 0 {
		p.takeOver(ctx, g, from, req.offered)
	}
	if g != nil {
		c := Change{
			Group: req.GetGroup(), Keys: req.keys, All: req.GetAll(), From: from,
			Holders: req.GetHolders(), Wait: max(0, min(time.Duration(req.GetWaitNs()), longestLease)),
		}
		if !waits {
			c.Wait = 0
		}
		if item := req.GetItem(); item != nil {
			c.Item = &Item{Value: item.GetValue(), TTL: time.Duration(item.GetTtlNs())}
		}
		for _, h := range g.ServeChange(ctx, c) {
			reason := h.Reason[:min(len(h.Reason), mostReason)]
			resp.Pending = append(resp.Pending, &pb.Holder{Peer: h.Peer, LeftNs: int64(h.Left), Reason: []byte(reason)})
		}
	}
	if since := req.GetSince(); len(since) > 0 {
		p.answerSince(since, resp)
	}
	if req.GetMembers() {
		p.answerMembers(resp)
	}
	p.answerGroups(resp, req.GetMembers())
	if g != nil && p.own.wrong.Load() { // the change has not come to the other process
		resp.Error = encodeRefusal(pb.Error_KIND_UNKNOWN, "another process answers at the address of this one as well")
	}
	// Last: a view that came meanwhile is one that the sender must hear of.
	s := p.say(from)
	resp.View, resp.Leaving, resp.Offering, resp.Absent = s.view, s.leaving, s.offering, s.absent
	resp.Process, resp.Turn, resp.Departure, resp.Began = s.process, s.number, s.departure, s.began
	return resp
}

// largestValue is the largest that a group of the pool takes.
func (p *HTTPPool) largestValue() (n int64) {
	for _, g := range *p.groups.Load() {
		n = max(n, int64(g.maxValue))
	}
	return n
}

// statusOf gives each kind of error a status that other software on the way
// understands. What counts for the asking peer is the kind.
var statusOf = map[pb.Error_Kind]int{
	pb.Error_KIND_NOT_FOUND:     http.StatusNotFound,
	pb.Error_KIND_UNKNOWN_GROUP: http.StatusNotFound,
	pb.Error_KIND_INVALID:       http.StatusBadRequest,
	pb.Error_KIND_SHUTTING_DOWN: http.StatusServiceUnavailable,
	pb.Error_KIND_TIMEOUT:       http.StatusGatewayTimeout,
}
