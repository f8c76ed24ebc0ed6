package peercache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// tenantKey is that of what travels in these tests, localKey of what does not.
type (
	tenantKey struct{}
	localKey  struct{}
)

// of returns the context of a caller.
func of(tenant string) context.Context {
	return context.WithValue(context.WithValue(context.Background(), localKey{}, "local"), tenantKey{}, tenant)
}

// tenants carries the tenant.
func tenants() peercache.ContextCodec {
	return peercache.ContextCodec{
		Encode: func(ctx context.Context) []byte {
			tenant, _ := ctx.Value(tenantKey{}).(string)
			return []byte(tenant)
		},
		Decode: func(ctx context.Context, b []byte) context.Context {
			return context.WithValue(ctx, tenantKey{}, string(b))
		},
	}
}

// seen is a getter that answers with what it sees of its context, and a count.
type seen struct {
	mu    sync.Mutex
	loads int
	ttl   time.Duration
}

func (s *seen) Get(ctx context.Context, key string) (peercache.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	_, ends := ctx.Deadline()
	text := fmt.Sprintf("%v %v %v %d", ctx.Value(tenantKey{}), ctx.Value(localKey{}), ends, s.loads)
	return peercache.Item{Value: []byte(text), TTL: s.ttl}, nil
}

// seenBatch is one that loads many keys at once.
type seenBatch struct{ seen }

func (s *seenBatch) GetBatch(ctx context.Context, keys []string) (items []peercache.Item, err error) {
	for _, key := range keys {
		item, _ := s.Get(ctx, key)
		items = append(items, item)
	}
	return items, nil
}

// The getter sees of its caller's context what the codec carries, and nothing else, wherever
// it runs and however it was asked.
func TestContextTravels(t *testing.T) {
	for _, streams := range []bool{true, false} {
		for name, ask := range map[string]func(t *testing.T, n *node, keys []string) (values []string){
			"Get": func(t *testing.T, n *node, keys []string) (values []string) {
				for _, key := range keys {
					view, err := n.group.Get(of("Ann"), key)
					if err != nil {
						t.Fatal(err)
					}
					values = append(values, view.String())
				}
				return values
			},
			"GetMulti": func(t *testing.T, n *node, keys []string) (values []string) {
				for _, r := range n.group.GetMulti(of("Ann"), keys) {
					if r.Err != nil {
						t.Fatal(r.Err)
					}
					values = append(values, r.View.String())
				}
				return values
			},
		} {
			for _, getter := range []peercache.Getter{&seen{}, &seenBatch{}} {
				t.Run(fmt.Sprintf("%s of a %T, streams %v", name, getter, streams), func(t *testing.T) {
					simulate(t, func(t *testing.T, net *simnet.Network) {
						nodes := newSimCluster(t, net, 2, simConfig{getter: getter, group: []peercache.GroupOption{peercache.WithContextCodec(tenants())},
							pool: func(int) []peercache.PoolOption {
								if streams {
									return nil
								}
								return plainly()(0)
							}})
						own, theirs := keysOwnedBy(t, nodes, 0, 0, 3), keysOwnedBy(t, nodes, 0, 1, 3)
						for _, value := range ask(t, nodes[0], slices.Concat(own, theirs)) {
							if !strings.HasPrefix(value, "Ann <nil> true") {
								t.Errorf("the getter sees %q: want the tenant, no value that does not travel, and an end", value)
							}
						}
						if s := nodes[0].group.Stats(); s.PeerLoads != 3 || s.Loads != 3 {
							t.Errorf("%+v: want 3 loads here and 3 by the peer", s)
						}
					})
				})
			}
		}
	}
}

// Loads in the background, and those of a stand-in, have the context of whose Get they are for.
func TestContextTravelsInTheBackground(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		getter := &seen{ttl: 10 * time.Second}
		nodes := newSimCluster(t, net, 3, simConfig{getter: getter, group: []peercache.GroupOption{
			peercache.WithContextCodec(tenants()), peercache.WithStaleWhileRevalidate(time.Minute), peercache.WithHotShare(0),
		}})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		get := func(tenant, want string) {
			t.Helper()
			view, err := nodes[0].group.Get(of(tenant), key)
			if err != nil || !strings.HasPrefix(view.String(), want) {
				t.Errorf("Get for %s: %q, error %v: want %q", tenant, view, err, want)
			}
			time.Sleep(time.Second)
		}
		get("Ann", "Ann <nil> true 1")
		get("Bob", "Ann <nil> true 1") // it is no part of the key
		time.Sleep(10 * time.Second)
		get("Cid", "Ann <nil> true 1") // which has expired
		get("Dan", "Cid <nil> true 2")
		net.PowerOff(host(1)) // and another peer stands in
		get("Eve", "Eve <nil> true 3")
		net.HealAll()
	})
}

