package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache"
)

// peerState is what is told of one process of the cluster.
type peerState struct {
	Peer    string  `json:"peer"`
	Self    bool    `json:"self"`  // it is this process
	State   string  `json:"state"` // up, down, trying, misconfigured or leaving
	Share   float64 `json:"share"` // the part of all keys that it owns
	Problem string  `json:"problem,omitempty"`
	Figures figures `json:"figures,omitempty"` // of what this process asked it; none of itself

	stats peercache.PeerStats
}

// What the page shows of the figures.

func (p *peerState) Breaker() string { return p.stats.Breaker.String() }
func (p *peerState) Opened() int64   { return p.stats.BreakerOpened }
func (p *peerState) By() string      { return p.stats.Transport }
func (p *peerState) Requests() int64 { return p.stats.Requests }
func (p *peerState) InFlight() int   { return p.stats.InFlight }
func (p *peerState) In() int64       { return p.stats.BytesIn }
func (p *peerState) Out() int64      { return p.stats.BytesOut }
func (p *peerState) P50() string     { return quantile(&p.stats.Latency, 0.5) }
func (p *peerState) P99() string     { return quantile(&p.stats.Latency, 0.99) }

func quantile(h *peercache.Histogram, q float64) string {
	if d := h.Quantile(q); d > 0 {
		return duration(d)
	}
	return "–"
}

// The states of a peer.
const (
	stateUp            = "up"
	stateDown          = "down"   // its breaker is open
	stateTrying        = "trying" // and an attempt to reach it is in progress
	stateMisconfigured = "misconfigured"
	stateLeaving       = "leaving"
)

// peers returns all processes of the view, in the order of their names, and those that leave.
func (a *handler) peers(ring peercache.Ring) []peerState {
	all := make([]peerState, 0, len(ring.Shares)+len(ring.Leaving))
	places := make(map[string]int)
	for i, s := range ring.Shares {
		all = append(all, peerState{Peer: s.Peer, Self: s.Peer == a.self, State: stateUp, Share: s.Part})
		places[s.Peer] = i
	}
	for _, s := range a.pool.Stats() {
		if i, ok := places[s.Peer]; ok { // else the view has changed since
			all[i].stats, all[i].Problem, all[i].Figures = s, s.Problem, figuresOf(s)
			all[i].State = stateOf(&s)
		}
	}
	for _, name := range ring.Leaving {
		all = append(all, peerState{Peer: name, Self: name == a.self, State: stateLeaving})
	}
	return all
}

func stateOf(s *peercache.PeerStats) string {
	switch {
	case s.Problem != "":
		return stateMisconfigured
	case s.Breaker == peercache.BreakerOpen:
		return stateDown
	case s.Breaker == peercache.BreakerHalfOpen:
		return stateTrying
	}
	return stateUp
}

func (a *handler) servePeers(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"self": a.self, "peers": a.peers(a.pool.Ring())})
}

// groupState is what is told of a group.
type groupState struct {
	Group   string  `json:"group"`
	Figures figures `json:"figures"`
	Lately  *point  `json:"lately,omitempty"` // of the last seconds
}

func (a *handler) groups() []groupState {
	all := []groupState{}
	for _, g := range a.pool.Groups() {
		s := groupState{Group: g.Name(), Figures: figuresOf(g.Stats())}
		if points := a.past.of(g.Name()); len(points) > 0 {
			s.Lately = &points[len(points)-1]
		}
		all = append(all, s)
	}
	return all
}

func (a *handler) serveGroups(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"groups": a.groups()})
}

func (a *handler) serveRing(w http.ResponseWriter, _ *http.Request) {
	r := a.pool.Ring()
	shares := make([]map[string]any, 0, len(r.Shares))
	for _, s := range r.Shares {
		shares = append(shares, map[string]any{"peer": s.Peer, "share": s.Part})
	}
	reply(w, map[string]any{"self": a.self, "view": viewText(r.View), "ageSeconds": r.Age.Seconds(), "shares": shares, "leaving": append([]string{}, r.Leaving...)})
}

// viewText returns the number of a view as text, because JSON numbers in a browser have 53 bits.
func viewText(view uint64) string { return fmt.Sprintf("%016x", view) }

