package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// dataPath is where operators ask for what is about all data.
const dataPath = "/api/v1/data/"

// stallTimeout is how long a client may not read a backup, or not send one.
const stallTimeout = time.Minute

// requests are those that have to end before the data is closed.
type requests struct {
	ctx  context.Context // ends with close
	stop context.CancelFunc

	mu  sync.Mutex     // guards the beginning of all against close
	all sync.WaitGroup // nothing is added to it once ctx has ended
}

func newRequests() *requests {
	q := &requests{}
	q.ctx, q.stop = context.WithCancel(context.Background())
	return q
}

// errClosing says that the node has begun to end.
var errClosing = errors.New("this node ends")

// handler has f answer requests until close.
func (q *requests) handler(f func(w http.ResponseWriter, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !q.begin() {
			refuse(w, http.StatusServiceUnavailable, errClosing)
			return
		}
		defer q.all.Done()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(q.ctx, func() {
			cancel()
			c, past := http.NewResponseController(w), time.Unix(1, 0)
			_ = errors.Join(c.SetReadDeadline(past), c.SetWriteDeadline(past)) // for a client that does neither
		})()
		f(w, r.WithContext(ctx))
	})
}

// begin reports whether a request may begin.
func (q *requests) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil {
		return false
	}
	q.all.Add(1)
	return true
}

// close ends all requests, and waits for that.
func (q *requests) close() {
	q.mu.Lock()
	q.stop()
	q.mu.Unlock()
	q.all.Wait()
}

// serveBackup writes all data. If that fails, the connection breaks: what the client has has no end.
func (n *node) serveBackup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	to := &patientWriter{stalls: stalls{r.Context(), http.NewResponseController(w)}, w: w}
	if err := n.memory.Backup(r.Context(), to); err != nil {
		n.log.Warn("a backup of data has failed", "from", r.RemoteAddr, "bytes", to.written, "err", err)
		if to.written == 0 {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		panic(http.ErrAbortHandler)
	}
	n.log.Info("a backup of data was sent", "from", r.RemoteAddr, "bytes", to.written)
}

// serveRestore replaces all data by a backup.
func (n *node) serveRestore(w http.ResponseWriter, r *http.Request) {
	from := &patientReader{stalls: stalls{r.Context(), http.NewResponseController(w)}, r: r.Body}
	if err := n.memory.Restore(r.Context(), from); err != nil {
		n.log.Warn("data was not restored, and is what it was", "from", r.RemoteAddr, "bytes", from.read, "err", err)
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	keys := n.memory.Stats().Keys
	n.log.Warn("all data was replaced by a backup", "from", r.RemoteAddr, "bytes", from.read, "keys", keys)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int64{"keys": keys}) // a client that has gone needs none
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// stalls bounds how long a client may do nothing.
type stalls struct {
	ctx context.Context
	c   *http.ResponseController
}

// extend sets a deadline anew. It is set before it is known that ctx goes on: what ends ctx sets another one afterwards.
func (p stalls) extend(set func(time.Time) error) error {
	if err := set(time.Now().Add(stallTimeout)); err != nil {
		return err
	}
	return p.ctx.Err()
}

// patientWriter writes to a client as long as it reads.
type patientWriter struct {
	stalls
	w       io.Writer
	written int64
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.extend(p.c.SetWriteDeadline); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.written += int64(n)
	return n, err
}

// patientReader reads from a client as long as it sends.
type patientReader struct {
	stalls
	r    io.Reader
	read int64
}

func (p *patientReader) Read(b []byte) (int, error) {
	if err := p.extend(p.c.SetReadDeadline); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.read += int64(n)
	return n, err
}
