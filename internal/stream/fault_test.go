package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// frames puts whole frames one behind the other.
func frames(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = append(b, f...)
	}
	return b
}

func answerFrame(id uint64, index uint32, a reply) []byte {
	return append(appendAnswer(nil, id, index, a.response()), a.Value...)
}

func getFrame(id uint64, key string) []byte {
	return appendGet(nil, id, sizeGet(queryFor("g", key)), queryFor("g", key))
}

// firstIDs are the ids of a link's first two requests.
const (
	firstID  = 1 << slotBits
	secondID = firstID | 1
)

var generous = hello{maxRequests: 100, maxKeys: 100, maxRequestBytes: 1 << 20}

// TestPeerThatFaults has a link ask a peer that answers with what it should not.
// A get and a batch of two keys are in flight: firstID and secondID.
func TestPeerThatFaults(t *testing.T) {
	good := answerFrame(firstID, 0, reply{Value: "v"})
	long := answerFrame(firstID, 0, reply{Value: strings.Repeat("v", 200<<10)})
	for _, tt := range []struct {
		name string
		says []byte
		cut  bool // the connection, after that
		want error
	}{
		{"garbage", []byte("HTTP/1.1 500 no\r\n\r\n" + strings.Repeat("no ", 100)), false, ErrProtocol},
		{"zeros", make([]byte, 100), false, ErrProtocol},
		{"a size without end", bytes.Repeat([]byte{0xff}, 100), false, ErrProtocol},
		{"frame longer than allowed", protowire.AppendVarint(nil, 256<<10+besideValue+1), false, ErrProtocol},
		{"endless length", []byte(strings.Repeat("\xff", 20)), false, nil},
		{"id of no request", answerFrame(firstID+7, 0, reply{}), false, ErrProtocol},
		{"id of an earlier turn", answerFrame(0, 0, reply{}), false, ErrProtocol},
		{"answer twice", frames(good, good), false, ErrProtocol},
		{"index too high", answerFrame(secondID, 2, reply{}), false, ErrProtocol},
		{"index for a get", answerFrame(firstID, 1, reply{}), false, ErrProtocol},
		{"index twice", frames(answerFrame(secondID, 1, reply{}), answerFrame(secondID, 1, reply{})), false, ErrProtocol},
		{"changed for a get", appendFrame(nil, firstID, bodyChanged, 0), false, ErrProtocol},
		{"a request", getFrame(1, "k"), false, ErrProtocol},
		{"a second hello", appendHello(nil, generous), false, ErrProtocol},
		{"goaway with an error", appendEnd(nil, 0, bodyGoAway, &pb.Error{Kind: pb.Error_KIND_INVALID, Message: []byte("why")}), false, ErrProtocol},
		{"silence", nil, false, ErrSilent},
		{"half a frame and silence", good[:len(good)/2], false, ErrSilent},
		{"half a long frame and silence", long[:100<<10], false, ErrSilent},
		{"cut", nil, true, ErrHungUp},
		{"half a frame and cut", good[:len(good)/2], true, nil},
		{"half a long frame and cut", long[:100<<10], true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cli, srv := memConns(1 << 20)
				srv.Write(appendHello(nil, generous))
				l, err := Open(t.Context(), cli, nil, peerName, Config{})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var one, two records
				l.Ask(&one, queryFor("g", "a"))
				l.AskBatch(&two, 0, &peer.Query{Group: "g"}, []string{"b", "c"}, nil)
				synctest.Wait()
				srv.Write(tt.says)
				if tt.cut {
					srv.Close()
				}
				<-l.Done()
				if took := time.Since(start); took > DefaultDetect {
					t.Errorf("it took %v, want at most %v", took, DefaultDetect)
				}
				synctest.Wait()
				one.one(t, 0)
				for i := range 2 {
					r := two.one(t, i)
					if r.err != nil && tt.want != nil {
						wantErr(t, "an answer", r.err, tt.want)
						if failed, ok := r.err.(*peer.PeerError); !ok || failed.Peer != peerName {
							t.Errorf("an answer: error %#v, want a *PeerError of the peer", r.err)
						}
					}
				}
				if two.one(t, 0).err == nil && two.one(t, 1).err == nil {
					t.Error("nobody was told")
				}
				if _, err := l.Ask(&one, queryFor("g", "a")); err == nil || !strings.HasPrefix(err.Error(), "stream: ") {
					t.Errorf("Ask on the failed link: %v", err)
				}
				l.Close(t.Context())
			})
		})
	}
}

