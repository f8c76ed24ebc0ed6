package peercache_test

import (
	"io"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/internal/snapshot"
	"github.com/peercache/peercache/pb"
)

// rewrite changes what a file says of the process that wrote it, and of its records.
func rewrite(t *testing.T, path string, change func(h *snapshot.Header, f *pb.Farewell), record func(r *snapshot.Record)) {
	t.Helper()
	taken, err := snapshot.Take(path)
	if err != nil || taken == nil {
		t.Fatalf("%v, %v: want a file", taken, err)
	}
	file, err := taken.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Remove()
	defer file.Close()
	h, f := file.Header(), new(pb.Farewell)
	if err := proto.Unmarshal(h.Note, f); err != nil {
		t.Fatal(err)
	}
	change(&h, f)
	if h.Note, err = proto.Marshal(f); err != nil {
		t.Fatal(err)
	}
	w, err := snapshot.Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	for {
		r, err := file.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		record(&r)
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := w.Publish(); err != nil {
		t.Fatal(err)
	}
}

func asItIs(*snapshot.Record) {}

// What a file leaves out of the end of its process vouches for nothing: neither that nobody
// was there, nor that nobody has changed anything.
func TestP8FarewellThatSaysTooLittle(t *testing.T) {
	for name, change := range map[string]func(h *snapshot.Header, f *pb.Farewell){
		"it is empty":                   func(_ *snapshot.Header, f *pb.Farewell) { proto.Reset(f) },
		"it has no peers":               func(_ *snapshot.Header, f *pb.Farewell) { f.Peers = nil },
		"it has neither peers nor logs": func(_ *snapshot.Header, f *pb.Farewell) { f.Peers, f.Logs = nil, nil },
		"it has no peers, no witnesses": func(_ *snapshot.Header, f *pb.Farewell) { f.Peers, f.Witnesses = nil, nil },
		"its departure is another one":  func(h *snapshot.Header, f *pb.Farewell) { h.Departure++; f.Peers = nil },
		"its process is another one": func(h *snapshot.Header, f *pb.Farewell) {
			f.Peers = nil
			for _, log := range f.Logs {
				log.Peer = "http://" + host(7) + ":8001"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				f := newLasting(t, net, 3)
				keys := f.keysOf(t, 1, 20)
				f.stop(t, 1)
				f.changes(t, 0, keys...)
				// Those who know of the changes crash, so that nobody does.
				f.crash(t, 0)
				f.crash(t, 2)
				rewrite(t, f.path(1), change, asItIs)
				for i := range f.nodes {
					f.restart(t, i)
				}
				f.ready(t, 1)
				for _, key := range keys {
					f.nodes[1].brings(t, key, "new")
				}
				f.restored(t, 1, 0)
			})
		})
	}
}

// A process that was alone begins with its file if it still is; if others have come
// meanwhile, they know of no departure.
func TestRestartOfOneThatIsAlone(t *testing.T) {
	for _, company := range []bool{false, true} {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			f := newLasting(t, net, 1)
			f.keysOf(t, 0, 20)
			f.stop(t, 0)
			want := 20
			if company {
				f.nodes = append(f.nodes, startSimNode(t, net, 1, f.config))
				introduce(t, f.nodes[1:], f.nodes...)
				want = 0
			}
			f.restart(t, 0)
			f.ready(t, 0)
			f.restored(t, 0, want)
		})
	}
}

// Times that no process would have written neither serve a value for longer than it had,
// nor do any harm.
func TestP7SnapshotWithTimesOfNoProcess(t *testing.T) {
	for _, c := range []struct {
		left     time.Duration
		restored int
	}{
		{math.MinInt64, 0}, {-1, 0}, {1, 0}, {math.MaxInt64, 1},
	} {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			f := newLasting(t, net, 1)
			f.keysOf(t, 0, 1)
			f.stop(t, 0)
			rewrite(t, f.path(0), func(*snapshot.Header, *pb.Farewell) {}, func(r *snapshot.Record) { r.Left = c.left })
			time.Sleep(time.Second)
			f.restart(t, 0)
			f.ready(t, 0)
			f.restored(t, 0, c.restored)
		})
	}
}
