package peercache

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/stream"
)

// isUpgrade reports whether a request asks for a stream.
func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") == protocolName }

// serveStream answers a request for an upgrade, and then the peer's frames until
// the connection ends.
func (p *HTTPPool) serveStream(w http.ResponseWriter) {
	if p.closed.Load() {
		http.Error(w, "peercache: "+ErrClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusNotImplemented)
		return
	}
	nc.SetDeadline(time.Time{}) // that of the server, for requests
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocolName + "\r\n\r\n"
	if _, err := io.WriteString(nc, switching); err != nil {
		nc.Close()
		return
	}
	s := stream.NewServer(nc, rw.Reader, streamHandler{p}, p.stream)
	if !p.addServer(s) {
		nc.Close()
		return
	}
	defer p.removeServer(s)
	s.Run() // what ends it is the asking peer's concern
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

// streamHandler answers the requests of all streams of a pool.
type streamHandler struct{ pool *HTTPPool }

// Hit implements stream.Handler.
func (h streamHandler) Hit(group, key []byte) (stream.Answer, bool) {
	g := h.pool.groupOf(group)
	if g == nil {
		return stream.Answer{}, false
	}
	// The key's memory is used again, but a Cache does not keep the key of a Get.
	e, ok := g.serveHit(viewOfOwn(key).s)
	if !ok {
		return stream.Answer{}, false
	}
	return stream.Answer{Value: e.View.s, TTL: e.ttl()}, true
}

// Load implements stream.Handler.
func (h streamHandler) Load(ctx context.Context, group, key string) stream.Answer {
	g := h.pool.group(group)
	if g == nil {
		return failedAnswer(unknownGroup(group))
	}
	return streamAnswer(g.serveLoad(ctx, key))
}

// LoadBatch implements stream.Handler.
func (h streamHandler) LoadBatch(ctx context.Context, group string, keys []string, answer func(int, stream.Answer)) {
	g := h.pool.group(group)
	if g == nil {
		for i := range keys {
			answer(i, failedAnswer(unknownGroup(group)))
		}
		return
	}
	g.serveLoads(ctx, keys, func(i int, e Entry, err error) { answer(i, streamAnswer(e, err)) })
}

// Remove implements stream.Handler.
func (h streamHandler) Remove(_ context.Context, group string, keys []string) *stream.Error {
	if g := h.pool.group(group); g != nil {
		g.ServeRemove(keys...)
	}
	return nil
}

func streamAnswer(e Entry, err error) stream.Answer {
	if err != nil {
		return failedAnswer(encodeError(err))
	}
	return stream.Answer{Value: e.View.s, TTL: e.ttl()}
}

func failedAnswer(e *pb.Error) stream.Answer {
	return stream.Answer{Err: &stream.Error{Kind: int32(e.GetKind()), Message: string(e.GetMessage())}}
}

// errorOfStream returns the error in an answer of a peer.
func errorOfStream(peer string, e *stream.Error) error {
	return decodeError(peer, &pb.Error{Kind: pb.Error_Kind(e.Kind), Message: []byte(e.Message)})
}