// TestCutAnywhere cuts the connection after each byte of what the peer says.
func TestCutAnywhere(t *testing.T) {
	says := frames(answerFrame(firstID, 0, reply{Value: "v", TTL: 1}), answerFrame(secondID, 1, reply{Err: errorOf(peer.ErrNotFound, "no")}), answerFrame(secondID, 0, reply{Value: "w"}))
	for n := range says {
		bubble(t, func(t *testing.T) {
			cli, srv := memConns(1 << 20)
			srv.Write(appendHello(nil, generous))
			l, err := Open(t.Context(), cli, nil, peerName, Config{})
			if err != nil {
				t.Fatal(err)
			}
			var one, two records
			l.Ask(&one, queryFor("g", "a"))
			l.AskBatch(&two, 0, &peer.Query{Group: "g"}, []string{"b", "c"}, nil)
			srv.Write(says[:n])
			synctest.Wait()
			srv.Close()
			l.Close(t.Context())
			failed := 0
			for _, r := range []record{one.one(t, 0), two.one(t, 0), two.one(t, 1)} {
				if r.err != nil {
					failed++
				}
			}
			if failed == 0 {
				t.Errorf("cut after %d of %d bytes: all were answered", n, len(says))
			}
		})
	}
}

func TestOpenFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		says []byte
		cut  bool
		want error
	}{
		{"silence", nil, false, context.DeadlineExceeded},
		{"cut", nil, true, nil},
		{"no hello", appendFrame(nil, 0, bodyPong, 0), false, ErrProtocol},
		{"a hello that allows nothing", appendHello(nil, hello{}), false, ErrProtocol},
		{"a long hello", protowire.AppendVarint(nil, longestHello+1), false, ErrProtocol},
		{"goaway", appendEnd(nil, 0, bodyGoAway, nil), false, ErrGoAway},
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n" + strings.Repeat("no ", 100)), false, ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cli, srv := memConns(1 << 20)
				srv.Write(tt.says)
				if tt.cut {
					srv.Close()
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := Open(ctx, cli, nil, peerName, Config{})
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if _, err := srv.Write([]byte{1}); err == nil {
					t.Error("the connection is still open")
				}
			})
		})
	}
}

