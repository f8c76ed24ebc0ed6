package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// scripted is a Handler whose answers a test sets.
type scripted struct {
	hit     error
	load    error
	changed peer.Changed
	change  error

	mu      sync.Mutex
	queries []peer.Query // guarded by mu; those that Load and LoadBatch got
	keys    []string     // guarded by mu; those that LoadBatch got
}

func (s *scripted) Hit(q *peer.Query) (peer.Answer, error) {
	defer func() { *q = peer.Query{Group: "overwritten"} }()
	return peer.Answer{Item: peer.Item{Value: []byte("not with an error"), TTL: time.Minute}}, s.hit
}

func (s *scripted) Load(_ context.Context, q *peer.Query) (peer.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, *q)
	return peer.Answer{Item: peer.Item{TTL: time.Second}}, s.load
}

func (s *scripted) LoadBatch(_ context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries, s.keys = append(s.queries, *q), append(s.keys, keys...)
	for i := range keys {
		answer(i, peer.Answer{}, s.load)
	}
}

func (s *scripted) Change(context.Context, *peer.Change) (peer.Changed, error) {
	return s.changed, s.change
}

// An error of Hit other than ErrNotCached is the answer, with its TTL; ErrNotCached leads to Load,
// whose ErrNotCached is an answer.
func TestErrorsOfTheHandlerAreAnswers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		hit, load error
		ttl       time.Duration
		want      error
	}{
		{"a remembered miss", peer.ErrNotFound, nil, time.Minute, peer.ErrNotFound},
		{"a getter's error that wraps ErrNotCached", fmt.Errorf("inner: %w", peer.ErrNotCached), nil, time.Minute, peer.ErrNotCached},
		{"not cached, and not found", peer.ErrNotCached, peer.ErrNotFound, time.Second, peer.ErrNotFound},
		{"not cached, for a query of what is cached", peer.ErrNotCached, peer.ErrNotCached, time.Second, peer.ErrNotCached},
		{"a refusal", peer.ErrNotCached, peer.RefuseClosed("it leaves"), time.Second, peer.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := connect(t, &scripted{hit: tt.hit, load: tt.load}, Config{})
			defer e.end()
			for _, cached := range []bool{false, true} {
				a, answer, err := e.Get(t.Context(), &peer.Query{Group: "g", Key: "k", CachedOnly: cached})
				if err != nil || !errors.Is(answer, tt.want) || a.TTL != tt.ttl || a.Value != nil {
					t.Errorf("got %+v, %v, %v; want %v for %v", a, answer, err, tt.want, tt.ttl)
				}
			}
		})
	}
}

// What Load and LoadBatch get is theirs to keep: it is not in the memory of the frame, nor what Hit
// made of its Query.
func TestHandlersKeepWhatTheyLoad(t *testing.T) {
	h := &scripted{hit: peer.ErrNotCached}
	e := connect(t, h, Config{})
	defer e.end()
	q := peer.Query{Group: "group", Key: "one", Lease: time.Second, Digest: "digest", Context: "context", Trace: "trace", Nested: peer.InLoad}
	if _, _, err := e.Get(t.Context(), &q); err != nil {
		t.Fatal(err)
	}
	keys := []string{"two", "three"}
	err := getBatch(t.Context(), e.Link, "group", keys, func(int, reply, error) {})
	if err != nil {
		t.Fatal(err)
	}
	var other records
	for i := range 100 { // the buffer is used again
		e.Ask(&other, queryFor("xxxxx", fmt.Sprintf("%0100d", i)))
	}
	if _, _, err := e.Get(t.Context(), queryFor("xxxxx", "last")); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queries[0] != q || h.queries[1].Group != "group" || fmt.Sprint(h.keys) != fmt.Sprint(keys) {
		t.Errorf("got %+v and %q", h.queries[:2], h.keys)
	}
}

// A change that is none, and an answer that cannot be encoded, are answered as invalid.
func TestInvalidChanges(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request []byte
		h       *scripted
		want    pb.Error_Kind
	}{
		{"no protobuf", []byte("\xff"), &scripted{}, pb.Error_KIND_INVALID},
		{"an answer that is no text", changeOf("x"), &scripted{changed: peer.Changed{GroupNames: []string{"\xff"}}}, pb.Error_KIND_INVALID},
		{"an error", changeOf("x"), &scripted{changed: peer.Changed{Unheard: true}, change: peer.ErrNotFound}, pb.Error_KIND_NOT_FOUND},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := connect(t, tt.h, Config{})
			defer e.end()
			body, err := e.Change(t.Context(), tt.request)
			if err != nil {
				t.Fatal(err)
			}
			resp := new(pb.ChangeResponse)
			if err := proto.Unmarshal(body, resp); err != nil || resp.GetError().GetKind() != tt.want || len(resp.GetError().GetMessage()) == 0 {
				t.Errorf("got %v, %v, want the kind %v and a text", resp, err, tt.want)
			}
			if tt.h.changed.Unheard != resp.GetUnheard() {
				t.Errorf("got %v: want what the handler says with the error", resp)
			}
		})
	}
}

// A Value that came is the asker's own: two answers share no memory, and writing to one is seen
// nowhere.
func TestValuesBelongToTheAsker(t *testing.T) {
	value := []byte("the value")
	e := connect(t, always{a: peer.Answer{Item: peer.Item{Value: value}}}, Config{})
	defer e.end()
	var got [2]peer.Answer
	for i := range got {
		a, answer, err := e.Get(t.Context(), queryFor("g", "k"))
		if answer != nil || err != nil || string(a.Value) != string(value) {
			t.Fatalf("got %+v, %v, %v", a, answer, err)
		}
		got[i] = a
	}
	if unsafe.SliceData(got[0].Value) == unsafe.SliceData(got[1].Value) {
		t.Error("two answers have the same memory")
	}
	clear(got[0].Value)
	if string(got[1].Value) != "the value" || string(value) != "the value" {
		t.Errorf("writing to one value changed %q or %q", got[1].Value, value)
	}
}

// A request is withdrawn by a peer.Sent.
func TestSentCancels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{load: hang}, Config{})
		defer e.end()
		id, err := e.Ask(&records{}, queryFor("g", "k"))
		sent := peer.Sent{By: e.Link, ID: id}
		if err != nil || !sent.Cancel() || sent.Cancel() {
			t.Errorf("%v: Cancel says yes once", err)
		}
	})
}