// A copy that is renewed asks with the context of whose hit it was.
func TestContextTravelsWithRenewals(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &seen{}, group: []peercache.GroupOption{peercache.WithContextCodec(tenants())}})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		for range 2 { // or it is not worth a copy
			if _, err := nodes[0].group.Get(of("Ann"), key); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(peercache.DefaultLease - time.Second)
		nodes[1].group.Forget(key) // so that the renewal has it loaded
		if view, err := nodes[0].group.Get(of("Bob"), key); err != nil || !strings.HasPrefix(view.String(), "Ann") {
			t.Fatalf("%q, error %v", view, err)
		}
		time.Sleep(time.Second)
		if view, err := nodes[0].group.Get(of("Cid"), key); err != nil || !strings.HasPrefix(view.String(), "Bob <nil> true 2") {
			t.Errorf("after the renewal: %q, error %v: want what Bob had loaded", view, err)
		}
	})
}

// Values that have expired, and copies whose leases end, are loaded again and renewed for the
// many keys of a GetMulti with its context, in its process and in that of their owner.
func TestContextTravelsInTheBackgroundOfManyKeys(t *testing.T) {
	for _, getter := range []peercache.Getter{&seen{ttl: 10 * time.Second}, &seenBatch{seen{ttl: 10 * time.Second}}} {
		t.Run(fmt.Sprintf("%T", getter), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 2, simConfig{getter: getter, group: []peercache.GroupOption{
					peercache.WithContextCodec(tenants()), peercache.WithStaleWhileRevalidate(time.Minute), peercache.WithHotShare(0),
				}})
				keys := slices.Concat(keysOwnedBy(t, nodes, 0, 0, 3), keysOwnedBy(t, nodes, 0, 1, 3))
				get := func(tenant, want string) {
					t.Helper()
					for _, r := range nodes[0].group.GetMulti(of(tenant), keys) {
						if r.Err != nil || !strings.HasPrefix(r.View.String(), want+" <nil> true") {
							t.Errorf("GetMulti for %s: %q, error %v: want what %s had loaded", tenant, r.View, r.Err, want)
						}
					}
					time.Sleep(time.Second)
				}
				get("Ann", "Ann")
				get("Bob", "Ann")
				time.Sleep(10 * time.Second)
				get("Cid", "Ann") // which have expired
				get("Dan", "Cid")
			})
		})
	}
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &seen{}, group: []peercache.GroupOption{peercache.WithContextCodec(tenants())}})
		keys := keysOwnedBy(t, nodes, 0, 1, 3)
		get := func(tenant, want string) {
			t.Helper()
			for _, r := range nodes[0].group.GetMulti(of(tenant), keys) {
				if r.Err != nil || !strings.HasPrefix(r.View.String(), want) {
					t.Errorf("GetMulti for %s: %q, error %v: want what %s had loaded", tenant, r.View, r.Err, want)
				}
			}
		}
		get("Ann", "Ann")
		get("Ann", "Ann") // or they are not worth copies
		time.Sleep(peercache.DefaultLease - time.Second)
		for _, key := range keys {
			nodes[1].group.Forget(key) // so that the renewal has it loaded
		}
		get("Bob", "Ann")
		time.Sleep(time.Second)
		get("Cid", "Bob")
	})
}

// A getter that is given what the codec says, and Gets other keys with it, does so inside of
// its own load: it does not wait for the slot that it has, whatever Decode returns.
func TestContextOfAGetterKnowsItsLoad(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		codec := tenants()
		codec.Decode = func(_ context.Context, b []byte) context.Context {
			return context.WithValue(context.Background(), tenantKey{}, string(b))
		}
		var nodes []*node
		inner := make(map[string]string)
		getter := peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
			if inner[key] == "" {
				return []byte(ctx.Value(tenantKey{}).(string)), nil
			}
			asker := nodes[0]
			if asker.pool.Pick(key, 0) != nil { // this getter runs in the other one
				asker = nodes[1]
			}
			view, err := asker.group.Get(ctx, inner[key])
			return []byte(view.String()), err
		})
		nodes = newSimCluster(t, net, 2, simConfig{getter: getter, group: []peercache.GroupOption{
			peercache.WithContextCodec(codec), peercache.WithMaxLoads(1),
		}})
		own, theirs := keysOwnedBy(t, nodes, 0, 0, 2), keysOwnedBy(t, nodes, 0, 1, 2)
		// From here to the other one, which asks back, and so on.
		inner[own[0]], inner[theirs[0]], inner[own[1]] = theirs[0], own[1], theirs[1]
		start := time.Now()
		view, err := nodes[0].group.Get(of("Ann"), own[0])
		if err != nil || view.String() != "Ann" || time.Since(start) > time.Second {
			t.Errorf("%q, error %v, after %v", view, err, time.Since(start))
		}
	})
}

