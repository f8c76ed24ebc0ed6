package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peercache/peercache"
)

type user struct {
	Name string
	Tags []string
}

func loadUser(_ context.Context, key string) (user, error) {
	if key == "nobody" {
		return user{}, fmt.Errorf("no row: %w", peercache.ErrNotFound)
	}
	return user{key, []string{"a", "b"}}, nil
}

// typed returns a group and fails the test if it could not be made.
func typed[T any](t testing.TB) func(*peercache.Typed[T], error) *peercache.Typed[T] {
	return func(g *peercache.Typed[T], err error) *peercache.Typed[T] {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

func TestTypedGetGivesEachCallerItsOwn(t *testing.T) {
	for name, codec := range map[string]peercache.Codec[user]{"json": peercache.JSON[user](), "gob": peercache.Gob[user]()} {
		t.Run(name, func(t *testing.T) {
			users := typed[user](t)(peercache.NewTypedGroup("users", 1<<20, codec, loadUser))
			for range 3 {
				u, err := users.Get(t.Context(), "alice")
				if err != nil || u.Name != "alice" || !slices.Equal(u.Tags, []string{"a", "b"}) {
					t.Fatalf("%+v, %v", u, err)
				}
				u.Tags[0] = "changed"
			}
			if s := users.Group().Stats(); s.Loads != 1 || s.Hits != 2 {
				t.Errorf("%+v", s)
			}
			if _, err := users.Get(t.Context(), "nobody"); !errors.Is(err, peercache.ErrNotFound) {
				t.Errorf("nobody: %v", err)
			}
		})
	}
}

func TestTypedProtobuf(t *testing.T) {
	names := typed[*wrapperspb.StringValue](t)(peercache.NewTypedGroup("names", 1<<20, peercache.Protobuf[wrapperspb.StringValue](),
		func(_ context.Context, key string) (*wrapperspb.StringValue, error) {
			if key == "nil" {
				return nil, nil
			}
			return wrapperspb.String("name of " + key), nil
		}))
	for range 2 {
		m, err := names.Get(t.Context(), "Tom")
		if err != nil || m.GetValue() != "name of Tom" {
			t.Fatalf("%v, %v", m, err)
		}
		m.Value = "changed"
	}
	if m, err := names.Get(t.Context(), "nil"); m != nil || err == nil || !strings.Contains(err.Error(), "a nil *wrapperspb.StringValue") {
		t.Errorf("a nil message: %v, %v", m, err)
	}
}

func TestTypedGetMulti(t *testing.T) {
	users := typed[user](t)(peercache.NewTypedGroup("users", 1<<20, peercache.JSON[user](), loadUser))
	r := users.GetMulti(t.Context(), []string{"alice", "nobody", "alice", "", "bob"})
	if len(r) != 5 || r[0].Value.Name != "alice" || r[4].Value.Name != "bob" || r[0].Err != nil || r[4].Err != nil {
		t.Fatalf("%+v", r)
	}
	if !errors.Is(r[1].Err, peercache.ErrNotFound) || !errors.Is(r[3].Err, peercache.ErrKeySize) {
		t.Errorf("%v, %v", r[1].Err, r[3].Err)
	}
	r[0].Value.Tags[0] = "changed"
	if r[2].Value.Tags[0] != "a" {
		t.Error("two results for one key share memory")
	}
}

func TestTypedLoaderSaysHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		counts := typed[int](t)(peercache.NewTypedGroup("counts", 1<<20, peercache.JSON[int](),
			func(context.Context, string) (int, time.Duration, error) {
				loads++
				return loads, time.Minute, nil
			}))
		for _, want := range []int{1, 1, 2} {
			if n, err := counts.Get(t.Context(), "k"); n != want || err != nil {
				t.Fatalf("%d, %v, want %d", n, err, want)
			}
			time.Sleep(31 * time.Second)
		}
	})
}

