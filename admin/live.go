package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

const (
	// mostViewers bounds the pages that are live at the same time.
	mostViewers = 32
	// liveEvery is how often a live page is sent what has changed; leastLive is the least time
	// between two times, if there are events.
	liveEvery = time.Second
	leastLive = 200 * time.Millisecond
	// peersASecond and groupsASecond are how many of them the page shows anew in a second. With
	// more, it is slower.
	peersASecond  = 500
	groupsASecond = 50
	// longestWrite is how long a viewer may take for what it is sent.
	longestWrite = 10 * time.Second
)

var seed = maphash.MakeSeed()

// serveLive sends the sections of the page that have changed, as server-sent events, and each event
// that is a warning, to be read out.
func (a *handler) serveLive(w http.ResponseWriter, r *http.Request) {
	defer a.viewers.Add(-1)
	if a.viewers.Add(1) > mostViewers {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, errors.New("too many pages are live: this one shows what was there when it was loaded"))
		return
	}
	ctx := a.untilShutdown(r)
	news := make(chan struct{}, 1)
	stop := a.pool.OnEvent(func(peercache.Event) {
		select {
		case news <- struct{}{}:
		default: // it is being told already
		}
	})
	defer stop()
	v := &viewer{w: w, control: http.NewResponseController(w), sent: make(map[string]uint64), told: lastSeq(a.pool.Events())}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	fmt.Fprint(w, "retry: 1000\n\n")
	for {
		if err := a.send(v); err != nil {
			return
		}
		if !pause(ctx, r.Context(), leastLive, nil) ||
			!pause(ctx, r.Context(), a.liveInterval()-leastLive, news) {
			return
		}
	}
}

// pause waits for some time, or until there is news, and reports whether neither context has ended.
func pause(a, b context.Context, d time.Duration, news <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-news:
	case <-a.Done():
		return false
	case <-b.Done():
		return false
	}
	return true
}

// liveInterval is longer if there are many peers, or many groups.
func (a *handler) liveInterval() time.Duration {
	peers, groups := time.Duration(len(a.pool.Ring().Shares)), time.Duration(len(a.pool.Groups()))
	return liveEvery + liveEvery*peers/peersASecond + liveEvery*groups/groupsASecond
}

// untilShutdown returns a context that ends when the server of r is shut down: a Shutdown waits for
// its requests, and a live page ends by itself never.
func (a *handler) untilShutdown(r *http.Request) context.Context {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return context.Background()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, ok := a.servers[server]
	if !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(context.Background())
		server.RegisterOnShutdown(cancel)
		a.servers[server] = ctx
	}
	return ctx
}

// viewer is one live page.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    map[string]uint64 // hashes of the sections, as they were sent last
	told    uint64            // the Seq of the last event that was read out
}

// send sends a viewer what has changed since the last time.
func (a *handler) send(v *viewer) error {
	_ = v.control.SetWriteDeadline(time.Now().Add(longestWrite)) // not all servers can; then theirs stands
	for _, s := range a.sections() {
		hash := maphash.String(seed, s.HTML)
		if v.sent[s.ID] == hash {
			continue
		}
		v.sent[s.ID] = hash
		if err := v.event("section", s); err != nil {
			return err
		}
	}
	var say []string
	for _, e := range a.pool.Events() {
		if e.Seq > v.told && e.Level >= slog.LevelWarn && e.Times == 1 {
			say = append(say, eventText(&e))
		}
		v.told = max(v.told, e.Seq)
	}
	if len(say) > 0 {
		if err := v.event("say", map[string]string{"text": strings.Join(say, "; ")}); err != nil {
			return err
		}
	}
	return v.control.Flush()
}

// event writes one server-sent event.
func (v *viewer) event(name string, data any) error {
	text, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(v.w, "event: %s\ndata: %s\n\n", name, text)
	}
	return err
}

// eventText returns an event as it is read out.
func eventText(e *peercache.Event) string {
	text := levelText(e.Level) + ": " + e.Message
	for _, a := range e.Attrs {
		if a.Key == "peer" || a.Key == "group" {
			text += ", " + a.Key + " " + a.Value.String()
		}
	}
	return text
}

func lastSeq(events []peercache.Event) uint64 {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Seq
}
