package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache"
)

func TestP1OneLoadInTheCluster(t *testing.T) {
	for _, onMux := range []bool{false, true} {
		t.Run(fmt.Sprint("mux=", onMux), func(t *testing.T) {
			var o origin
			nodes := newCluster(t, 5, config{getter: oneOrigin(&o), onMux: onMux})
			keys := make([]string, 100)
			for i := range keys {
				keys[i] = fmt.Sprint("key", i)
			}
			var wg sync.WaitGroup
			for _, n := range nodes {
				for range 4 {
					wg.Go(func() {
						for _, key := range keys {
							if got := n.get(t, key); got != "value of "+key {
								t.Errorf("%s: got %q", key, got)
							}
						}
					})
				}
			}
			wg.Wait()
			for _, key := range keys {
				if c := o.count(key); c != 1 {
					t.Errorf("%s was loaded %d times", key, c)
				}
			}
		})
	}
}

func TestP1HerdOnOneSlowKey(t *testing.T) {
	release := make(chan struct{})
	o := origin{load: func(ctx context.Context, key string) ([]byte, error) {
		<-release
		return []byte("slow"), nil
	}}
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	var arrived, done sync.WaitGroup
	for i := range 300 {
		arrived.Add(1)
		done.Go(func() {
			arrived.Done()
			if got := nodes[i%3].get(t, "herd"); got != "slow" {
				t.Errorf("got %q", got)
			}
		})
	}
	arrived.Wait()
	close(release)
	done.Wait()
	if c := o.count("herd"); c != 1 {
		t.Fatalf("%d loads", c)
	}
}

func TestP1NextPeerLoadsForAnOwnerThatIsGone(t *testing.T) {
	var o origin
	nodes := newCluster(t, 4, config{getter: oneOrigin(&o)})
	key := keyOwnedBy(t, nodes, 0, 3)
	nodes[3].kill()
	var wg sync.WaitGroup
	for _, n := range nodes[:3] {
		for range 10 {
			wg.Go(func() { n.get(t, key) })
		}
	}
	wg.Wait()
	if c := o.count(key); c != 1 {
		t.Fatalf("%d loads, want 1: all go to the same next peer", c)
	}
	var peerErrors int64
	for _, n := range nodes[:3] {
		peerErrors += n.group.Stats().PeerErrors
	}
	if peerErrors == 0 {
		t.Fatal("no peer error was counted")
	}
}

// contrarian is a picker for which every key belongs to the other of two peers.
type contrarian struct{ *peercache.HTTPPool }

func (c contrarian) Pick(_ string, n int) peercache.Peer {
	if peers := c.Peers(); n == 0 && len(peers) > 0 {
		return peers[0]
	}
	return nil
}

// TestP2ViewsThatDisagree has two peers each of which thinks that the other owns
// all keys. (Two views of one ring cannot differ like that, but two versions of
// a program, or two spellings of a name, can.)
func TestP2ViewsThatDisagree(t *testing.T) {
	var arrived sync.WaitGroup
	o := origin{load: func(ctx context.Context, key string) ([]byte, error) {
		arrived.Done()
		arrived.Wait() // both peers are loading: each is waited for by the other
		return []byte("v"), nil
	}}
	nodes := newCluster(t, 2, config{
		getter: oneOrigin(&o),
		picker: func(p *peercache.HTTPPool) peercache.PeerPicker { return contrarian{p} },
	})
	arrived.Add(2)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			n := nodes[i%2]
			if v, err := n.group.Get(inside(t), "k"); err != nil || v.String() != "v" {
				t.Errorf("%s: %q, %v", n.url, v, err)
			}
		})
	}
	wg.Wait()
	if c := o.count("k"); c != 2 {
		t.Fatalf("%d loads, want one for each of the two views", c)
	}
}

func TestP2AskedPeerAsksNobody(t *testing.T) {
	var o origin
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	key := keyOwnedBy(t, nodes, 0, 2)
	answer, err := nodes[1].group.ServeGet(inside(t), peercache.Query{Group: "test", Key: key}) // not the owner
	if err != nil || string(answer.Value) != "value of "+key {
		t.Fatalf("%q, %v", answer.Value, err)
	}
	if n := nodes[2].group.Stats().ServerRequests; n != 0 {
		t.Fatalf("the request was passed on %d times", n)
	}
}

func TestP3CallerLeavesAndTheValueIsKept(t *testing.T) {
	started, release := make(chan struct{}, 1), make(chan struct{})
	o := origin{load: func(ctx context.Context, key string) ([]byte, error) {
		started <- struct{}{}
		<-release
		return []byte("late"), nil
	}}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
	key := keyOwnedBy(t, nodes, 0, 1)

	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, err := nodes[0].group.Get(ctx, key)
		left <- err
	}()
	<-started
	stayed := make(chan string, 1)
	go func() { stayed <- nodes[0].get(t, key) }()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller that left got %v", err)
	}
	close(release)
	if got := <-stayed; got != "late" {
		t.Fatalf("the caller that stayed got %q", got)
	}
	if got := nodes[1].get(t, key); got != "late" || o.count(key) != 1 {
		t.Fatalf("%q after %d loads", got, o.count(key))
	}
}

