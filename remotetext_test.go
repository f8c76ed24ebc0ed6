package peercache_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// nasty is what a peer may send as text.
const nasty = "bad\n\x1b[31mred\x00\xff\u202e"

// plain fails the test if text has what a terminal or a log may take for something else.
func isPlain(t *testing.T, text string, most int) {
	t.Helper()
	if len(text) > most {
		t.Errorf("an error of %d bytes, want at most %d", len(text), most)
	}
	for i, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("an error has %q at byte %d: %.200q", r, i, text)
			return
		}
	}
}

// answering is a peer that answers each POST with what answer returns.
func answering(answer func(path string) (status int, m proto.Message)) func(int, *peercache.HTTPPool) http.Handler {
	return func(i int, pool *peercache.HTTPPool) http.Handler {
		if i != 1 {
			return pool
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			status, m := answer(r.URL.Path)
			if r.Method != http.MethodPost || m == nil {
				pool.ServeHTTP(w, r)
				return
			}
			body, _ := proto.Marshal(m)
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.Header().Set("Peercache-Peer", r.Header.Get("Peercache-To"))
			w.WriteHeader(status)
			w.Write(body)
		})
	}
}

// What a peer says is quoted in errors, and bounded.
func TestP10TextOfPeersIsQuoted(t *testing.T) {
	for name, e := range map[string]*pb.Error{
		"a getter's error": {Message: []byte(nasty)},
		"not found":        {Kind: pb.Error_KIND_NOT_FOUND, Message: []byte(nasty)},
		"a refusal":        {Kind: pb.Error_KIND_SHUTTING_DOWN, Message: []byte(nasty)},
		"a long text":      {Message: []byte(strings.Repeat("\xff", 16<<10))},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: plainly(), wrap: answering(func(path string) (int, proto.Message) {
					if strings.HasSuffix(path, "change") {
						return 0, nil
					}
					return http.StatusInternalServerError, &pb.GetResponse{Error: e}
				})})
				key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
				_, err := nodes[0].pool.Pick(key, 0).Get(t.Context(), peercache.Query{Group: "test", Key: key})
				if err == nil {
					t.Fatal("no error")
				}
				isPlain(t, err.Error(), 6<<10)
			})
		})
	}
}

// Holders that a peer could not tell are peers, and have their copies no longer than a lease
// can be, whatever that peer says of them.
func TestP10PendingHoldersAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var said atomic.Bool
		nodes := newSimCluster(t, net, 3, simConfig{getter: &origin{}, pool: plainly(), wrap: answering(func(path string) (int, proto.Message) {
			if !strings.HasSuffix(path, "change") || !said.Load() {
				return 0, nil
			}
			resp := &pb.ChangeResponse{Pending: []*pb.Holder{{Peer: "http://10.0.0.3:8001", LeftNs: math.MaxInt64, Reason: []byte(nasty)}}}
			for range 1000 {
				resp.Pending = append(resp.Pending, &pb.Holder{Peer: "http://evil.example\n\x1b[31m", LeftNs: math.MaxInt64, Reason: []byte(nasty)})
			}
			return http.StatusOK, resp
		})})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		said.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := nodes[0].group.Remove(ctx, key)
		said.Store(false)
		var pending *peercache.InvalidationError
		if !errors.As(err, &pending) {
			t.Fatalf("error %v: want an InvalidationError", err)
		}
		isPlain(t, err.Error(), 8<<10)
		if len(pending.Pending) != 2 || pending.Pending[0].Peer != nodes[1].url || pending.Pending[1].Peer != nodes[2].url {
			t.Errorf("pending: %v: want the peer that said so, and the holder that is a peer", pending.Pending)
		}
		for _, p := range pending.Pending {
			if left := time.Until(p.Until); left > time.Minute {
				t.Errorf("%s has its copy for %v: no lease is so long", p.Peer, left)
			}
		}
	})
}

