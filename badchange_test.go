package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// Bad keys are refused before anything is done; no keys are no work; a value that may
// not be kept is not.
func TestP10BadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := local(t, &editions{}, peercache.WithMaxKeyBytes(10))
		n.wants(t, "k", "1")
		ctx, long := t.Context(), strings.Repeat("k", 11)
		for _, keys := range [][]string{{""}, {long}, {"k", ""}, {"k", long}} {
			if err := n.group.Remove(ctx, keys...); !errors.Is(err, peercache.ErrKeySize) {
				t.Errorf("Remove %.20q: error %v, want ErrKeySize", keys, err)
			}
		}
		for _, key := range []string{"", long} {
			if err := n.group.Set(ctx, key, peercache.Item{Value: []byte("set")}); !errors.Is(err, peercache.ErrKeySize) {
				t.Errorf("Set %.20q: error %v, want ErrKeySize", key, err)
			}
		}
		for _, none := range [][]string{nil, {}} {
			if err := n.group.Remove(ctx, none...); err != nil {
				t.Errorf("Remove of no keys: %v", err)
			}
		}
		n.wants(t, "k", "1") // nothing has changed it
		for i, ttl := range []time.Duration{-1, math.MinInt64} {
			if err := n.group.Set(ctx, "k", peercache.Item{Value: []byte("set"), TTL: ttl}); err != nil {
				t.Errorf("Set with a TTL of %v: %v", ttl, err)
			}
			n.wants(t, "k", []string{"2", "3"}[i])
		}
		if err := n.group.Set(ctx, "k", peercache.Item{}); err != nil {
			t.Errorf("Set of no value: %v", err)
		}
		n.wants(t, "k", "")
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := n.group.Remove(ended, "k"); err != nil {
			t.Errorf("Remove where nobody needs to be told, with a context that has ended: %v", err)
		}
		n.wants(t, "k", "4")
	})
}

// post sends a request for a change to a node, as somebody in its network can.
func post(t testing.TB, from *simnet.Host, n *node, body []byte) (status int, resp *pb.ChangeResponse) {
	t.Helper()
	transport := from.Transport()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, n.url+n.pool.BasePath()+"change", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	said, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Body.Close()
	data, err := io.ReadAll(said.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp = new(pb.ChangeResponse)
	if said.StatusCode == http.StatusOK {
		if err := proto.Unmarshal(data, resp); err != nil {
			t.Fatal(err)
		}
	}
	return said.StatusCode, resp
}

// mustMarshal puts a request on the wire.
func mustMarshal(t testing.TB, req *pb.ChangeRequest) []byte {
	t.Helper()
	body, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// What a Change from the network may not set is not kept: it drops what is there at most.
func TestP10BadChanges(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{}, group: []peercache.GroupOption{
			peercache.WithMaxKeyBytes(100), peercache.WithMaxValueBytes(1000),
		}})
		stranger := net.Host("10.0.0.99")
		keys := keysOwnedBy(t, nodes, 0, 1, 2)
		long := strings.Repeat("k", 101)
		set := &pb.Item{Value: []byte("set")}
		for name, req := range map[string]*pb.ChangeRequest{
			"an Item of two keys":      {Group: "test", Keys: [][]byte{[]byte(keys[0]), []byte(keys[1])}, Item: set},
			"an Item of no key":        {Group: "test", Item: set},
			"an Item of an empty key":  {Group: "test", Keys: [][]byte{{}}, Item: set},
			"an Item of a long key":    {Group: "test", Keys: [][]byte{[]byte(long)}, Item: set},
			"an Item that is too long": {Group: "test", Keys: [][]byte{[]byte(keys[0])}, Item: &pb.Item{Value: make([]byte, 1001)}},
			"an Item that has expired": {Group: "test", Keys: [][]byte{[]byte(keys[0])}, Item: &pb.Item{Value: []byte("set"), TtlNs: math.MinInt64}},
			"long keys":                {Group: "test", Keys: [][]byte{bytes.Repeat([]byte("k"), 1<<20), {}, nil}},
			"an unknown group":         {Group: "unknown", Keys: [][]byte{[]byte(keys[0])}, Item: set, All: true, Holders: true, WaitNs: math.MaxInt64},
			"a group that is no text":  {Group: strings.Repeat("g", 1<<16), All: true},
			"a view of nobody":         {View: 1, Announced: true},
		} {
			status, resp := post(t, stranger, nodes[1], mustMarshal(t, req))
			if status != http.StatusOK || resp.GetError() != nil || len(resp.GetPending()) > 0 || resp.GetView() == 0 {
				t.Errorf("%s: status %d, %v: want it to be obeyed as far as that goes", name, status, resp)
			}
			if items := nodes[1].group.Stats().Main.Items; items != 0 {
				t.Errorf("%s: %d values are kept", name, items)
			}
			if view, err := nodes[1].group.Get(t.Context(), ""); !errors.Is(err, peercache.ErrKeySize) {
				t.Errorf("%s: the empty key has %q, error %v", name, view, err)
			}
		}
		// A node keeps no value of a key that it does not own.
		post(t, stranger, nodes[0], mustMarshal(t, &pb.ChangeRequest{Group: "test", Keys: [][]byte{[]byte(keys[0])}, Item: set}))
		nodes[0].brings(t, keys[0], "1")
		for _, rubbish := range []string{"\xff", "\x12", strings.Repeat("\x0a", 1000)} {
			if status, _ := post(t, stranger, nodes[1], []byte(rubbish)); status != http.StatusBadRequest {
				t.Errorf("%.10q: status %d, want 400", rubbish, status)
			}
		}
	})
}

// Who asks for a change says how long the answer may take. No lease is longer than what
// that is bounded by, and less than nothing is nothing.
func TestP10WaitIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		wait            int64
		shortest, limit time.Duration
		pending         int
	}{
		"none":     {0, 0, 100 * time.Millisecond, 1},
		"negative": {math.MinInt64, 0, 100 * time.Millisecond, 1},
		"some":     {int64(time.Second), time.Second, 1100 * time.Millisecond, 1},
		"huge":     {math.MaxInt64, 4 * time.Second, 6 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes, key, candidates, holder := cutOff(t, net)
				start := time.Now()
				_, resp := post(t, net.Host("10.0.0.99"), nodes[candidates[0]], mustMarshal(t, &pb.ChangeRequest{
					Group: "test", Keys: [][]byte{[]byte(key)}, Holders: true, WaitNs: c.wait,
				}))
				if took := time.Since(start); took < c.shortest || took > c.limit {
					t.Errorf("the answer took %v: want %v to %v", took, c.shortest, c.limit)
				}
				if len(resp.GetPending()) != c.pending || c.pending == 1 && resp.GetPending()[0].GetPeer() != nodes[holder].url {
					t.Errorf("the answer names %v: want %d, the holder", resp.GetPending(), c.pending)
				}
			})
		})
	}
}
