package peercache_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/singleflight"
)

// greedy keeps the bytes that it is unmarshalled from, and writes to them.
type greedy struct{ kept []byte }

func (g *greedy) UnmarshalJSON(b []byte) error {
	g.kept = b
	copy(b, `"no"`)
	return nil
}

func (g *greedy) GobDecode(b []byte) error {
	g.kept = b
	clear(b)
	return nil
}

func (g *greedy) GobEncode() ([]byte, error) { return []byte("yes"), nil }

// TestP4CodecsKeepTheirHandsOff has types and messages that keep and change what
// they were decoded from. What is cached must stay as it was.
func TestP4CodecsKeepTheirHandsOff(t *testing.T) {
	var gobbed bytes.Buffer
	if err := gob.NewEncoder(&gobbed).Encode(&greedy{}); err != nil {
		t.Fatal(err)
	}
	message, err := proto.Marshal(wrapperspb.Bytes([]byte("message")))
	if err != nil {
		t.Fatal(err)
	}
	decode := map[string]func(*peercache.Group) error{
		`"ok"`: func(g *peercache.Group) error {
			v, err := typed[*greedy](t)(peercache.NewTyped(g, peercache.JSON[*greedy]())).Get(t.Context(), "k")
			clear(v.kept)
			return err
		},
		gobbed.String(): func(g *peercache.Group) error {
			v, err := typed[*greedy](t)(peercache.NewTyped(g, peercache.Gob[*greedy]())).Get(t.Context(), "k")
			clear(v.kept)
			return err
		},
		string(message): func(g *peercache.Group) error {
			v, err := typed[*wrapperspb.BytesValue](t)(peercache.NewTyped(g, peercache.Protobuf[wrapperspb.BytesValue]())).Get(t.Context(), "k")
			clear(v.GetValue())
			return err
		},
	}
	for cached, decode := range decode {
		g := newLocal(t, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte(cached), nil }))
		for range 2 {
			if err := decode(g); err != nil {
				t.Errorf("%q: %v", cached, err)
			}
		}
		if view, err := g.Get(t.Context(), "k"); err != nil || view.String() != cached {
			t.Errorf("%q became %q, %v", cached, view, err)
		}
	}
}