// TestAskerThatFaults has a server read what it should not.
func TestAskerThatFaults(t *testing.T) {
	cfg := Config{MaxRequests: 3, MaxKeys: 4, MaxRequestBytes: 1000, IdleTimeout: time.Minute}
	greet := appendHello(nil, hello{maxFrame: 1 << 20})
	keys := func(n int) []byte {
		return appendBatch(nil, 9, 2*n, &peer.Query{}, make([]string, n), nil)
	}
	for _, tt := range []struct {
		name string
		says []byte
		cut  bool
		want error
	}{
		{"nothing", nil, false, ErrSilent},
		{"nothing and cut", nil, true, nil},
		{"no hello", getFrame(1, "k"), false, ErrProtocol},
		{"garbage", frames(greet, []byte("\x05hello")), false, ErrProtocol},
		{"frame longer than allowed", frames(greet, protowire.AppendVarint(nil, 1001)), false, ErrProtocol},
		{"an answer", frames(greet, answerFrame(1, 0, reply{Value: "v"})), false, ErrProtocol},
		{"no id", frames(greet, appendFrame(nil, 0, bodyGet, 0)), false, ErrProtocol},
		{"one id twice", frames(greet, getFrame(1, "k"), getFrame(1, "k")), false, ErrProtocol},
		{"too many requests", frames(greet, getFrame(1, "k"), getFrame(2, "k"), getFrame(3, "k"), getFrame(4, "k")), false, ErrProtocol},
		{"too many bytes", frames(greet, getFrame(1, strings.Repeat("k", 600)), getFrame(2, strings.Repeat("k", 600)), getFrame(3, "k")), false, ErrProtocol},
		{"too many keys", frames(greet, keys(5)), false, ErrProtocol},
		{"a batch of nothing", frames(greet, keys(0)), false, ErrProtocol},
		{"half a frame and silence", frames(greet, getFrame(1, "kkkkkk")[:8]), false, ErrSilent},
		{"half a frame and cut", frames(greet, getFrame(1, "kkkkkk")[:8]), true, nil},
		{"loads and cut", frames(greet, getFrame(1, "k"), getFrame(2, "k"), keys(4)), true, nil},
		{"cancel of nothing", frames(greet, appendEnd(nil, 77, bodyCancel, nil)), true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cli, srv := memConns(1 << 20)
				var loads atomic.Int32
				h := funcs{
					load: func(ctx context.Context, g, k string) reply {
						loads.Add(1)
						defer loads.Add(-1)
						return hang(ctx, g, k)
					},
					loadBatch: func(ctx context.Context, _ string, _ []string, _ func(int, reply)) { <-ctx.Done() },
				}
				s := NewServer(srv, nil, h, cfg)
				ran := make(chan error)
				start := time.Now()
				go func() { ran <- s.Run() }()
				cli.Write(tt.says)
				synctest.Wait()
				if tt.cut {
					cli.Close()
				}
				err := <-ran
				if tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("Run: %v, want %v", err, tt.want)
				}
				if took := time.Since(start); took > 2*cfg.IdleTimeout {
					t.Errorf("it took %v", took)
				}
				if loads.Load() != 0 {
					t.Error("loads run on")
				}
				if n := s.Stats().InFlight; n != 0 {
					t.Errorf("%d in flight after the end", n)
				}
			})
		})
	}
}

// TestRequestCutAnywhere cuts the connection after each byte of what is asked.
func TestRequestCutAnywhere(t *testing.T) {
	says := frames(appendHello(nil, hello{maxFrame: 1 << 20}), getFrame(1, "k"),
		appendBatch(nil, 2, 6, &peer.Query{}, []string{"a", "b"}, nil), appendEnd(nil, 1, bodyCancel, nil))
	for n := range says {
		bubble(t, func(t *testing.T) {
			cli, srv := memConns(1 << 20)
			s := NewServer(srv, nil, funcs{load: hang}, Config{})
			ran := make(chan error)
			go func() { ran <- s.Run() }()
			cli.Write(says[:n])
			synctest.Wait()
			cli.Close()
			if err := <-ran; errors.Is(err, ErrProtocol) {
				t.Errorf("cut after %d of %d bytes: %v", n, len(says), err)
			}
		})
	}
}

// TestPeerThatNeverReads asks for much and reads nothing of it.
func TestPeerThatNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		value := strings.Repeat("v", 200<<10)
		h := funcs{
			hit:  func(_, key string) (reply, bool) { return reply{Value: value}, key != "miss" },
			load: func(context.Context, string, string) reply { return reply{Value: value} },
		}
		cli, srv := memConns(1 << 20)
		s := NewServer(srv, nil, h, Config{})
		ran := make(chan error, 1)
		go func() { ran <- s.Run() }()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			cli.Write(appendHello(nil, hello{maxFrame: 1 << 20}))
			for id := uint64(1); id < 100_000; id++ {
				key := "hit"
				if id < 50 {
					key = "miss"
				}
				if _, err := cli.Write(getFrame(id, key)); err != nil {
					return
				}
			}
		}()
		time.Sleep(DefaultIdleTimeout / 2)
		s.w.mu.Lock()
		queued := len(s.w.next.buf) + cap(s.w.next.cuts)*24
		bytes := len(s.w.next.buf) + s.w.next.size
		s.w.mu.Unlock()
		if most := DefaultMaxQueuedBytes + 50*len(value); bytes > most || queued > most {
			t.Errorf("%d bytes are queued, want at most %d", bytes, most)
		}
		if cli.held() == 0 {
			t.Error("the server reads on, with nowhere to write to")
		}
		wantErr(t, "Run", <-ran, ErrSilent)
		<-sent
	})
}