// keyState says where a key lives.
type keyState struct {
	Group      string    `json:"group"`
	Key        string    `json:"key"`
	Owner      string    `json:"owner,omitempty"` // none in a group without peers
	Owned      bool      `json:"owned"`           // by this process
	Candidates []string  `json:"candidates"`      // the owner, and those that stand in for it, in order
	Main       *held     `json:"main"`            // what this process has as its own
	Hot        *held     `json:"hot"`             // what it has as a copy
	Holders    []holding `json:"holders"`         // who may have copies that came from this process
}

// held is a value that this process has.
type held struct {
	Bytes   int      `json:"bytes"`
	Missing bool     `json:"missing"`         // it says that the origin has no such key
	Age     *float64 `json:"ageSeconds"`      // null: not known
	Left    *float64 `json:"leftSeconds"`     // until it expires; null: never
	Lease   *float64 `json:"leaseSeconds"`    // until its owner is asked; null: it is this process's own
	Value   *string  `json:"value,omitempty"` // with ShowValues, as far as it is text
	Raw     []byte   `json:"valueBase64,omitempty"`
	Cut     bool     `json:"valueCut,omitempty"` // there is more of the value
}

// holding is a lease.
type holding struct {
	Peer string  `json:"peer"`
	Left float64 `json:"leftSeconds"`
}

// mostValue is how many bytes of a value are shown.
const mostValue = 64 << 10

// errNoKey says that a request lacks the key.
var errNoKey = errors.New("want a group and a key")

// key returns where a key lives. The int is the status for the error.
func (a *handler) key(group, key string) (*keyState, int, error) {
	if group == "" || key == "" {
		return nil, http.StatusBadRequest, errNoKey
	}
	g, err := a.group(group)
	if err != nil {
		return nil, http.StatusNotFound, err
	}
	at := g.Whereabouts(key)
	s := &keyState{
		Group: group, Key: key, Owner: at.Owner, Owned: at.Owner == a.self || at.Owner == "", Candidates: append([]string{}, at.Candidates...),
		Main: a.held(at.Main), Hot: a.held(at.Hot), Holders: []holding{},
	}
	for _, h := range at.Holders {
		s.Holders = append(s.Holders, holding{h.Peer, h.Left.Seconds()})
	}
	return s, http.StatusOK, nil
}

func (a *handler) held(h *peercache.Held) *held {
	if h == nil {
		return nil
	}
	s := &held{Bytes: h.View.Len(), Missing: h.Missing}
	if h.Age >= 0 {
		s.Age = new(h.Age.Seconds())
	}
	if h.Left != 0 {
		s.Left = new(h.Left.Seconds())
	}
	if h.Lease != 0 {
		s.Lease = new(h.Lease.Seconds())
	}
	if a.showValues {
		n := min(h.View.Len(), mostValue)
		b := make([]byte, n)
		h.View.Copy(b)
		s.Cut = n < h.View.Len()
		if utf8.Valid(b) {
			s.Value = new(string(b))
		} else {
			s.Raw = b
		}
	}
	return s
}

func (a *handler) serveKey(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query() // FormValue would read a body, of any size
	s, status, err := a.key(form.Get("group"), form.Get("key"))
	if err != nil {
		refuse(w, status, err)
		return
	}
	reply(w, s)
}

// eventState is an event.
type eventState struct {
	Seq     uint64            `json:"seq"`
	Time    time.Time         `json:"time"`
	First   time.Time         `json:"first"`
	Times   int               `json:"times"`
	Level   string            `json:"level"` // info, warn or error
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attrs"`
}

// levelText returns a level as info, warn or error.
func levelText(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}

// serveEvents answers with the events after the one of the parameter after, or with all.
func (a *handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	var after uint64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("after: want the seq of an event: %w", err))
			return
		}
	}
	all := []eventState{}
	for _, e := range a.pool.Events() {
		if e.Seq <= after {
			continue
		}
		s := eventState{e.Seq, e.Time, e.First, e.Times, levelText(e.Level), e.Message, make(map[string]string)}
		for _, attr := range e.Attrs {
			s.Attrs[attr.Key] = attr.Value.String()
		}
		all = append(all, s)
	}
	reply(w, map[string]any{"events": slices.Clip(all)})
}

// reply answers with JSON.
func reply(w http.ResponseWriter, v any) { replyWith(w, http.StatusOK, v) }

func replyWith(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // no value here fails
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, err error) {
	replyWith(w, status, map[string]string{"error": err.Error()})
}
