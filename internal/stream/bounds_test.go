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
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/peer"
)

// heap returns the bytes of the objects that are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// serving is a server whose peer says what a test writes.
type serving struct {
	*memConn // of the peer
	server   *Server
	ran      chan error
}

// serve starts a server whose peer has said hello.
func serve(h peer.Handler, cfg Config) *serving {
	cli, srv := memConns(1 << 20)
	s := &serving{memConn: cli, server: NewServer(srv, nil, h, cfg), ran: make(chan error, 1)}
	go func() { s.ran <- s.server.Run() }()
	cli.Write(appendHello(nil, hello{maxFrame: 1 << 20}))
	return s
}

// end hangs up.
func (s *serving) end() {
	s.Close()
	<-s.ran
}

// skim reads and drops what the server says.
func (s *serving) skim() {
	b := make([]byte, 64<<10)
	for {
		if _, err := s.Read(b); err != nil {
			return
		}
	}
}

// A frame that is announced costs what has arrived of it.
func TestAnnouncedFramesCostWhatArrives(t *testing.T) {
	for _, tt := range []struct {
		name string
		says []byte
		most int64 // bytes a stream
	}{
		{"nothing", nil, 32 << 10},
		{"a frame of 4 MiB", protowire.AppendVarint(nil, 4<<20), 32 << 10},
		{"100 KiB of 4 MiB", append(protowire.AppendVarint(nil, 4<<20), make([]byte, 100<<10)...), 8 * 100 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const streams = 50
			all := make([]*serving, streams)
			before := heap()
			for i := range all {
				all[i] = serve(echo, Config{})
				all[i].Write(tt.says)
			}
			for _, s := range all {
				for s.held() > 0 {
					runtime.Gosched()
				}
			}
			if each := (heap() - before) / streams; each > tt.most {
				t.Errorf("a stream costs %d bytes, want at most %d", each, tt.most)
			}
			for _, s := range all {
				s.end()
			}
		})
	}
}

// A frame, and a hello, has to be whole in time, however often a byte of it comes.
func TestFramesAreWholeInTime(t *testing.T) {
	greet := appendHello(nil, hello{})
	for _, tt := range []struct {
		name  string
		first []byte // at once
		drip  []byte // a byte a second
		ends  time.Duration
	}{
		{"no hello", nil, nil, DefaultHelloTimeout},
		{"a slow hello", nil, append([]byte{40}, make([]byte, 100)...), DefaultHelloTimeout},
		{"a slow frame", greet, getFrame(1, strings.Repeat("k", 100)), DefaultFrameTimeout},
		{"a slow long frame", append(greet, protowire.AppendVarint(nil, 1<<20)...), make([]byte, 100), DefaultFrameTimeout},
		{"pings", greet, bytes.Repeat(appendFrame(nil, 0, bodyPing, 0), 100), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cli, srv := memConns(1 << 20)
				s := NewServer(srv, nil, echo, Config{})
				ran := make(chan error, 1)
				start := time.Now()
				go func() { ran <- s.Run() }()
				cli.Write(tt.first)
				go func() {
					for _, b := range tt.drip {
						if _, err := cli.Write([]byte{b}); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				if tt.ends == 0 {
					time.Sleep(90 * time.Second)
					if len(ran) > 0 {
						t.Errorf("it ended: %v", <-ran)
					}
					cli.Close()
					<-ran
					time.Sleep(time.Second)
					return
				}
				wantErr(t, "Run", <-ran, ErrSilent)
				if took := time.Since(start); took < tt.ends || took > tt.ends+2*time.Second {
					t.Errorf("it ended after %v, want %v", took, tt.ends)
				}
				cli.Close()
				time.Sleep(time.Second) // for the drip
			})
		})
	}
}

