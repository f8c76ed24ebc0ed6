package httppeer

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/peercache/peercache/internal/body"
	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/peer"
)

const (
	// MaxRequestBytes bounds the body of a change that does not set one large value.
	MaxRequestBytes = 4 << 20

	// mostGetBytes bounds the body of a request for a key.
	mostGetBytes = peer.MaxKeyBytes + peer.MaxOverhead
)

// errNoRoom says that the budget for requests is used up. The status is 429.
var errNoRoom = errors.New("the requests in progress take as much memory as WithRequestMemory allows")

// limit says how large a body may be: most bytes, or as many as more returns for the first bytes of
// a larger one. A nil more means that no body may be larger.
type limit struct {
	most int64
	more func(head []byte) int64
}

// readRequestBody reads the body of a request within l and the budget. If there is no error, the
// caller releases the body.
func (s *Server) readRequestBody(r *http.Request, deadlines *http.ResponseController, l limit) (*body.Body, error) {
	return body.Read(r, &s.requests, body.Limits{
		Most: l.most, More: l.more, Time: s.cfg.RequestTimeout, PerTime: MaxRequestBytes,
		Deadline: func(t time.Time) { deadlines.SetReadDeadline(t) },
	})
}

// limitOfChange returns how large the body of a change may be: larger than MaxRequestBytes only if
// it sets one large value.
func (s *Server) limitOfChange() limit {
	return limit{MaxRequestBytes, func(head []byte) int64 { return wire.LargestChange(head, s.cfg.LargestValue(), peer.MaxOverhead) }}
}

// readRequest reads the body of a plain request. If it returns false, it has answered the request
// with an error.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request, l limit) (*body.Body, bool) {
	if r.Header.Get("Content-Type") != contentType {
		// A web page can have a browser send other types to any address.
		refuse(w, r, "want a body of type "+contentType, http.StatusUnsupportedMediaType)
		return nil, false
	}
	// A body that is sent slowly keeps a connection and a goroutine busy, and the http.Server
	// may have no timeouts. A ResponseWriter without deadlines, such as one of a test, goes
	// without.
	deadlines := http.NewResponseController(w)
	b, err := s.readRequestBody(r, deadlines, l)
	switch {
	case errors.Is(err, body.ErrNoRoom):
		s.refuseBusy(w, r, errNoRoom)
	case errors.Is(err, body.ErrTooLarge):
		text := fmt.Sprintf("a request of more than %d bytes: only one that sets the value of one key may be larger", l.most)
		refuse(w, r, text, http.StatusRequestEntityTooLarge)
	case err != nil:
		refuse(w, r, err.Error(), http.StatusBadRequest)
	default:
		// Otherwise the deadline would end the load. After an error it stays, so that the
		// http.Server does not wait for the rest of the body.
		deadlines.SetReadDeadline(time.Time{})
		if err := s.checkBody(r, b.Bytes); err != nil {
			b.Release()
			s.refuseStranger(w, r, identityOf(r.Header), err)
			return nil, false
		}
		return b, true
	}
	return nil, false
}

// refuse answers a request whose body is not read to its end.
func refuse(w http.ResponseWriter, r *http.Request, text string, status int) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // otherwise the http.Server would read the rest
	}
	http.Error(w, "peercache: "+text, status)
}

// refuseBusy answers that there is no room for the request now.
func (s *Server) refuseBusy(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Retry-After", "1")
	refuse(w, r, err.Error(), http.StatusTooManyRequests)
}
