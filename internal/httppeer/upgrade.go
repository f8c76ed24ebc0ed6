package httppeer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// isUpgrade reports whether r asks for a stream. checkUpgrade says whether it may.
func isUpgrade(r *http.Request) bool { return hasToken(r.Header["Upgrade"], protocolName) }

// hasToken reports whether token is one of the elements of the lists of a header. Upper and lower
// case are the same.
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

// checkUpgrade returns an error if r, which asks for a stream, is not a request for an upgrade as
// in RFC 9110, section 7.8. Something on the way that does not know upgrades may have passed it on,
// and would not understand the frames.
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

// noStreamsHere is the answer of a pool WithoutStream to a request for a stream.
const noStreamsHere = "this process uses no streams (WithoutStream)"

// takesStream reports whether r is a request for a stream that this process may serve. If not, it
// refuses r.
func (s *Server) takesStream(w http.ResponseWriter, r *http.Request) bool {
	if !s.cfg.Streams {
		refuse(w, r, noStreamsHere, http.StatusNotFound)
		return false
	}
	if err := checkUpgrade(r); err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusBadRequest)
		return false
	}
	if s.isClosed() {
		http.Error(w, "peercache: "+peer.ErrClosed.Error(), http.StatusServiceUnavailable)
		return false
	}
	return true
}

// serveStream answers a request of the peer from for a stream, and has the stream served until it
// ends. That is in a goroutine of its own: this one and what it has, the request and the buffers of
// net/http among it, would cost as much as the rest of a stream that has nothing to do.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, h peer.Handler, from peer.Identity) {
	if !s.takesStream(w, r) {
		return
	}
	header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocolName}}
	x, err := s.answerChallenge(r, header)
	if err != nil {
		s.refuseStranger(w, r, from, err)
		return
	}
	known := s.cfg.Knows(from.Name)
	leave := func() {}
	if x == nil {
		leave, err = s.inbound.enter(from.Name, known)
	} else { // a stranger must not take the places of the peer whose name he gives
		err = s.inbound.full(from.Name, known)
	}
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	serves := false
	defer func() {
		if !serves {
			leave()
		}
	}()
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusNotImplemented)
		return
	}
	err = s.openStream(nc, rw.Reader, header, x)
	if err == nil && x != nil {
		if leave, err = s.inbound.enter(from.Name, known); err != nil {
			leave = func() {} // others have come since
		}
	}
	if err != nil {
		if err == errNoSecret {
			s.refusals.refuse("a stream was refused", from, r.RemoteAddr, err)
		}
		nc.Close()
		return
	}
	cfg := s.cfg.Stream
	cfg.Stranger = !known
	served := stream.NewServer(nc, rw.Reader, h, cfg)
	if !s.add(served, verified{r.TLS, from.Name}) {
		nc.Close()
		return
	}
	serves = true
	go func() {
		defer leave()
		defer s.remove(served)
		defer s.recovered(nc, from.Name)
		served.Run() // its error concerns the peer that asks
	}()
}

// openStream answers a request for a stream and checks the asker's proof. Until then the connection
// is a stranger's.
func (s *Server) openStream(nc net.Conn, from io.Reader, header http.Header, x *exchange) error {
	if x != nil {
		defer s.visitors.leave(s.visitors.enter(nc))
	}
	nc.SetDeadline(time.Now().Add(s.cfg.Limits.HelloTimeout)) // in place of the http.Server's, which was for the request
	err := s.writeSwitching(nc, header)
	if err == nil {
		err = s.readProof(x, from)
	}
	nc.SetDeadline(time.Time{})
	return err
}

// recovered ends a stream on which the handler has panicked, as net/http does with a request.
func (s *Server) recovered(nc net.Conn, from string) {
	if r := recover(); r != nil {
		s.cfg.Log.Error("a panic while a peer was answered", "peer", from, "panic", r, "stack", string(debug.Stack()))
		nc.Close()
	}
}

// writeSwitching writes the response to a request for an upgrade.
func (s *Server) writeSwitching(nc io.Writer, header http.Header) error {
	s.identities.set(header, s.process.Identity())
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(&b)
	b.WriteString("\r\n")
	_, err := nc.Write(b.Bytes())
	return err
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// add records a stream that is being served. It reports false if the server is closed.
func (s *Server) add(one *stream.Server, by verified) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.streams[one] = by
	return true
}

func (s *Server) remove(one *stream.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, one)
}

// inbound counts the streams on which peers ask this process, and bounds them.
type inbound struct {
	limits Limits // not changed after init

	mu      sync.Mutex
	byName  map[string]int // guarded by mu; streams of each peer that has any
	all     int            // guarded by mu
	unknown int            // guarded by mu; streams of peers that were not in the view
}

func (in *inbound) init(l Limits) { in.limits, in.byName = l, make(map[string]int) }

// full returns an error if there may be no more streams of the peer name, and says which limit is
// reached. known says whether the peer is in the view.
func (in *inbound) full(name string, known bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.reached(name, known)
}

// reached does what full does. The caller holds in.mu.
func (in *inbound) reached(name string, known bool) error {
	l := &in.limits
	switch {
	case in.all >= l.Streams:
		return fmt.Errorf("%d streams are open: want at most as many", in.all)
	case in.byName[name] >= l.StreamsPerPeer:
		return fmt.Errorf("%d streams are open of the peer %s: want at most as many", in.byName[name], quote.Key(name))
	case !known && in.unknown >= max(1, l.Streams/2):
		return fmt.Errorf("%d streams are open of peers that are not in the view: want at most as many", in.unknown)
	}
	return nil
}

// enter counts one more stream of the peer name, and returns a func that takes it back.
func (in *inbound) enter(name string, known bool) (leave func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.reached(name, known); err != nil {
		return nil, err
	}
	in.count(name, known, 1)
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.count(name, known, -1)
	}, nil
}

// count adds n to the counts. The caller holds in.mu.
func (in *inbound) count(name string, known bool, n int) {
	in.all += n
	if !known {
		in.unknown += n
	}
	if in.byName[name] += n; in.byName[name] == 0 {
		delete(in.byName, name)
	}
}
