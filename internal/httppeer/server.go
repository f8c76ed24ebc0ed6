package httppeer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/body"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// Server is the side that answers. It is an http.Handler, to be served at the address that the
// peers know.
type Server struct {
	cfg        Config
	process    peer.Process
	identities identities

	visitors visitors // the connections that are no streams yet
	inbound  inbound  // counts the streams on which peers ask this process
	refusals *refusalLog
	requests body.Budget  // for the bodies of plain requests
	answers  body.Budget  // for the values of plain answers
	gets     atomic.Int64 // plain requests for keys that are in progress
	changes  atomic.Int64 // plain requests with changes that are in progress

	challenges challenges

	mu      sync.Mutex
	closed  bool                        // guarded by mu; no more streams are served
	streams map[*stream.Server]verified // guarded by mu; those on which peers ask this process
}

// NewServer returns a Server that answers for p. own is the base URL of this process.
func NewServer(cfg Config, p peer.Process, own string) *Server {
	s := &Server{cfg: cfg, process: p, streams: make(map[*stream.Server]verified)}
	if u, err := url.Parse(own); err == nil {
		s.cfg.Hosts = append(slices.Clone(cfg.Hosts), HostName(u.Host))
	}
	s.refusals = &refusalLog{cmp.Or(cfg.Audit, audit.New(cfg.Log))}
	s.cfg.Connections = cfg.Connections.WithDefaults()
	s.visitors.init(s.cfg.Connections, s.refusals)
	s.inbound.init(cfg.Limits)
	s.requests.Most, s.answers.Most = cfg.RequestBytes, cfg.AnswerBytes
	return s
}

// Close ends the streams. Each ends when the requests on it are answered, at the latest when ctx
// ends.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	streams := slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	var all errgroup.Group
	for _, one := range streams {
		all.Go(func() error { return one.Close(ctx) })
	}
	return all.Wait()
}

// ServeHTTP answers the peers. Requests for paths outside the base path get 404, and those that a
// browser may send for a page of somebody else get 403 (peercache.WithHosts).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), s.cfg.BasePath)
	if !ok { // the peer has another base path, or something on the way strips it
		http.Error(w, fmt.Sprintf("peercache: not a path of the cache: want %s", s.cfg.BasePath), http.StatusNotFound)
		return
	}
	s.identities.set(w.Header(), s.process.Identity())
	if err := s.foreignPage(r); err != nil {
		refuse(w, r, err.Error(), http.StatusForbidden)
		return
	}
	from := identityOf(r.Header)
	trust, err := s.authenticate(w, r, path, from)
	switch {
	case err == errStale:
		refuse(w, r, err.Error(), http.StatusUnauthorized)
		return
	case err != nil:
		s.refuseStranger(w, r, from, err)
		return
	}
	from.Trust = trust
	if s.proves(path, from.Name) {
		s.visitors.prove(r, s.countedAs(from.Name))
	}
	h, err := s.process.Accept(from, r.Header.Get(toHeader))
	if err != nil {
		refuse(w, r, err.Error(), http.StatusMisdirectedRequest)
		return
	}
	switch {
	case len(from.Name) > peerurl.Longest:
		refuse(w, r, fmt.Sprintf("a %s of more than %d bytes", peerHeader, peerurl.Longest), http.StatusBadRequest)
	case r.Method == http.MethodGet && path == "" && isUpgrade(r):
		s.serveStream(w, r, h, from)
	case r.Method == http.MethodGet && r.ContentLength != 0:
		refuse(w, r, "want a GET without a body", http.StatusBadRequest)
	case r.Method == http.MethodGet:
		group, key, err := s.splitPath(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.inProgress(w, r, &s.gets, func() { s.answerGet(w, r, h, &peer.Query{Group: group, Key: key}) })
	case r.Method == http.MethodPost && path == getPath:
		s.inProgress(w, r, &s.gets, func() { s.postGet(w, r, h) })
	case r.Method == http.MethodPost && path == changePath:
		s.inProgress(w, r, &s.changes, func() { s.postChange(w, r, h) })
	case r.Method == http.MethodPost:
		http.Error(w, fmt.Sprintf("peercache: POST %s: want %s or %s", path, getPath, changePath), http.StatusNotFound)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "peercache: want GET or POST", http.StatusMethodNotAllowed)
	}
}