// What is too large does not travel, and is one warning; nor is it believed of others.
func TestContextIsBounded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log bytes.Buffer
		codec := tenants()
		codec.MaxBytes = 10
		nodes := newSimCluster(t, net, 2, simConfig{getter: &seen{}, group: []peercache.GroupOption{
			peercache.WithContextCodec(codec), peercache.WithLogger(slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		}})
		long := strings.Repeat("x", 11)
		for _, owner := range []int{0, 1} {
			for _, key := range keysOwnedBy(t, nodes, 0, owner, 2) {
				if view, err := nodes[0].group.Get(of(long), key); err != nil || !strings.HasPrefix(view.String(), "<nil> <nil> true") {
					t.Errorf("%q, error %v: want nothing of the context", view, err)
				}
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "11 bytes, want at most 10") {
			t.Errorf("want one warning that says what is right:\n%s", &log)
		}
		body, _ := proto.Marshal(&pb.GetRequest{Group: "test", Key: []byte("mine"), Context: []byte(long)})
		transport := net.Host("10.0.0.99").Transport()
		defer transport.CloseIdleConnections()
		req, _ := http.NewRequest("POST", nodes[1].url+nodes[1].pool.BasePath()+"get", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got bytes.Buffer
		got.ReadFrom(resp.Body)
		if resp.StatusCode != 200 || !strings.Contains(got.String(), "<nil> <nil> true") {
			t.Errorf("a stranger's context: status %d, %q", resp.StatusCode, &got)
		}
	})
}

// lockedWriter is written to by many.
type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// A codec that panics, or returns no context, harms no Get.
func TestContextCodecThatPanics(t *testing.T) {
	encode, decode := tenants().Encode, tenants().Decode
	for name, c := range map[string]peercache.ContextCodec{
		"Encode": {Encode: func(context.Context) []byte { panic("mine") }, Decode: decode},
		"Decode": {Encode: encode, Decode: func(context.Context, []byte) context.Context { panic("mine") }},
		"nil":    {Encode: encode, Decode: func(context.Context, []byte) context.Context { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 2, simConfig{getter: &seen{}, group: []peercache.GroupOption{peercache.WithContextCodec(c)}})
				for _, owner := range []int{0, 1} {
					key := keysOwnedBy(t, nodes, 0, owner, 1)[0]
					if view, err := nodes[0].group.Get(of("Ann"), key); err != nil || !strings.HasPrefix(view.String(), "<nil> <nil> true") {
						t.Errorf("%q, error %v: want nothing of the context", view, err)
					}
				}
				panics := nodes[0].group.Stats().Panics + nodes[1].group.Stats().Panics
				if (panics > 0) != (name != "nil") {
					t.Errorf("%d panics are counted", panics)
				}
			})
		})
	}
}

// Without the option the getter has all values of its caller where that is in its process, as
// ever, and a codec that cannot be right is refused.
func TestContextCodecIsAnOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := local(t, &seen{})
		if view, err := n.group.Get(of("Ann"), "key"); err != nil || !strings.HasPrefix(view.String(), "Ann local true") {
			t.Errorf("%q, error %v", view, err)
		}
	})
	good := tenants()
	for name, c := range map[string]peercache.ContextCodec{
		"no Encode": {Decode: good.Decode},
		"no Decode": {Encode: good.Encode},
		"negative":  {Encode: good.Encode, Decode: good.Decode, MaxBytes: -1},
		"too large": {Encode: good.Encode, Decode: good.Decode, MaxBytes: 16<<10 + 1},
	} {
		if _, err := peercache.NewGroup("test", 1<<20, &seen{}, peercache.WithContextCodec(c)); err == nil || !strings.Contains(err.Error(), "WithContextCodec") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