// An answer to a change that is mostly empty holders is refused before it is in memory.
func TestP10TooManyPendingHolders(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var said atomic.Bool
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: plainly(), wrap: answering(func(path string) (int, proto.Message) {
			if !strings.HasSuffix(path, "change") || !said.Load() {
				return 0, nil
			}
			return http.StatusOK, &pb.ChangeResponse{Pending: make([]*pb.Holder, 30_000)}
		})})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		said.Store(true)
		err := nodes[0].group.Remove(t.Context(), key)
		said.Store(false)
		if err == nil || !strings.Contains(err.Error(), "pending holder") {
			t.Errorf("error %v: want one that says what is wrong with the answer", err)
		}
	})
}

// The text of a getter's error is for peers, and an option says what they are told. Its kind
// is told to everybody.
func TestWhoIsToldTheTextOfAnError(t *testing.T) {
	const secret = "dial postgres://user:password@db"
	getter := &origin{load: func(_ context.Context, key string) ([]byte, error) {
		return nil, errors.Join(errors.New(secret), peercache.ErrNotFound)
	}}
	tell := func(err error) string { return strings.ReplaceAll(err.Error(), "password", "***") }
	for name, c := range map[string]struct {
		option  []peercache.GroupOption
		compat  bool
		peer    string // what it is told
		foreign string
	}{
		"default":    {nil, false, secret, "for peers of the view"},
		"an option":  {[]peercache.GroupOption{peercache.WithErrorText(tell)}, false, "user:***@db", "for peers of the view"},
		"compatible": {nil, true, secret, secret},
		"a panic":    {[]peercache.GroupOption{peercache.WithErrorText(func(error) string { panic("mine") })}, false, "panicked", "for peers of the view"},
	} {
		for _, streams := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					var opts []peercache.PoolOption
					if !streams {
						opts = append(opts, peercache.WithoutStream())
					}
					if c.compat {
						opts = append(opts, peercache.WithGroupcacheCompat())
					}
					nodes := newSimCluster(t, net, 2, simConfig{getter: getter, group: c.option,
						pool: func(int) []peercache.PoolOption { return opts }})
					key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
					_, err := nodes[0].group.Get(t.Context(), key)
					if err == nil || !strings.Contains(err.Error(), c.peer) || c.peer != secret && strings.Contains(err.Error(), "password") {
						t.Errorf("a peer is told %v, want %q", err, c.peer)
					}
					if !errors.Is(err, peercache.ErrNotFound) {
						t.Errorf("a peer is not told the kind: %v", err)
					}
					transport := net.Host("10.0.0.99").Transport()
					defer transport.CloseIdleConnections()
					for _, from := range []string{"", "http://10.0.0.99:8001"} {
						req, _ := http.NewRequest("GET", nodes[1].url+nodes[1].pool.BasePath()+"test/"+key, nil)
						req.Header.Set("Peercache-Peer", from)
						resp, err := transport.RoundTrip(req)
						if err != nil {
							t.Fatal(err)
						}
						body, _ := io.ReadAll(resp.Body)
						resp.Body.Close()
						var got pb.GetResponse
						if err := proto.Unmarshal(body, &got); err != nil {
							t.Fatal(err)
						}
						if got.GetError().GetKind() != pb.Error_KIND_NOT_FOUND || resp.StatusCode != http.StatusNotFound || !strings.Contains(string(got.GetError().GetMessage()), c.foreign) {
							t.Errorf("one that is no peer (%q) is told %v, status %d", from, got.GetError(), resp.StatusCode)
						}
					}
				})
			})
		}
	}
	if _, err := peercache.NewGroup("test", 1<<20, getter, peercache.WithErrorText(nil)); err == nil {
		t.Error("WithErrorText(nil) is taken")
	}
}

// The name of who asks has a bound, by the plain way and on a stream.
func TestP10NameOfAPeerIsBounded(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"GET ", "GET test/Tom", "POST get", "POST change"} {
		method, path, _ := strings.Cut(target, " ")
		req := httptest.NewRequest(method, "http://10.0.0.1:8001"+pool.BasePath()+path, nil)
		req.Header.Set("Peercache-Peer", "http://"+strings.Repeat("a", 1<<20))
		req.Header.Set("Upgrade", "peercache")
		w := httptest.NewRecorder()
		pool.ServeHTTP(w, req)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Peercache-Peer") {
			t.Errorf("%s: status %d, %s: want 400 and why", target, w.Code, w.Body)
		}
	}
}