// Answers that nobody reads hold a bounded amount, whatever is loaded.
func TestUnreadAnswersAreBounded(t *testing.T) {
	for _, size := range []int{64 << 10, 200 << 10, 8 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var loaded atomic.Int64
			most := make(chan struct{}, 8) // the getter's own bound, so that the test takes little
			h := funcs{load: func(context.Context, string, string) reply {
				most <- struct{}{}
				defer func() { <-most }()
				loaded.Add(1)
				return reply{Value: strings.Repeat("v", size)}
			}}
			before := heap()
			const loads = 300
			s := serve(h, Config{})
			for id := range uint64(loads) {
				s.Write(getFrame(id+1, "k"))
			}
			for loaded.Load() < loads && !s.server.full() { // else it reads no more
				time.Sleep(time.Millisecond)
			}
			// The connection in memory is 1 MiB of it, and a buffer that grows may be
			// twice as large as what is in it.
			const bound = DefaultMaxHeldBytes + 8*(DefaultMaxQueuedBytes+256<<10)
			n := heap() - before
			for tries := 0; n > bound && tries < 50; tries++ { // some may just be answered
				time.Sleep(time.Millisecond)
				n = heap() - before
			}
			if n > bound {
				t.Errorf("%d MiB are held for %d answers of %d bytes that nobody reads, want at most %d MiB", n>>20, loads, size, bound>>20)
			}
			go s.skim()
			s.end()
			if n := s.server.held.used.Load(); n != 0 {
				t.Errorf("%d bytes are counted at the end", n)
			}
		})
	}
}

// full reports whether answers have to wait.
func (s *Server) full() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.full()
}