func TestCodecsSayWhatTheyCannotEncode(t *testing.T) {
	encode := map[string]func() error{
		"as JSON: json: unsupported value":  func() error { _, err := peercache.JSON[float64]().Encode(math.NaN()); return err },
		"as gob: gob NewTypeObject can't h": func() error { _, err := peercache.Gob[chan int]().Encode(make(chan int)); return err },
		"as gob: a nil *peercache_test.u":   func() error { _, err := peercache.Gob[*user]().Encode(nil); return err },
		"as gob: a nil **peercache_test.u":  func() error { _, err := peercache.Gob[**user]().Encode(new(*user)); return err },
		"as protobuf: string field contai": func() error {
			_, err := peercache.Protobuf[wrapperspb.StringValue]().Encode(wrapperspb.String("\xff"))
			return err
		},
	}
	for want, encode := range encode {
		if err := encode(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	b, err := peercache.Gob[user]().Encode(user{Name: "Tom"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peercache.Gob[user]().Decode(peercache.ViewOf(append(b, 0))); err == nil || !strings.Contains(err.Error(), "1 bytes follow") {
		t.Errorf("a gob and more: %v", err)
	}
}

type panics struct{ cannot }

func (panics) Encode(int) ([]byte, error) { panic("no codec") }

func TestP3EncodePanicIsAnErrorOfTheLoad(t *testing.T) {
	group := typed[int](t)(peercache.NewTypedGroup("test", 1<<20, panics{}, func(context.Context, string) (int, error) { return 1, nil }))
	_, err := group.Get(t.Context(), "k")
	if _, ok := errors.AsType[*singleflight.PanicError](err); !ok {
		t.Fatalf("%v", err)
	}
}

// TestTypedOverPeers shares structs among three processes, from many goroutines
// at once, all of which write to what they got.
func TestTypedOverPeers(t *testing.T) {
	var o origin
	o.load = func(_ context.Context, key string) ([]byte, error) {
		if key == "rubbish" {
			return []byte("{"), nil
		}
		return json.Marshal(user{key, []string{"a"}})
	}
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	keys := []string{"Tom", "Jack", "Jill", "Tom", "rubbish"}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			users, err := peercache.NewTyped(nodes[i%3].group, peercache.JSON[user]())
			if err != nil {
				t.Error(err)
				return
			}
			for j, r := range users.GetMulti(inside(t), keys) {
				if keys[j] == "rubbish" {
					if !errors.Is(r.Err, peercache.ErrDecode) || !strings.Contains(r.Err.Error(), `"rubbish"`) {
						t.Errorf("%v", r.Err)
					}
				} else if r.Err != nil || r.Value.Name != keys[j] || r.Value.Tags[0] != "a" {
					t.Errorf("%+v", r)
				} else {
					r.Value.Tags[0] = "changed"
				}
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if n := o.count(key); n != 1 {
			t.Errorf("%q was loaded %d times", key, n)
		}
	}
}

// TestTypedEncodeErrorsComeFromTheOwner has a loader whose value no peer can encode.
func TestTypedEncodeErrorsComeFromTheOwner(t *testing.T) {
	pools := make([]*peercache.HTTPPool, 0, 2)
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{}), picker: func(p *peercache.HTTPPool) peercache.PeerPicker {
		pools = append(pools, p)
		return p
	}})
	for i, pool := range pools {
		floats := typed[float64](t)(peercache.NewTypedGroup("floats", 1<<20, peercache.JSON[float64](),
			func(context.Context, string) (float64, error) { return math.Inf(1), nil }, peercache.WithPeers(pool)))
		if i == 0 {
			continue
		}
		key := keyOwnedBy(t, nodes, 1, 0)
		_, err := floats.Get(inside(t), key)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("group \"floats\", key %q", key)) || !strings.Contains(err.Error(), "cannot be encoded: as JSON") {
			t.Errorf("%v", err)
		}
	}
}