func TestTypedBatchLoader(t *testing.T) {
	var asked [][]string
	lengths := typed[int](t)(peercache.NewTypedGroup("lengths", 1<<20, cannot{"toolong"},
		func(_ context.Context, keys []string) ([]int, error) {
			asked = append(asked, keys)
			switch keys[0] {
			case "broken":
				return nil, errors.New("down")
			case "short":
				return make([]int, len(keys)+1), nil
			case "misfit":
				return make([]int, len(keys)), make(peercache.BatchError, len(keys)+1)
			}
			values, errs := make([]int, len(keys)), make(peercache.BatchError, len(keys))
			failed := false
			for i, key := range keys {
				values[i] = len(key)
				if key == "nobody" {
					errs[i], failed = peercache.ErrNotFound, true
				}
			}
			if failed {
				return values, errs
			}
			return values, nil
		}))
	r := lengths.GetMulti(t.Context(), []string{"a", "nobody", "bb", "toolong"})
	if len(asked) != 1 || len(asked[0]) != 4 {
		t.Errorf("asked for %q, want all in one call", asked)
	}
	if r[0].Value != 1 || r[2].Value != 2 || r[0].Err != nil || r[2].Err != nil {
		t.Errorf("%+v", r)
	}
	if !errors.Is(r[1].Err, peercache.ErrNotFound) || !errors.Is(r[3].Err, errCannot) {
		t.Errorf("%v, %v", r[1].Err, r[3].Err)
	}
	if n, err := lengths.Get(t.Context(), "ccc"); n != 3 || err != nil {
		t.Errorf("one key: %d, %v", n, err)
	}
	for key, want := range map[string]string{"nobody": "not found", "broken": "down", "short": "2 values for 1 key", "misfit": "2 keys failed", "toolong": "cannot be encoded"} {
		if _, err := lengths.Get(t.Context(), key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
	for _, first := range []string{"broken", "short", "misfit"} {
		for _, r := range lengths.GetMulti(t.Context(), []string{first, "x"}) {
			if r.Err == nil {
				t.Errorf("%s: no error", first)
			}
		}
	}
}

var errCannot = errors.New("cannot")

// cannot is a codec of ints of one digit that fails for the length of a text.
type cannot struct{ of string }

func (c cannot) Encode(v int) ([]byte, error) {
	if v == len(c.of) {
		return nil, errCannot
	}
	return []byte{'0' + byte(v)}, nil
}

func (c cannot) Decode(view peercache.ByteView) (int, error) { return int(view.At(0) - '0'), nil }

func TestTypedSetRemoveClear(t *testing.T) {
	users := typed[user](t)(peercache.NewTypedGroup("users", 1<<20, peercache.JSON[user](), loadUser))
	if err := users.Set(t.Context(), "alice", user{Name: "Alice"}, 0); err != nil {
		t.Fatal(err)
	}
	if u, err := users.Get(t.Context(), "alice"); u.Name != "Alice" || err != nil {
		t.Errorf("after Set: %+v, %v", u, err)
	}
	if err := users.Remove(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if u, err := users.Get(t.Context(), "alice"); u.Name != "alice" || err != nil {
		t.Errorf("after Remove: %+v, %v", u, err)
	}
	if err := errors.Join(users.Set(t.Context(), "bob", user{Name: "Bob"}, 0), users.Clear(t.Context())); err != nil {
		t.Fatal(err)
	}
	if u, err := users.Get(t.Context(), "bob"); u.Name != "bob" || err != nil {
		t.Errorf("after Clear: %+v, %v", u, err)
	}
	lengths := typed[int](t)(peercache.NewTyped(users.Group(), cannot{"xx"}))
	err := lengths.Set(t.Context(), "alice", 2, 0)
	if !errors.Is(err, errCannot) || !strings.Contains(err.Error(), `group "users", key "alice"`) {
		t.Errorf("Set of what cannot be encoded: %v", err)
	}
}

func TestTypedSetLivesAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := typed[user](t)(peercache.NewTypedGroup("users", 1<<20, peercache.JSON[user](), loadUser))
		if err := users.Set(t.Context(), "alice", user{Name: "Alice"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Alice", "alice"} {
			if u, err := users.Get(t.Context(), "alice"); u.Name != want || err != nil {
				t.Errorf("%+v, %v, want %s", u, err, want)
			}
			time.Sleep(61 * time.Second)
		}
	})
}

func TestTypedErrorsSayWhatIsWrong(t *testing.T) {
	rubbish := newLocal(t, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("{\xff"), nil }))
	var typeError error
	for name, c := range map[string]struct {
		get  func() error
		want string
	}{
		"json": {func() error {
			_, err := typed[user](t)(peercache.NewTyped(rubbish, peercache.JSON[user]())).Get(t.Context(), "Tom")
			typeError = err
			return err
		}, "want the JSON of a peercache_test.user"},
		"gob": {func() error {
			_, err := typed[*user](t)(peercache.NewTyped(rubbish, peercache.Gob[*user]())).Get(t.Context(), "Tom")
			return err
		}, "want the gob of a *peercache_test.user"},
		"protobuf": {func() error {
			_, err := typed[*structpb.Struct](t)(peercache.NewTyped(rubbish, peercache.Protobuf[structpb.Struct]())).Get(t.Context(), "Tom")
			return err
		}, "want the protobuf of a google.protobuf.Struct"},
		"one of many": {func() error {
			return typed[user](t)(peercache.NewTyped(rubbish, peercache.JSON[user]())).GetMulti(t.Context(), []string{"Tom"})[0].Err
		}, "want the JSON"},
	} {
		err := c.get()
		if !errors.Is(err, peercache.ErrDecode) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `peercache: group "test", key "Tom": `) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if cause := errors.Unwrap(typeError); cause == nil || !strings.Contains(typeError.Error(), "2 bytes") {
		t.Errorf("no cause: %v", typeError)
	}
	channels := typed[chan int](t)(peercache.NewTypedGroup("channels", 1<<20, peercache.JSON[chan int](),
		func(context.Context, string) (chan int, error) { return nil, nil }))
	_, err := channels.Get(t.Context(), "Tom")
	if err == nil || !strings.Contains(err.Error(), `key "Tom": the value cannot be encoded: as JSON: json: unsupported type`) {
		t.Errorf("what JSON cannot say: %v", err)
	}
}

