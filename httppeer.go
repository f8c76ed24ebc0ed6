package peercache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/stream"
)

// httpPeer is a peer that is spoken to on a stream, where it knows that, and by
// the plain protocol for the rest.
type httpPeer struct {
	pool *HTTPPool
	url  string
	link *link // nil: the plain way alone

	large chan struct{} // has one for each large value that is asked for now

	breaker  breaker
	pulse    pulse
	trying   atomic.Bool // an attempt to reach the peer by the plain way is in progress
	calls    plainCalls
	answerer answerer
	inView   context.Context    // ends when the peer has no part in the view any more
	depart   context.CancelFunc // ends inView

	disagreements atomic.Int64 // times it was heard to have another view
	untold        atomic.Int64 // an Instant: see tellDeparted; 0: it was told of all changes since it left
}

func newHTTPPeer(p *HTTPPool, url string) *httpPeer {
	h := newPlainPeer(p, url)
	if p.streams {
		h.link = &link{pool: p, url: url, peer: h, breaker: &h.breaker}
	}
	return h
}

// newPlainPeer makes one that is spoken to by the plain way alone.
func newPlainPeer(p *HTTPPool, url string) *httpPeer {
	h := &httpPeer{pool: p, url: url, large: make(chan struct{}, p.largeAtOnce)}
	h.inView, h.depart = context.WithCancel(context.Background())
	h.breaker = breaker{peer: url, log: p.log, probe: h.tryAgain, counts: h.counts, pace: &p.pace, born: Now()}
	h.pulse = pulse{detect: p.detectionTime(), ask: h.signOfLife, silent: h.failedPlainly}
	return h
}

// counts reports whether the peer is in the view, and this process not about to end.
func (h *httpPeer) counts() bool {
	v := h.pool.view.Load()
	return v != nil && v.has(h.url) == h && !h.pool.leaving.Load()
}

// newToldPeer makes one that is told of changes, by the plain way, and asked for nothing:
// so it has no use for its breaker, which would try for ever to reach one that hangs.
func newToldPeer(p *HTTPPool, url string) *httpPeer {
	h := newPlainPeer(p, url)
	h.breaker.end()
	h.depart()
	return h
}

// part ends the link when what is in flight on it is answered, or ctx has ended. The peer
// can still be asked by the plain way.
func (h *httpPeer) part(ctx context.Context) {
	h.breaker.end()
	h.depart()
	if h.link != nil {
		h.link.close(ctx)
	}
}

// mostOverhead is what a response may have beyond its value: error text, fields
// of later versions.
const mostOverhead = 64 << 10

// Name implements Peer.
func (h *httpPeer) Name() string { return h.url }

// Get implements Peer.
func (h *httpPeer) Get(ctx context.Context, q Query) (a Answer, err error) {
	if h.pool.closed.Load() { // it is alone now
		return Answer{}, &PeerError{Peer: h.url, Err: ErrClosed}
	}
	var answer error
	large := false
	plain, err := h.onLink(ctx, func(l *stream.Link) (plain bool, err error) {
		said, err := l.Get(ctx, streamQuery(&q))
		if err == nil && !said.Plain {
			_, maxValue := h.limits(q.Group)
			a, answer = h.answer(said, maxValue)
		}
		large = said.Plain
		return large, err
	})
	switch {
	case err != nil:
		return Answer{}, err
	case large:
		return h.getLarge(ctx, &q)
	case plain:
		return h.getPlain(ctx, &q)
	}
	return a, answer
}

func streamQuery(q *Query) *stream.Query {
	return &stream.Query{Group: q.Group, Key: q.Key, Lease: q.Lease, Digest: q.Digest, CachedOnly: q.CachedOnly, Nested: uint32(q.Nested), Context: q.Context}
}

