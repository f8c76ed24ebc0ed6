package httppeer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
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

// serveStream answers a request for an upgrade of the peer of that name, and then its frames
// until the connection ends.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, h peer.Handler, from string) {
	if !s.cfg.Streams {
		refuse(w, r, noStreamsHere, http.StatusNotFound)
		return
	}
	if err := checkUpgrade(r); err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusBadRequest)
		return
	}
	if s.isClosed() {
		http.Error(w, "peercache: "+peer.ErrClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	leave, err := s.inbound.enter(from, s.cfg.Knows(from))
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
	if err := s.writeSwitching(nc); err != nil {
		nc.Close()
		return
	}
	served := stream.NewServer(nc, rw.Reader, h, s.cfg.Stream)
	if !s.add(served) {
		nc.Close()
		return
	}
	defer s.remove(served)
	served.Run() // what ends it is the asking peer's concern
}

// writeSwitching gives a request for an upgrade its answer.
func (s *Server) writeSwitching(nc io.Writer) error {
	header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocolName}}
	identify(header, s.process.Identity())
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

// add adds a stream that is served, unless the server is closed.
func (s *Server) add(one *stream.Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.streams[one] = struct{}{}
	return true
}

func (s *Server) remove(one *stream.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, one)
}

// inbound counts the streams on which this process is asked.
type inbound struct {
	limits Limits // not changed after the pool is made

	mu        sync.Mutex
	names     map[string]int // guarded by mu; how many there are of each name that has any
	all       int            // guarded by mu
	strangers int            // guarded by mu; those of names that were not in the view
}

func (in *inbound) init(l Limits) { in.limits, in.names = l, make(map[string]int) }

// enter counts one more of a name, or returns why there may not be one. leave takes it
// back.
func (in *inbound) enter(name string, known bool) (leave func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := &in.limits
	switch {
	case in.all >= l.Streams:
		return nil, fmt.Errorf("%d streams are open: want at most as many", in.all)
	case in.names[name] >= l.StreamsPerPeer:
		return nil, fmt.Errorf("%d streams are open of the peer %s: want at most as many", in.names[name], quote.Key(name))
	case !known && in.strangers >= max(1, l.Streams/2):
		return nil, fmt.Errorf("%d streams are open of peers that are not in the view: want at most as many", in.strangers)
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
		in.strangers += n
	}
	if in.names[name] += n; in.names[name] == 0 {
		delete(in.names, name)
	}
}
