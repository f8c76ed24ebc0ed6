package peercache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/stream"
)

// isUpgrade reports whether a request asks for a stream. Whether it may, checkUpgrade says.
func isUpgrade(r *http.Request) bool { return hasToken(r.Header["Upgrade"], protocolName) }

// hasToken reports whether one of the elements of a header's lists is token, in any case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for element := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// checkUpgrade returns an error if what asks for a stream is no request for an upgrade as
// RFC 9110, 7.8, has it. Something on the way that does not know upgrades may have passed
// it on, and would take the frames for something else.
func checkUpgrade(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return fmt.Errorf("an upgrade from %s: want HTTP/1.1", r.Proto)
	case !hasToken(r.Header["Connection"], "upgrade"):
		return errors.New("an upgrade without the header \"Connection: Upgrade\"")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return errors.New("an upgrade with a body: want none")
	}
	return nil
}

// noStreamsHere is what a pool that has a WithoutStream says to who asks for one.
const noStreamsHere = "this process uses no streams (WithoutStream)"

// serveStream answers a request for an upgrade, and then the peer's frames until
// the connection ends.
func (p *HTTPPool) serveStream(w http.ResponseWriter, r *http.Request) {
	if !p.streams {
		refuse(w, r, noStreamsHere, http.StatusNotFound)
		return
	}
	if err := checkUpgrade(r); err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusBadRequest)
		return
	}
	from := r.Header.Get(peerHeader)
	if p.closed.Load() {
		http.Error(w, "peercache: "+ErrClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	leave, err := p.inbound.enter(from, p.knows(from))
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer leave()
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusNotImplemented)
		return
	}
	nc.SetDeadline(time.Time{}) // that of the server, for requests
	if err := p.writeSwitching(nc); err != nil {
		nc.Close()
		return
	}
	s := stream.NewServer(nc, rw.Reader, streamHandler{p, from, new(aged)}, p.stream)
	if !p.addServer(s) {
		nc.Close()
		return
	}
	defer p.removeServer(s)
	s.Run() // what ends it is the asking peer's concern
}

// writeSwitching gives a request for an upgrade its answer.
func (p *HTTPPool) writeSwitching(nc io.Writer) error {
	header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocolName}}
	p.identify(header)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(&b)
	b.WriteString("\r\n")
	_, err := nc.Write(b.Bytes())
	return err
}

// addServer takes note of a stream that is served, unless the pool is closed.
func (p *HTTPPool) addServer(s *stream.Server) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return false
	}
	p.servers[s] = struct{}{}
	return true
}

func (p *HTTPPool) removeServer(s *stream.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.servers, s)
}

// streamHandler answers the requests of one stream.
type streamHandler struct {
	pool *HTTPPool
	from string // the peer that asks
	old  *aged  // what is to be loaded again of the batch whose hits are being served
}

// queryOf returns what is asked for on the stream.
func (h streamHandler) queryOf(q *stream.Query) Query {
	return Query{Group: q.Group, Key: q.Key, From: h.from, Lease: q.Lease, Digest: q.Digest, CachedOnly: q.CachedOnly, Nested: Nesting(q.Nested), Context: q.Context}
}

// Hit implements stream.Handler. The query's memory is used again, but a Cache does not
// keep the key of a Get.
func (h streamHandler) Hit(q stream.Query) (a stream.Answer, ok bool) {
	g := h.pool.group(q.Group)
	if g == nil {
		return stream.Answer{}, false
	}
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's; Load will say so
			a, ok = stream.Answer{}, false
		}
	}()
	query := h.queryOf(&q)
	if !q.More && h.old.keys == nil {
		s, ok := g.serveHit(&query, nil)
		return h.answer(g, &s), ok
	}
	s, ok := g.serveHit(&query, h.old)
	if !q.More {
		g.renewAll(g.carrying(context.Background(), q.Context), h.old)
	}
	return h.answer(g, &s), ok
}

// Load implements stream.Handler.
func (h streamHandler) Load(ctx context.Context, q stream.Query) (a stream.Answer) {
	g := h.pool.group(q.Group)
	if g == nil {
		return failedAnswer(h.pool.unknownGroup(h.from, q.Group))
	}
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's
			g.panicked("the cache", q.Key, r)
			a = failedAnswer(encodeError(fmt.Errorf("panic: %v", r)))
		}
	}()
	query := h.queryOf(&q)
	s := g.serveLoad(ctx, &query)
	return h.answer(g, &s)
}

// LoadBatch implements stream.Handler.
func (h streamHandler) LoadBatch(ctx context.Context, q stream.Query, keys []string, answer func(int, stream.Answer)) {
	g := h.pool.group(q.Group)
	if g == nil {
		refusal := h.pool.unknownGroup(h.from, q.Group)
		for i := range keys {
			answer(i, failedAnswer(refusal))
		}
		return
	}
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's; those not answered are errors
			g.panicked("the cache", keys[0], r)
		}
	}()
	query := h.queryOf(&q)
	g.serveLoads(ctx, &query, keys, func(i int, s served) { answer(i, h.answer(g, &s)) })
}

// ChangeWaits implements stream.Handler.
func (h streamHandler) ChangeWaits(request []byte) stream.Waits { return changeWaits(request) }

// Change implements stream.Handler.
func (h streamHandler) Change(ctx context.Context, request []byte) []byte {
	resp := new(pb.ChangeResponse)
	if req, err := decodeChange(request); err != nil {
		resp.Error = encodeRefusal(pb.Error_KIND_INVALID, err.Error())
	} else {
		resp = h.pool.answerChange(ctx, h.from, req)
	}
	b, err := proto.Marshal(resp)
	if err != nil { // a text that is no text
		b, _ = proto.Marshal(&pb.ChangeResponse{Error: encodeRefusal(pb.Error_KIND_INVALID, err.Error())})
	}
	return b
}

func (h streamHandler) answer(g *Group, s *served) stream.Answer {
	a := stream.Answer{Value: s.view.s, TTL: s.ttl, Noted: s.noted, Unchanged: s.unchanged}
	if s.err != nil {
		a.Value, a.Err = "", failedAnswer(h.pool.errorFor(h.from, g, s.err)).Err
	}
	return a
}

func failedAnswer(e *pb.Error) stream.Answer {
	return stream.Answer{Err: &stream.Error{Kind: int32(e.GetKind()), Message: string(e.GetMessage())}}
}

// errorOfStream returns the error in an answer of a peer.
func errorOfStream(peer string, e *stream.Error) error {
	return decodeError(peer, &pb.Error{Kind: pb.Error_Kind(e.Kind), Message: []byte(e.Message)})
}
