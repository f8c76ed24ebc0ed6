package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
)

const (
	// mostBody is how many bytes the body of an action may have. The longest key has 2 MiB.
	mostBody = 8 << 20
	// longestChange bounds a Remove or a Clear. It is longer than any lease.
	longestChange = 75 * time.Second
)

// What actions have done, as their answers say it.
const (
	doneRemoved = "removed"
	doneCleared = "cleared"
	doneDrained = "drained"
)

// outcome is what an action has done.
type outcome struct {
	done string // doneRemoved, doneCleared or doneDrained
	what string // for the log; empty: nothing was done
	form url.Values
}

// action answers a request to do something: by JSON, or to a form of the page without scripts by the
// page. do returns the status for its error.
func (a *handler) action(do func(r *http.Request) (outcome, int, error)) http.Handler {
	return a.permitted(a.mayAct, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		if err := r.ParseForm(); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		start := time.Now()
		done, status, err := do(r)
		if done.what != "" {
			if log := a.pool.Logger(); err != nil {
				log.Warn("an operator's action has failed", "action", done.what, "from", r.RemoteAddr, "err", err)
			} else {
				log.Info("an operator's action is done", "action", done.what, "from", r.RemoteAddr)
			}
		}
		byPage := strings.Contains(r.Header.Get("Accept"), "text/html")
		switch {
		case err == nil && byPage:
			done.form.Set("done", done.done)
			w.Header().Set("Location", "../../?"+done.form.Encode()) // relative: where this is mounted is not known here
			w.WriteHeader(http.StatusSeeOther)
		case err == nil:
			reply(w, map[string]any{"done": done.done, "tookSeconds": time.Since(start).Seconds()})
		case byPage:
			a.writePage(w, status, r.Form.Get("group"), r.Form.Get("key"), notice{Text: err.Error(), Bad: true})
		default:
			replyWith(w, status, failure(err))
		}
	}))
}

// failure returns what is told of an error: for an incomplete change, also who may serve old values.
func failure(err error) map[string]any {
	told := map[string]any{"error": err.Error()}
	if incomplete, ok := errors.AsType[*peercache.InvalidationError](err); ok {
		pending := []map[string]any{}
		for _, p := range incomplete.Pending {
			one := map[string]any{"peer": p.Peer, "error": fmt.Sprint(p.Err)}
			if !p.Until.IsZero() {
				one["until"] = p.Until
			}
			pending = append(pending, one)
		}
		told["pending"] = pending
	}
	return told
}

// remove drops a key everywhere.
func (a *handler) remove(r *http.Request) (outcome, int, error) {
	name, key := r.Form.Get("group"), r.Form.Get("key")
	if name == "" || key == "" {
		return outcome{}, http.StatusBadRequest, errNoKey
	}
	g, err := a.group(name)
	if err != nil {
		return outcome{}, http.StatusNotFound, err
	}
	ctx, cancel := unhurried(r)
	defer cancel()
	err = g.Remove(ctx, key)
	return outcome{doneRemoved, fmt.Sprintf("remove %s of group %q", quote.Key(key), name), url.Values{"group": {name}, "key": {key}}}, changeStatus(err), err
}

// clear drops all values of a group everywhere.
func (a *handler) clear(r *http.Request) (outcome, int, error) {
	name := r.Form.Get("group")
	if name == "" {
		return outcome{}, http.StatusBadRequest, errors.New("want a group")
	}
	g, err := a.group(name)
	if err != nil {
		return outcome{}, http.StatusNotFound, err
	}
	ctx, cancel := unhurried(r)
	defer cancel()
	err = g.Clear(ctx)
	return outcome{doneCleared, fmt.Sprintf("clear group %q", name), url.Values{"group": {name}}}, changeStatus(err), err
}

// unhurried returns a context that does not end with the request: a change that has begun is better
// made whole.
func unhurried(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), longestChange)
}

// changeStatus returns the status for what a change returned.
func changeStatus(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, peercache.ErrKeySize):
		return http.StatusUnprocessableEntity
	case errors.Is(err, peercache.ErrClosed), errors.Is(err, peercache.ErrLapsed):
		return http.StatusConflict
	}
	return http.StatusBadGateway // peers are in the way
}

// drain is the one drain of a process.
type drain struct {
	once  sync.Once
	ended chan struct{}
	err   error // written before ended is closed
}

// drain takes this process out of the cluster, as its Shutdown does: the peers hear of it, its values
// go to their new owners, and it is not ready any more. It goes on answering its users, who are led
// elsewhere by those who ask whether it is ready. A second request waits for the first one's end. None
// of them ends it.
func (a *handler) drain(r *http.Request) (outcome, int, error) {
	done := outcome{doneDrained, "drain this process", url.Values{}}
	d := &a.draining
	d.once.Do(func() {
		d.ended = make(chan struct{})
		go func() {
			defer close(d.ended)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.drainTime)
			defer cancel()
			d.err = a.pool.Shutdown(ctx)
		}()
	})
	select {
	case <-d.ended:
	case <-r.Context().Done():
		return outcome{}, http.StatusServiceUnavailable, r.Context().Err()
	}
	if d.err != nil {
		return done, http.StatusInternalServerError, d.err
	}
	return done, http.StatusOK, nil
}