// TestServerThatNeverReads has 10,000 callers ask a peer that does not read.
func TestServerThatNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cli, srv := memConns(1 << 10)
		srv.Write(appendHello(nil, hello{maxRequests: 1 << 20, maxKeys: 1}))
		l, err := Open(t.Context(), cli, nil, peerName, Config{MaxRequestBytes: 100 << 10})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var callers sync.WaitGroup
		for range 10_000 {
			callers.Go(func() {
				if _, err := get(t.Context(), l, queryFor("g", "a key of some length")); !errors.Is(err, ErrSilent) || peer.Unreachable(err) {
					t.Errorf("error %v, want ErrSilent, and the link's own error", err)
				}
			})
		}
		synctest.Wait()
		l.w.mu.Lock()
		if n := len(l.w.next.buf); n > 110<<10 {
			t.Errorf("%d bytes are queued", n)
		}
		l.w.mu.Unlock()
		callers.Wait()
		if took := time.Since(start); took > DefaultDetect {
			t.Errorf("it took %v, want at most %v", took, DefaultDetect)
		}
		l.Close(t.Context())
	})
}

// TestCutWithManyCallers cuts a connection that 10,000 wait on, again and again.
func TestCutWithManyCallers(t *testing.T) {
	for round := range 3 {
		bubble(t, func(t *testing.T) {
			h := funcs{
				hit:  func(_, key string) (reply, bool) { return reply{Value: key}, len(key)%2 == 0 },
				load: hang,
			}
			e := connect(t, h, Config{MaxRequests: 6000 * (round + 1)})
			var callers sync.WaitGroup
			var values, errs atomic.Int32
			for i := range 10_000 {
				callers.Go(func() {
					key := fmt.Sprint(i)
					switch a, err := get(t.Context(), e.Link, queryFor("g", key)); {
					case err == nil && a.Value == key:
						values.Add(1)
					case err != nil && strings.HasPrefix(err.Error(), "stream: "):
						errs.Add(1)
					default:
						t.Errorf("key %s: got %v, %v", key, a, err)
					}
				})
			}
			for range round {
				runtime.Gosched()
			}
			synctest.Wait()
			e.srv.Close()
			callers.Wait()
			if n := values.Load() + errs.Load(); n != 10_000 || errs.Load() == 0 {
				t.Errorf("%d values and %d errors, want 10,000 together", values.Load(), errs.Load())
			}
			e.end()
		})
	}
}

// counter is a Waiter that counts answers.
type counter struct{ atomic.Int64 }

func (c *counter) Answer(int, peer.Answer, error) { c.Add(1) }

// TestCutsLeaveNoHeap cuts connections on which much is in flight, and compares
// the heap after a few of them with the heap after many.
func TestCutsLeaveNoHeap(t *testing.T) {
	const inFlight, value = 500, 1 << 10
	cut := func() {
		h := funcs{
			hit:  func(_, key string) (reply, bool) { return reply{Value: strings.Repeat("v", value)}, len(key)%2 == 0 },
			load: hang,
		}
		e := connect(t, h, Config{})
		var got counter
		for i := range inFlight {
			if _, err := e.Ask(&got, queryFor("g", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		e.srv.Close()
		e.end()
		if n := got.Load(); n != inFlight {
			t.Fatalf("%d answers to %d requests", n, inFlight)
		}
	}
	heap := func(rounds int) int64 {
		for range rounds {
			cut()
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	few := heap(5)
	if grown := heap(50) - few; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes in 50 cuts", grown)
	}
}