// onLink asks on the link, and once more on another one if the first turns out to
// be broken. Its error is ctx's or, when there was no answer, a *PeerError. It
// reports whether to ask by the plain way, as ask may.
func (h *httpPeer) onLink(ctx context.Context, ask func(*stream.Link) (plain bool, err error)) (plain bool, err error) {
	if h.link == nil {
		return true, nil
	}
	for try := 0; ; try++ {
		l, err := h.link.get(ctx)
		unlinked := err != nil
		if !unlinked {
			plain, err = ask(l)
		}
		switch {
		case err == nil:
			return plain, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, errNoStream), errors.Is(err, stream.ErrTooLarge), errors.Is(err, stream.ErrInvalid):
			return true, nil
		case unlinked, try > 0:
			return false, &PeerError{Peer: h.url, Err: err}
		}
	}
}

// connect implements linkedPeer.
func (h *httpPeer) connect(ctx context.Context) {
	if h.link != nil && !h.pool.closed.Load() {
		h.link.get(ctx)
	}
}

// start implements linkedPeer.
func (h *httpPeer) start(r *request) (n int, s sent, crowded bool) {
	if h.link == nil || h.pool.closed.Load() {
		return 0, s, false
	}
	l := h.link.ready()
	if l == nil {
		return 0, s, false
	}
	r.peer = h
	_, maxValue := h.limits(r.group)
	r.maxValue = int32(maxValue) // at most mostValueBytes
	q := r.query(0)
	query := streamQuery(&q)
	query.Limit = r.waiter.limit()
	if len(r.keys) == 1 {
		id, err := l.Ask(r, query)
		if err != nil {
			return 0, s, errors.Is(err, stream.ErrFull)
		}
		return 1, sent{l, id}, false
	}
	query.Digest = ""
	digests := r.waiter.digests()
	for n < len(r.keys) {
		if digests != nil {
			query.Digests = digests[n:]
		}
		_, asked, err := l.AskBatch(r, n, query, r.keys[n:])
		if err != nil {
			return n, s, errors.Is(err, stream.ErrFull)
		}
		n += asked
	}
	return n, s, false
}

// sent is a request for one key that was sent on a link.
type sent struct {
	link *stream.Link
	id   stream.ID
}

// cancel withdraws the request. It reports whether there was no answer so far, and
// then there will be none.
func (s sent) cancel() bool { return s.link.Cancel(s.id) }

// Answer implements stream.Waiter.
func (r *request) Answer(i int, said stream.Answer, err error) {
	switch {
	case errors.Is(err, stream.ErrOverdue):
		r.waiter.answer(i, Answer{}, &unansweredError{r.peer.url, r.waiter.limit()})
	case err != nil:
		r.waiter.answer(i, Answer{}, &PeerError{Peer: r.peer.url, Err: err})
	case said.Plain:
		r.waiter.plain(i)
	default:
		a, err := r.peer.answer(said, int(r.maxValue))
		r.waiter.answer(i, a, err)
	}
}

// answer returns what a peer said on a stream.
func (h *httpPeer) answer(said stream.Answer, maxValue int) (Answer, error) {
	a := Answer{Item{TTL: said.TTL}, said.Noted, said.Unchanged}
	if said.Err != nil {
		return a, errorOfStream(h.url, said.Err)
	}
	if len(said.Value) > maxValue {
		return Answer{}, h.tooLarge(len(said.Value), maxValue)
	}
	a.Value = ByteView{said.Value}.bytes()
	return a, nil
}

func (h *httpPeer) tooLarge(size, most int) error {
	return fmt.Errorf("%w: peer %s answered %d bytes, want at most %d", ErrValueSize, h.url, size, most)
}

