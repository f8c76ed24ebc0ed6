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

// answerPart is the size, in bytes, of the parts in which a value is written. The peer has
// Config.RequestTimeout to read each of them.
const answerPart = 256 << 10

// errUnread says that the budget for answers is used up. The status is 429.
var errUnread = errors.New("the answers that are not read yet have as many bytes as WithAnswerMemory allows")

// writeGet writes the answer to a request for a key. It does not copy the value.
func (s *Server) writeGet(w http.ResponseWriter, r *http.Request, resp *pb.GetResponse) {
	value := resp.GetValue()
	if !s.answers.Take(0, int64(len(value))) {
		s.refuseBusy(w, r, errUnread)
		return
	}
	defer s.answers.Give(int64(len(value)))
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
	if len(value) > 0 { // it comes last, so that it is not copied
		head = protowire.AppendTag(head, 1, protowire.BytesType)
		head = protowire.AppendVarint(head, uint64(len(value)))
	}
	s.write(w, status, head, value)
}

// write writes an answer of head and value, as long as the peer reads. It ignores that the peer has
// gone away: the http.Server closes the connection after an incomplete answer.
func (s *Server) write(w http.ResponseWriter, status int, head, value []byte) {
	w.Header().Set("Content-Type", contentType)
	if size := len(head) + len(value); size > 2<<10 { // otherwise the http.Server sets it
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	// A ResponseWriter without deadlines, such as one of a test, goes without. The http.Server
	// removes the deadline after the request.
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