// What is asked, and not answered, holds a small multiple of its bytes.
func TestWhatIsAskedHoldsLittle(t *testing.T) {
	h := funcs{
		load:      hang,
		loadBatch: func(ctx context.Context, _ string, _ []string, _ func(int, reply)) { <-ctx.Done() },
		change:    func(ctx context.Context, _ string) string { <-ctx.Done(); return "" },
	}
	long, err := peer.EncodeChange(&peer.Change{Keys: []string{strings.Repeat("k", 100<<10)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(id uint64) []byte{
		"gets":    func(id uint64) []byte { return getFrame(id, "k") },
		"batches": func(id uint64) []byte { return appendBatch(nil, id, 2*1000, &peer.Query{}, make([]string, 1000), nil) },
		"pairs":   func(id uint64) []byte { return appendBatch(nil, id, 6, &peer.Query{}, []string{"a", "b"}, nil) },
		"changes": func(id uint64) []byte { return appendFrame(nil, id, bodyChange, 0) },
		"long changes": func(id uint64) []byte {
			return append(appendFrame(nil, id, bodyChange, len(long)), long...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var says []byte
			for id := uint64(1); len(says) < 1<<20 && id <= DefaultMaxRequests; id++ {
				says = append(says, ask(id)...)
			}
			before := heap()
			s := serve(h, Config{MaxLoads: 4, MaxChanges: 4, Shared: NewShared(Limits{MaxRequestBytes: 2 << 20})})
			go s.skim()
			s.Write(says)
			for s.held() > 0 && len(s.ran) == 0 {
				time.Sleep(time.Millisecond)
			}
			// What is taken on costs what is counted. The connection, and the answers to what is
			// refused, have some of their own.
			// The latter go as soon as they are written, which may take a busy machine a moment.
			const most = 2<<20 + 5<<20
			held := heap() - before
			for try := 0; held > most && try < 20; try++ {
				time.Sleep(10 * time.Millisecond)
				held = heap() - before
			}
			if held > most {
				t.Errorf("%d bytes hold %d, want at most %d", len(says), held, most)
			}
			s.end()
		})
	}
}

// usage returns how much of a lane is in use, and how many jobs wait.
func (s *Server) usage(l *lane) (busy, queued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.busy, len(l.queue)
}

// Batches of many small keys are loaded few at a time, and cost little while they wait.
func TestBatchesAreBounded(t *testing.T) {
	var now, most atomic.Int64
	release := make(chan struct{})
	h := funcs{loadBatch: func(ctx context.Context, _ string, keys []string, answer func(int, reply)) {
		var all sync.WaitGroup
		for range min(len(keys), batchWeight) {
			all.Go(func() {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				select {
				case <-release:
				case <-ctx.Done():
				}
			})
		}
		all.Wait()
	}}
	var says []byte
	for id := uint64(1); len(says) < 4<<20-(16<<10); id++ {
		says = appendBatch(says, id, 2*DefaultMaxKeys, &peer.Query{}, make([]string, DefaultMaxKeys), nil)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	s := serve(h, Config{})
	go s.skim()
	s.Write(says)
	for s.held() > 0 || now.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if n := heap() - before; n > 8*int64(len(says)) {
		t.Errorf("%d bytes of batches cost %d, want at most 8 times as much", len(says), n)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 2*DefaultMaxLoads || most.Load() > DefaultMaxLoads {
		t.Errorf("%d goroutines, %d loads at once: want at most %d loads", n, most.Load(), DefaultMaxLoads)
	}
	if n := s.server.shared.requests.used.Load(); n == 0 || n > 8*int64(len(says)) {
		t.Errorf("%d bytes are counted for %d", n, len(says))
	}
	close(release)
	s.end()
	if n := s.server.shared.requests.used.Load(); n != 0 {
		t.Errorf("%d bytes are counted at the end", n)
	}
}

// A change whose handler does not come to its end is no change that was made: the answer
// has an error, where a ChangeResponse has it.
func TestGoexitInChangeIsAnError(t *testing.T) {
	e := connect(t, funcs{change: func(context.Context, string) string { runtime.Goexit(); return "" }}, Config{})
	defer e.end()
	said, err := e.Change(t.Context(), changeOf("x"))
	if err != nil || !strings.Contains(string(said), "no answer") {
		t.Errorf("the answer is %q, %v", said, err)
	}
}

// Pings and late requests of a peer that does not leave hold up nobody who closes.
func TestCloseDespite(t *testing.T) {
	for _, tt := range []struct {
		name string
		says func(i int) []byte // every 200 ms
		most time.Duration
	}{
		{"pings", func(int) []byte { return appendFrame(nil, 0, bodyPing, 0) }, 3 * DefaultDetect},
		{"hits", func(i int) []byte { return getFrame(uint64(i+10), "hit") }, (closingTicks + 1) * DefaultDetect},
		{"loads", func(i int) []byte { return getFrame(uint64(i+10), "slow") }, (closingTicks+1)*DefaultDetect + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(funcs{
					hit: func(_, key string) (reply, bool) { return reply{Value: key}, key == "hit" },
					load: func(ctx context.Context, _, key string) reply {
						select {
						case <-time.After(time.Second):
						case <-ctx.Done():
						}
						return reply{}
					},
				}, Config{})
				go s.skim()
				go func() {
					for i := 0; ; i++ {
						if _, err := s.Write(tt.says(i)); err != nil {
							return
						}
						time.Sleep(200 * time.Millisecond)
					}
				}()
				time.Sleep(3 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				if err := s.server.Close(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > tt.most {
					t.Errorf("it took %v, want at most %v", took, tt.most)
				}
				s.end()
				time.Sleep(time.Second) // for those who write
			})
		})
	}
}

// A length that no int of 32 bits holds, and times without end, are refused or cut.
func TestNumbersAtTheEndOfTheirRange(t *testing.T) {
	for _, length := range []uint64{1 << 30, 1<<30 + 1<<20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for kind := bodyAnswer; kind <= bodyHello; kind++ {
			inner := protowire.AppendVarint([]byte{tag(1, protowire.BytesType)}, length)
			for _, b := range [][]byte{
				append([]byte{tag(kind, protowire.BytesType)}, protowire.AppendVarint(nil, length)...),
				protowire.AppendBytes([]byte{tag(kind, protowire.BytesType)}, inner),
			} {
				var f frame
				if err := f.decode(b, len(b), 10); !errors.Is(err, ErrProtocol) && !errors.Is(err, errShort) && kind != bodyChange && kind != bodyChanged {
					t.Errorf("kind %d, a length of %d: %v", kind, length, err)
				}
				f.decode(b, 1<<31-1, 10)
			}
		}
	}
	for _, v := range []uint64{0, 1, 1<<62 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		d := durationOf(v)
		if sum := int64(d) + int64(d/2); sum < 0 != (d < 0) {
			t.Errorf("%d ns: %v", int64(v), d)
		}
	}
}
