package httppeer

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// answerPart is how much of an answer is written, in bytes, before whoever reads it gets new
// time for the next part.
const answerPart = 256 << 10

// errUnread is refused with status 429.
var errUnread = errors.New("the answers that are not read yet have as many bytes as WithAnswerMemory allows")

// writeGet answers a request for a key. It writes the value from where it is.
func (s *Server) writeGet(w http.ResponseWriter, r *http.Request, resp *pb.GetResponse) {
	value := resp.GetValue()
	if !s.answers.take(0, int64(len(value))) {
		s.refuseBusy(w, r, errUnread)
		return
	}
	defer s.answers.give(int64(len(value)))
	status := http.StatusOK
	if e := resp.GetError(); e != nil {
		if status = statusOf[e.GetKind()]; status == 0 {
			status = http.StatusInternalServerError
		}
	}
	resp.Value = nil
	head, err := proto.Marshal(resp)
	if err != nil {
		http.Error(w, "peercache: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if len(value) > 0 { // it comes last, so that it need not be copied
		head = protowire.AppendTag(head, 1, protowire.BytesType)
		head = protowire.AppendVarint(head, uint64(len(value)))
	}
	s.write(w, status, head, value)
}

// write writes an answer, as long as whoever gets it reads. A peer that has gone away is not
// the cache's concern, and the server closes the connection of an answer that is not whole.
func (s *Server) write(w http.ResponseWriter, status int, head, value []byte) {
	w.Header().Set("Content-Type", contentType)
	if size := len(head) + len(value); size > 2<<10 { // else the server counts
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	// A writer that has no deadlines, such as one of a test, goes without. The server
	// ends this one with the request.
	deadlines := http.NewResponseController(w)
	deadlines.SetWriteDeadline(time.Now().Add(s.cfg.RequestTimeout))
	w.WriteHeader(status)
	if _, err := w.Write(head); err != nil {
		return
	}
	for len(value) > 0 {
		n := min(len(value), answerPart)
		if _, err := w.Write(value[:n]); err != nil {
			return
		}
		value = value[n:]
		deadlines.SetWriteDeadline(time.Now().Add(s.cfg.RequestTimeout))
	}
}