func TestTypedConstructorsSayWhatIsWrong(t *testing.T) {
	g := newLocal(t, &origin{})
	json := peercache.JSON[user]()
	cases := map[string]struct {
		make func() (*peercache.Typed[user], error)
		want string
	}{
		"nil group": {func() (*peercache.Typed[user], error) { return peercache.NewTyped(nil, json) }, "group is nil"},
		"nil codec": {func() (*peercache.Typed[user], error) { return peercache.NewTyped[user](g, nil) }, `"test": the codec is nil`},
		"no codec":  {func() (*peercache.Typed[user], error) { return peercache.NewTypedGroup[user]("g", 1, nil, loadUser) }, `"g": the codec is nil`},
		"bad name":  {func() (*peercache.Typed[user], error) { return peercache.NewTypedGroup("", 1, json, loadUser) }, "name"},
		"nil loader": {func() (*peercache.Typed[user], error) {
			return peercache.NewTypedGroup("g", 1, json, (func(context.Context, string) (user, error))(nil))
		}, "loader is nil"},
		"nil with TTL": {func() (*peercache.Typed[user], error) {
			return peercache.NewTypedGroup("g", 1, json, (func(context.Context, string) (user, time.Duration, error))(nil))
		}, "loader is nil"},
		"nil batch": {func() (*peercache.Typed[user], error) {
			return peercache.NewTypedGroup("g", 1, json, (func(context.Context, []string) ([]user, error))(nil))
		}, "loader is nil"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, err := c.make()
			if err == nil || g != nil || !strings.HasPrefix(err.Error(), "peercache: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want %q", g, err, c.want)
			}
		})
	}
}