func TestP3PanicAndGoexitOfAGetter(t *testing.T) {
	for name, misbehave := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var bad sync.Once
			o := origin{load: func(context.Context, string) ([]byte, error) {
				bad.Do(misbehave)
				return []byte("second try"), nil
			}}
			nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
			key := keyOwnedBy(t, nodes, 0, 1)
			_, err := nodes[0].group.Get(inside(t), key)
			var remote *peercache.RemoteError
			if !errors.As(err, &remote) || remote.Peer != nodes[1].url {
				t.Fatalf("first Get: %v", err)
			}
			if got := nodes[0].get(t, key); got != "second try" {
				t.Fatalf("next Get: %q", got)
			}
			if s := nodes[1].group.Stats(); s.Loads != 2 || s.LoadErrors != 1 {
				t.Fatalf("%d loads, %d errors; want 2 and 1", s.Loads, s.LoadErrors)
			}
		})
	}
}

func TestP4NothingChangesWhatIsCached(t *testing.T) {
	kept := []byte("original")
	o := origin{load: func(context.Context, string) ([]byte, error) { return kept, nil }}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
	for i := range nodes {
		key := keyOwnedBy(t, nodes, 0, i)
		copy(kept, "original")
		first, err := nodes[0].group.Get(inside(t), key)
		if err != nil {
			t.Fatal(err)
		}
		copy(kept, "scribble")                   // the getter's own slice
		copy(first.ByteSlice(), "scrawled")      // a caller's copy
		_ = append(first.AppendTo(nil)[:0], 'X') // and another
		for _, n := range nodes {
			if got := n.get(t, key); got != "original" {
				t.Errorf("%s now has %q", n.url, got)
			}
		}
		if first.String() != "original" {
			t.Errorf("the first view is now %q", first)
		}
	}
}

// nilError is an error whose nil pointer does not know its text.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestP6GetterErrorsAreAnswers(t *testing.T) {
	cases := map[string]struct {
		err  error
		is   error
		text string
	}{
		"not found":         {peercache.ErrNotFound, peercache.ErrNotFound, "not found"},
		"wrapped not found": {fmt.Errorf("table users: %w", peercache.ErrNotFound), peercache.ErrNotFound, "table users"},
		"timeout":           {fmt.Errorf("query: %w", context.DeadlineExceeded), context.DeadlineExceeded, "query"},
		"canceled":          {context.Canceled, context.Canceled, "canceled"},
		"any":               {errors.New("no route to origin"), nil, "no route to origin"},
		"not UTF-8":         {errors.New("bad \xff byte"), nil, "bad \xff byte"},
		"of another pool":   {fmt.Errorf("sessions: %w", peercache.ErrClosed), nil, "sessions"},
		"long text":         {fmt.Errorf("query: %w: %s", peercache.ErrNotFound, strings.Repeat("x", 1<<20)), peercache.ErrNotFound, "query"},
		"a nil pointer":     {(*nilError)(nil), nil, "nil"},
		"a net error":       {&net.OpError{Op: "dial", Err: errors.New("refused")}, nil, "refused"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := origin{load: func(context.Context, string) ([]byte, error) { return nil, c.err }}
			nodes := newCluster(t, 3, config{getter: oneOrigin(&o), group: []peercache.GroupOption{peercache.WithMaxValueBytes(1000)}})
			key := keyOwnedBy(t, nodes, 0, 1)
			for _, n := range nodes {
				_, err := n.group.Get(inside(t), key)
				text := c.text
				if remote, ok := errors.AsType[*peercache.RemoteError](err); ok { // it is quoted
					quoted := strconv.Quote(text)
					text = quoted[1 : len(quoted)-1]
					if !strings.Contains(remote.Message, c.text) {
						t.Fatalf("the message %q lacks %q", remote.Message, c.text)
					}
				}
				if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), key) {
					t.Fatalf("error %q lacks %q or the key", err, text)
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Fatalf("%v is no %v", err, c.is)
				}
				if c.is == nil && errors.Is(err, peercache.ErrNotFound) {
					t.Fatalf("%v became ErrNotFound", err)
				}
			}
			// One load for each of the three Gets, all of them by the owner.
			if s := nodes[1].group.Stats(); s.Loads != 3 || s.LoadErrors+s.NotFound != 3 {
				t.Errorf("the owner ran %d loads", s.Loads)
			}
			if s := nodes[0].group.Stats(); s.Loads != 0 || s.PeerErrors != 0 {
				t.Errorf("the asker: %+v", s)
			}
		})
	}
}

func TestP6ValueTooLargeIsAnAnswer(t *testing.T) {
	o := origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, 1001), nil }}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o), group: []peercache.GroupOption{peercache.WithMaxValueBytes(1000)}})
	key := keyOwnedBy(t, nodes, 0, 1)
	for _, n := range nodes {
		if _, err := n.group.Get(inside(t), key); !errors.Is(err, peercache.ErrValueSize) {
			t.Errorf("%v", err)
		}
	}
	if s := nodes[0].group.Stats(); s.Loads != 0 {
		t.Errorf("the asker loaded as well")
	}
}