// getPlain asks for one key by a request of its own, unless the breaker is open, and waits
// for it as long as the peer gives signs of life.
func (h *httpPeer) getPlain(ctx context.Context, q *Query) (a Answer, err error) {
	if err := h.breaker.refusal(); err != nil {
		return Answer{}, &PeerError{Peer: h.url, Err: err}
	}
	timeout, _ := h.limits(q.Group)
	for until, wait := Now()+Instant(timeout), firstBackoff; ; wait = min(2*wait, retellAfter) {
		err = h.watched(ctx, func(ctx context.Context) error {
			a, err = h.exchangePlain(ctx, q)
			return err
		})
		if q.CachedOnly || !h.endedEarly(ctx, err) {
			break
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
		if Now() >= until { // an answer: to have another peer load it as well would be no better
			return Answer{}, fmt.Errorf("peer %s: %w: its server ends requests before they are answered: %w", h.url, context.DeadlineExceeded, err)
		}
	}
	if ctx.Err() == nil && !errors.Is(err, errSilent) { // else it is judged already
		h.judge(err)
	}
	return a, err
}

// endedEarly reports whether the server of a peer which is there has ended a request that
// the peer had not answered. That one goes on with the load: who asks again joins it.
func (h *httpPeer) endedEarly(ctx context.Context, err error) bool {
	if ctx.Err() != nil || !errors.Is(err, errLost) && !errors.Is(err, errGateway) || gone(err) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, h.pool.detectionTime())
	defer cancel()
	if h.signOfLife(ctx) != nil {
		return false
	}
	h.pool.problems.degraded(h.url, endsEarly, "the server of a peer ends requests before they are answered: want its WriteTimeout, or http.TimeoutHandler, longer than a load, and a proxy's timeouts too", err)
	return true
}

// watched asks the peer by the plain way, for as long as it gives signs of life.
func (h *httpPeer) watched(ctx context.Context, ask func(context.Context) error) error {
	watched, left := h.pulse.watch(ctx)
	defer left()
	err := ask(watched)
	if ctx.Err() == nil && watched.Err() != nil {
		return &PeerError{Peer: h.url, Err: context.Cause(watched)}
	}
	return err
}

// exchangePlain sends the request for one key, and reads the answer.
func (h *httpPeer) exchangePlain(ctx context.Context, q *Query) (Answer, error) {
	timeout, maxValue := h.limits(q.Group)
	var resp pb.GetResponse
	decode := func(data []byte) error { return proto.Unmarshal(data, &resp) }
	err := errRedirected
	if h.pool.compat { // golang/groupcache knows only paths
		path := escapeSegment(q.Group) + "/" + escapeSegment(q.Key)
		err = h.call(ctx, timeout, http.MethodGet, path, nil, maxValue, decode)
	}
	if errors.Is(err, errRedirected) {
		var body []byte
		if body, err = proto.Marshal(&pb.GetRequest{
			Group: q.Group, Key: []byte(q.Key), LeaseNs: int64(q.Lease), Digest: []byte(q.Digest), CachedOnly: q.CachedOnly, Nested: uint32(q.Nested),
			Context: []byte(q.Context),
		}); err != nil {
			return Answer{}, err
		}
		err = h.call(ctx, timeout, http.MethodPost, getPath, body, maxValue, decode)
	}
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Item{TTL: time.Duration(resp.GetTtlNs())}, resp.GetNoted(), resp.GetUnchanged()}
	if h.pool.compat {
		a.Noted = true // there are no notes in such a fleet, and no promise
	}
	if e := resp.GetError(); e != nil {
		return a, decodeError(h.url, e)
	}
	if len(resp.GetValue()) > maxValue {
		return Answer{}, h.tooLarge(len(resp.GetValue()), maxValue)
	}
	a.Value = resp.GetValue()
	return a, nil
}

// Change implements Peer.
func (h *httpPeer) Change(ctx context.Context, c Change) ([]Holder, error) {
	held, _, err := h.tell(ctx, c)
	return held, err
}