// FuzzTypedDecode caches any bytes (P10): each codec makes a value of them, or an
// ErrDecode, and the same one the second time, with the bytes as they were. What
// was decoded comes back from a second way through the codec.
func FuzzTypedDecode(f *testing.F) {
	f.Add([]byte(`{"Name":"Tom","Tags":["a"]}`))
	f.Add([]byte(`{"Name":"Tom","Tags":3}`)) // the first half of which is good
	f.Add([]byte("null"))
	f.Add([]byte{})
	gobbed, err := peercache.Gob[user]().Encode(user{"Tom", []string{"a"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(gobbed)
	s, err := structpb.NewStruct(map[string]any{"Name": "Tom", "Tags": []any{"a", 1.5, nil}})
	if err != nil {
		f.Fatal(err)
	}
	message, err := proto.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Fuzz(func(t *testing.T, cached []byte) {
		g := newLocal(t, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return cached, nil }))
		sameUser := func(a, b user) bool { return a.Name == b.Name && slices.Equal(a.Tags, b.Tags) }
		checkDecode(t, g, peercache.JSON[user](), sameUser)
		checkDecode(t, g, peercache.Gob[user](), sameUser)
		checkDecode(t, g, peercache.Protobuf[structpb.Struct](), func(a, b *structpb.Struct) bool { return proto.Equal(a, b) })
		if view, err := g.Get(t.Context(), "k"); err != nil || !view.EqualBytes(cached) {
			t.Fatalf("%q became %q, %v", cached, view, err)
		}
	})
}

func checkDecode[T any](t *testing.T, g *peercache.Group, codec peercache.Codec[T], equal func(a, b T) bool) {
	t.Helper()
	group := typed[T](t)(peercache.NewTyped(g, codec))
	first, err := group.Get(t.Context(), "k")
	second, again := group.Get(t.Context(), "k")
	if (err == nil) != (again == nil) || !equal(first, second) {
		t.Fatalf("%T: %v, %v; then %v, %v", codec, first, err, second, again)
	}
	if err != nil {
		if !errors.Is(err, peercache.ErrDecode) || !reflect.ValueOf(&first).Elem().IsZero() {
			t.Fatalf("%T: %v, %v", codec, first, err)
		}
		return
	}
	b, err := codec.Encode(first)
	if err != nil {
		t.Fatalf("%T: what was decoded cannot be encoded: %v", codec, err)
	}
	if third, err := codec.Decode(peercache.ViewOf(b)); err != nil || !equal(first, third) {
		t.Fatalf("%T: %v came back as %v, %v", codec, first, third, err)
	}
}

// BenchmarkTypedGet has a hit of the group, the bare codec on a slice of the same
// bytes, and a hit decoded.
func BenchmarkTypedGet(b *testing.B) {
	u := user{"Tom", strings.Split(strings.Repeat("a tag of 16 byte ", 16), " ")}
	var tags []any
	for _, tag := range u.Tags {
		tags = append(tags, tag)
	}
	message, err := structpb.NewStruct(map[string]any{"Name": u.Name, "Tags": tags})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkTyped(b, "json", peercache.JSON[user](), u, func(data []byte) error {
		return json.Unmarshal(data, new(user))
	})
	benchmarkTyped(b, "gob", peercache.Gob[user](), u, func(data []byte) error {
		return gob.NewDecoder(bytes.NewReader(data)).Decode(new(user))
	})
	benchmarkTyped(b, "protobuf", peercache.Protobuf[structpb.Struct](), message, func(data []byte) error {
		return proto.Unmarshal(data, new(structpb.Struct))
	})
}

func benchmarkTyped[T any](b *testing.B, name string, codec peercache.Codec[T], v T, bare func([]byte) error) {
	group := typed[T](b)(peercache.NewTypedGroup("test", 1<<20, codec, func(context.Context, string) (T, error) { return v, nil }))
	view, err := group.Group().Get(b.Context(), "k")
	if err != nil {
		b.Fatal(err)
	}
	data := view.ByteSlice()
	run := func(way string, once func() error) {
		b.Run(name+"/"+way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := once(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("Group.Get", func() error { _, err := group.Group().Get(b.Context(), "k"); return err })
	run("bare", func() error { return bare(data) })
	run("Typed.Get", func() error { _, err := group.Get(b.Context(), "k"); return err })
}

// A nil pointer is no value: neither is it encoded as JSON, nor is null decoded to it. Where
// null is a value of T it stays one.
func TestJSONTakesNoNilPointer(t *testing.T) {
	if b, err := peercache.JSON[*user]().Encode(nil); err == nil || !strings.Contains(err.Error(), "a nil *peercache_test.user") {
		t.Errorf("a nil pointer became %q, %v", b, err)
	}
	if v, err := peercache.JSON[*user]().Decode(peercache.ViewOfString("null")); err == nil {
		t.Errorf("null became %v", v)
	}
	if v, err := peercache.JSON[**user]().Decode(peercache.ViewOfString("null")); err == nil {
		t.Errorf("null became %v", v)
	}
	for name, err := range map[string]error{
		"a nil slice": roundTrip[[]int](nil), "a nil map": roundTrip[map[string]int](nil), "a nil any": roundTrip[any](nil),
		"a pointer": roundTrip(&user{Name: "Tom"}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func roundTrip[T any](v T) error {
	b, err := peercache.JSON[T]().Encode(v)
	if err == nil {
		_, err = peercache.JSON[T]().Decode(peercache.ViewOf(b))
	}
	return err
}