// TestP10HostilePeers asks peers that answer with all sorts of rubbish. Each
// counts as one that was not reached, so that the asker loads by itself.
func TestP10HostilePeers(t *testing.T) {
	protobuf := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.Write([]byte(body))
		}
	}
	cases := map[string]http.HandlerFunc{
		"garbage":               protobuf("\xff\xff\xff\xff\xff\xff\xff"),
		"length beyond the end": protobuf("\x0a\xff\xff\xff\x7fx"),
		"group within":          protobuf("\x0b\x0b\x0b\x0b"),
		"another content type":  func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>hello</html>")) },
		"endless":               endless,
		"says too long":         func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "99999999999") },
		"redirect":              func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"500 of a proxy":        func(w http.ResponseWriter, r *http.Request) { http.Error(w, "upstream", 500) },
		"cut off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("\x0a\x05"))
			panic(http.ErrAbortHandler)
		},
		"no such group": protobuf("\x22\x02\x08\x04"),
		"shutting down": protobuf("\x22\x02\x08\x06"),
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) {
			o := origin{}
			nodes := newCluster(t, 2, config{getter: oneOrigin(&o), second: handler, group: []peercache.GroupOption{peercache.WithMaxValueBytes(1 << 20)}})
			key := keyOwnedBy(t, nodes, 0, 1)
			if got := nodes[0].get(t, key); got != "value of "+key {
				t.Fatalf("got %q", got)
			}
			if s := nodes[0].group.Stats(); s.PeerErrors != 1 || s.Loads != 1 {
				t.Fatalf("%d peer errors, %d loads; want 1 and 1", s.PeerErrors, s.Loads)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	chunk := make([]byte, 1<<16)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestP10ValueOverTheLimitFromAPeer(t *testing.T) {
	large := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Header().Set("Peercache-Peer", r.Header.Get("Peercache-To"))
		w.Write(append([]byte("\x0a\xc8\x01"), make([]byte, 200)...))
	})
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{}), second: large, group: []peercache.GroupOption{peercache.WithMaxValueBytes(100)}})
	key := keyOwnedBy(t, nodes, 0, 1)
	if _, err := nodes[0].group.Get(inside(t), key); !errors.Is(err, peercache.ErrValueSize) {
		t.Fatal(err)
	}
}

func TestP10RequestsThatBreakTheRules(t *testing.T) {
	nodes := newCluster(t, 1, config{getter: oneOrigin(&origin{})})
	cases := map[string]struct {
		method, path, body string
		status             int
	}{
		"outside the base path": {"GET", "/elsewhere", "", 404},
		"no group":              {"GET", "/_peercache/", "", 400},
		"no key":                {"GET", "/_peercache/test", "", 400},
		"empty key":             {"GET", "/_peercache/test/", "", 400},
		"unknown group":         {"GET", "/_peercache/nope/key", "", 404},
		"another method":        {"PUT", "/_peercache/test/key", "", 405},
		"POST elsewhere":        {"POST", "/_peercache/test/key", "", 404},
		"body is no protobuf":   {"POST", "/_peercache/get", "\xff\xff", 400},
		"change is no protobuf": {"POST", "/_peercache/change", "\xff\xff", 400},
		"group is not UTF-8":    {"POST", "/_peercache/get", "\x0a\x01\xff\x12\x01k", 400},
		"another content type":  {"POST", "/_peercache/change", "\x0a\x04test\x12\x01k", 415},
		"body too large":        {"POST", "/_peercache/get", strings.Repeat("x", 5<<20), 413},
		"key too long":          {"POST", "/_peercache/get", "\x0a\x04test\x12\x81\x80\x02" + strings.Repeat("k", 32<<10+1), 400},
		"change, unknown group": {"POST", "/_peercache/change", "\x0a\x04nope\x12\x01k", 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, nodes[0].url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if name != "another content type" {
				req.Header.Set("Content-Type", "application/x-protobuf")
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestP2CopiesAnswerNoPeer asks a peer for a key of which it holds but a copy. A
// copy that answered would go on living at the asker after its own end.
func TestP2CopiesAnswerNoPeer(t *testing.T) {
	var o origin
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
	key := keyOwnedBy(t, nodes, 0, 1)
	nodes[0].get(t, key)
	nodes[0].get(t, key) // once is not worth a copy
	if s := nodes[0].group.Stats(); s.Hot.Items != 1 {
		t.Fatalf("no copy is held: %+v", s.Hot)
	}
	if _, err := nodes[0].group.ServeGet(inside(t), peercache.Query{Group: "test", Key: key}); err != nil {
		t.Fatal(err)
	}
	if s := nodes[0].group.Stats(); s.Loads != 1 {
		t.Fatalf("%d loads, want one: the copy answered", s.Loads)
	}
}