// refuseStranger refuses a request, and logs why.
func (s *Server) refuseStranger(w http.ResponseWriter, r *http.Request, from peer.Identity, err error) {
	s.refusals.refuse("a request was refused", from, r.RemoteAddr, err)
	text := err.Error()
	if _, ok := errors.AsType[unnamed](err); ok {
		text = "the sender is not known here"
	}
	w.Header().Set("Connection", "close") // there is nothing more to ask
	refuse(w, r, text, http.StatusForbidden)
}

// proves reports whether the sender of a request that was let in is a peer. With a secret, a request
// for a stream has proven nothing yet. Where nobody has to prove anything, whoever has the name of a
// peer counts as that peer.
func (s *Server) proves(path, from string) bool {
	switch {
	case len(s.cfg.Secrets) > 0:
		return path != ""
	case s.cfg.TLS != nil || s.cfg.Authenticator != nil:
		return true
	}
	return s.cfg.Groupcache || s.cfg.Knows(from)
}

// unlisted stands for all names that are on no list.
const unlisted = "unlisted"

// countedAs returns the name by which the idle connections of a peer are counted. Who has a secret, or a
// certificate, can make up names without end, with other ports if nothing else: those that are on no
// list have one number together.
func (s *Server) countedAs(name string) string {
	if name == "" || s.cfg.Knows(name) {
		return name
	}
	return unlisted
}

// errTooManyRequests says that the limit of plain requests is reached. The status is 429.
var errTooManyRequests = errors.New("as many requests are in progress as Limits.PlainRequests allows")

// inProgress answers a request, and counts it in count meanwhile. It refuses one that is too many.
func (s *Server) inProgress(w http.ResponseWriter, r *http.Request, count *atomic.Int64, answer func()) {
	defer count.Add(-1)
	if count.Add(1) > int64(s.cfg.Connections.PlainRequests) {
		s.refuseBusy(w, r, errTooManyRequests)
		return
	}
	answer()
}

// postGet answers a POST of a GetRequest.
func (s *Server) postGet(w http.ResponseWriter, r *http.Request, h peer.Handler) {
	b, ok := s.readRequest(w, r, limit{most: mostGetBytes})
	if !ok {
		return
	}
	req := new(pb.GetRequest)
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b.Bytes, req)
	b.Release() // from here on the memory counts as the load's
	if err != nil {
		http.Error(w, "peercache: the body is no GetRequest: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.answerGet(w, r, h, &peer.Query{
		Group: req.GetGroup(), Key: wire.StringOf(req.GetKey()),
		Lease: time.Duration(req.GetLeaseNs()), Digest: wire.StringOf(req.GetDigest()), CachedOnly: req.GetCachedOnly(),
		Nested: peer.Nesting(req.GetNested()), Context: wire.StringOf(req.GetContext()),
	})
}

// answerGet answers a request for a key. It asks no other peer (P2).
func (s *Server) answerGet(w http.ResponseWriter, r *http.Request, h peer.Handler, q *peer.Query) {
	q.Trace = traceOf(r.Header)
	a, err := h.Hit(q)
	if err == peer.ErrNotCached {
		a, err = h.Load(r.Context(), q)
	}
	resp := &pb.GetResponse{Value: a.Value, TtlNs: int64(a.TTL), Noted: a.Noted, Unchanged: a.Unchanged}
	if err != nil {
		resp.Value, resp.Error = nil, peer.EncodeError(err)
	}
	s.writeGet(w, r, resp)
}

// postChange answers a POST of a ChangeRequest.
func (s *Server) postChange(w http.ResponseWriter, r *http.Request, h peer.Handler) {
	b, ok := s.readRequest(w, r, s.limitOfChange())
	if !ok {
		return
	}
	defer b.Release()
	c, err := peer.DecodeChange(b.Bytes)
	if err != nil {
		http.Error(w, "peercache: the body is no ChangeRequest: "+err.Error(), http.StatusBadRequest)
		return
	}
	if trace := traceOf(r.Header); trace != "" {
		c.Trace = trace
	}
	changed, answer := h.Change(r.Context(), c)
	body, err := peer.EncodeChanged(&changed, answer)
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusInternalServerError)
		return
	}
	status := http.StatusOK
	if peer.IsUnauthorized(answer) {
		status = http.StatusForbidden // the body says what this process would, too
	}
	s.write(w, status, body, nil)
}