// tell does what Change does, and also returns whether the peer is leaving.
func (h *httpPeer) tell(ctx context.Context, c Change) (held []Holder, leaving bool, err error) {
	req := &pb.ChangeRequest{Group: c.Group, All: c.All, Holders: c.Holders, WaitNs: int64(c.Wait), Announced: c.Announced}
	if c.Item != nil {
		req.Item = &pb.Item{Value: c.Item.Value, TtlNs: int64(c.Item.TTL)}
	}
	for keys := c.Keys; ; {
		req.Keys = nil
		for size := 0; len(keys) > 0 && (size == 0 || size+len(keys[0]) <= changeBytes); keys = keys[1:] {
			req.Keys = append(req.Keys, []byte(keys[0]))
			size += len(keys[0]) + 8
		}
		resp, err := h.change(ctx, req)
		if err != nil {
			return held, false, err
		}
		for _, holder := range resp.GetPending() {
			held = append(held, h.holder(holder))
		}
		if len(keys) == 0 {
			return held, resp.GetLeaving(), nil
		}
	}
}

// changeBytes is how large a request is made, at most, where more than one key is in it.
const changeBytes = 1 << 20

// change sends one request.
func (h *httpPeer) change(ctx context.Context, req *pb.ChangeRequest) (*pb.ChangeResponse, error) {
	s := h.pool.say(h.url)
	req.View, req.Leaving, req.Offering, req.Absent = s.view, s.leaving, s.offering, s.absent
	req.Departure, req.Process, req.Turn = s.departure, s.process, s.number
	req.Token, req.Proof = h.pool.token(h.url), h.pool.proofFor(h.url)
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	resp := new(pb.ChangeResponse)
	plain := len(req.Since) > 0 || req.Members // the answer may be too long for a frame
	if !plain {
		plain, err = h.onLink(ctx, func(l *stream.Link) (bool, error) {
			said, err := l.Change(ctx, body)
			if err == nil {
				err = decodeChanged([]byte(said), resp)
			}
			return false, err
		})
	}
	switch {
	case err != nil && ctx.Err() == nil:
		err = h.changeUnlinked(ctx, req, resp)
	case plain:
		err = h.changePlain(ctx, req, resp)
		if errors.Is(err, errSilent) {
			// A network that is slow for a moment looks like that too. A Get goes to the
			// next peer then, but a change would have failed.
			err = h.changePlain(ctx, req, resp)
		}
	}
	if err != nil {
		return nil, err
	}
	if s.leaving && !resp.GetUnheard() {
		h.pool.witness(h.url)
	}
	h.pool.heard(h.url, saidInAnswer(resp))
	h.pool.watch.saidGroups(h.url, resp.GetGroups())
	if e := resp.GetError(); e != nil {
		return nil, decodeError(h.url, e)
	}
	return resp, nil
}

// changePlain sends one request by the plain way, and waits for the answer as long as the
// peer gives signs of life.
func (h *httpPeer) changePlain(ctx context.Context, req *pb.ChangeRequest, resp *pb.ChangeResponse) error {
	timeout, _ := h.limits(req.GetGroup())
	return h.watched(ctx, func(ctx context.Context) error {
		return h.callChange(ctx, sum(timeout, time.Duration(req.GetWaitNs())), req, resp)
	})
}

// changeUnlinked sends one request to a peer that cannot be asked on its link. One that is
// leaving takes no streams any more, but obeys this. One that is gone, or hangs, must not be
// waited for as if it told its holders.
func (h *httpPeer) changeUnlinked(ctx context.Context, req *pb.ChangeRequest, resp *pb.ChangeResponse) error {
	req.WaitNs = min(req.WaitNs, int64(h.pool.detectionTime()))
	return h.callChange(ctx, h.pool.handshakeTimeout()+time.Duration(req.GetWaitNs()), req, resp)
}

func (h *httpPeer) callChange(ctx context.Context, timeout time.Duration, req *pb.ChangeRequest, resp *pb.ChangeResponse) error {
	body, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	return h.call(ctx, timeout, http.MethodPost, changePath, body, 0, func(data []byte) error { return decodeChanged(data, resp) })
}

// limits returns how long a request for the group may take, and how large a
// value may come back.
func (h *httpPeer) limits(group string) (timeout time.Duration, maxValue int) {
	timeout, maxValue = DefaultLoadTimeout, DefaultMaxValueBytes
	if g := h.pool.group(group); g != nil {
		timeout, maxValue = g.loadTimeout, g.maxValue
	}
	if h.pool.peerTimeout > 0 {
		return h.pool.peerTimeout, maxValue
	}
	return sum(timeout, time.Second), maxValue
}

// errRedirected says that a mux on the way takes the path of a request for
// another one. The key has to go in the body then.
var errRedirected = errors.New("redirected")

// escapeSegment puts s into a form in which a URL's path has it as one segment,
// which no mux that looks at the escaped path takes for something else.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}

// callOnce sends one request, and has decode decode the response, which may hold a value of
// maxValue bytes. An error of the transport, or a response that is not the protocol's, is a
// *PeerError.
func (h *httpPeer) callOnce(ctx context.Context, method, path string, body []byte, maxValue int, decode func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, method, h.url+h.pool.basePath+path, bytes.NewReader(body))
	if err != nil {
		return &PeerError{Peer: h.url, Err: err}
	}
	h.pool.address(req.Header, h.url)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
		// Not sent, but it allows the transport to try again when the peer
		// has closed an idle connection.
		req.Header["Idempotency-Key"] = nil
	}
	asked := Now()
	received := 0
	h.calls.begin(path, len(body))
	defer func() { h.calls.end(received, time.Duration(Now()-asked)) }()
	httpResp, err := h.pool.transport.RoundTrip(req)
	if err != nil {
		return &PeerError{Peer: h.url, Err: h.noResponse(ctx, err)}
	}
	defer httpResp.Body.Close()
	if err := h.checkAnswerer(httpResp, asked); err != nil {
		return &PeerError{Peer: h.url, Err: err}
	}
	h.pulse.beat()
	httpResp.Body = beatingBody{httpResp.Body, &h.pulse}
	data, err := readBody(httpResp, int64(maxValue)+mostOverhead)
	received = len(data)
	if err != nil {
		return &PeerError{Peer: h.url, Err: lost(ctx, err)}
	}
	if err := h.checkResponse(httpResp, data); err != nil {
		return err
	}
	if err := decode(data); err != nil {
		return &PeerError{Peer: h.url, Err: fmt.Errorf("%w: it is no protobuf: %w", errForeign, err)}
	}
	return nil
}

// mostTrusted is the memory that is set aside for a response by what its header
// says, in bytes.
const mostTrusted = 1 << 20

// readBody reads the body of a response of at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("a response of %d bytes: want at most %d", resp.ContentLength, limit)
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		// MinRead, or ReadFrom grows it again. No more than mostTrusted for what
		// is only announced: a peer may announce and send nothing.
		buf.Grow(int(min(resp.ContentLength, mostTrusted)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("a response of more than %d bytes", limit)
	}
	return buf.Bytes(), err
}

// checkResponse returns an error if a response is not one of the protocol's
// messages.
func (h *httpPeer) checkResponse(resp *http.Response, body []byte) error {
	if resp.Header.Get("Content-Type") == contentType {
		return nil // also with an error's status: the message says which
	}
	if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get(peerHeader) != "" {
		return &PeerError{Peer: h.url, Err: errPeerBusy}
	}
	text := strings.TrimSpace(string(body[:min(len(body), 1024)]))
	if h.pool.compat && resp.StatusCode == http.StatusInternalServerError {
		// So golang/groupcache sends the error of a getter.
		return &RemoteError{Peer: h.url, Message: text}
	}
	if resp.StatusCode/100 == 3 {
		return &PeerError{Peer: h.url, Err: fmt.Errorf("%w: HTTP status %s", errRedirected, statusText(resp))}
	}
	err := statusError(resp, text)
	if resp.StatusCode/100 == 2 || fromGateway(resp.StatusCode) {
		err = fmt.Errorf("%w: %w", errForeign, err)
	}
	return &PeerError{Peer: h.url, Err: err}
}
