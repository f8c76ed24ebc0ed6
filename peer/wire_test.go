package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// fill sets each field of a struct, and of those in it, to a random value: a part of all fields to
// zero. Texts are names of peers.
func fill(r *rand.Rand, v reflect.Value) {
	if v.Kind() != reflect.Struct && r.IntN(4) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			for v.Index(i).IsZero() {
				fill(r, v.Index(i))
			}
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("http://10.0.0.%d:8001", r.IntN(256)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.Uint32()) - 1<<20)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(r.Uint32()) >> (32 - min(32, v.Type().Bits())))
	default:
		panic(v.Kind())
	}
}

// A Change comes as it was sent, but for what is not sent. All its fields are: one that is added
// and forgotten fails here.
func TestChangeRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var want Change
		fill(r, reflect.ValueOf(&want).Elem())
		raw, err := EncodeChange(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeChange(raw)
		if err != nil {
			t.Fatal(err)
		}
		want.From, want.Question, want.Apart = "", false, false // these are not sent
		want.State.Began = 0                                    // it is for answers
		same(t, normal(*got), normal(want))
	}
}

// The same holds for a Changed, with an error and without one.
func TestChangedRoundTrip(t *testing.T) {
	const from = "http://from:8001"
	r := rand.New(rand.NewPCG(1, 2))
	for _, answer := range []error{nil, ErrNotFound, errors.New("the getter's"), RefuseInvalid("a key is too long"), RefuseClosed(from)} {
		for range 300 {
			var want Changed
			fill(r, reflect.ValueOf(&want).Elem())
			want.Size = max(want.Size, 0)
			for i := range want.Holders {
				want.Holders[i].Peer = "http://10.0.0.1:8001" // always a name
			}
			raw, err := EncodeChanged(&want, answer)
			if err != nil {
				t.Fatal(err)
			}
			got, gotAnswer, err := DecodeChanged(raw, from)
			if err != nil {
				t.Fatal(err)
			}
			same(t, normalAnswer(got), normalAnswer(want))
			if want := Received(from, answer); fmt.Sprint(gotAnswer) != fmt.Sprint(want) || Unreachable(gotAnswer) != Unreachable(want) {
				t.Fatalf("the answer is %v, want %v", gotAnswer, want)
			}
		}
	}
}

// same reports how two messages differ.
func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// normal returns c with nil where it has nothing.
func normal(c Change) Change {
	if c.Item != nil {
		item := *c.Item
		item.Value = append([]byte(nil), item.Value...)
		c.Item = &item
	}
	c.Keys, c.Offered, c.State.Absent = append([]string(nil), c.Keys...), append([]string(nil), c.Offered...), append([]string(nil), c.State.Absent...)
	c.Since = append([]uint64(nil), c.Since...)
	return c
}

// normalAnswer does the same for an answer.
func normalAnswer(r Changed) Changed {
	r.Holders, r.Log = append([]Holder(nil), r.Holders...), append([]byte(nil), r.Log...)
	r.State.Absent, r.GroupNames, r.Members = append([]string(nil), r.State.Absent...), append([]string(nil), r.GroupNames...), append([]string(nil), r.Members...)
	return r
}

// The shortest names that peers may have come whole.
func TestShortNames(t *testing.T) {
	names := []string{"node-001", "mem://b1"}
	raw, err := EncodeChange(&Change{State: State{View: 1, Absent: names}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := DecodeChange(raw)
	if err != nil || !slices.Equal(c.State.Absent, names) {
		t.Errorf("the absent peers of a change have come as %q, error %v", c.State.Absent, err)
	}
	want := Changed{State: State{View: 1, Absent: names}, Members: names, Holders: []Holder{{Peer: names[1], Left: 5, Reason: "ab"}}}
	if raw, err = EncodeChanged(&want, nil); err != nil {
		t.Fatal(err)
	}
	got, _, err := DecodeChanged(raw, names[1])
	if err != nil || !slices.Equal(got.State.Absent, names) || !slices.Equal(got.Members, names) || !slices.Equal(got.Holders, want.Holders) {
		t.Errorf("an answer has come as %+v, error %v", got, err)
	}
}

// A reason and the text of an error may be of any length and any bytes. They come cut off.
func TestLongTextsAreCut(t *testing.T) {
	long := strings.Repeat("\xff", 1<<20)
	raw, err := EncodeChanged(&Changed{Holders: []Holder{{Peer: "http://a", Reason: long}}}, errors.New(long))
	if err != nil {
		t.Fatal(err)
	}
	got, answer, err := DecodeChanged(raw, "http://from")
	if err != nil {
		t.Fatal(err)
	}
	if reason := got.Holders[0].Reason; reason != long[:MaxReason] {
		t.Errorf("a reason of %d bytes, want %d", len(reason), MaxReason)
	}
	remote, ok := answer.(*RemoteError)
	if !ok || remote.Message != long[:MaxErrorText] {
		t.Errorf("the answer is %.200v, want a text of %d bytes", answer, MaxErrorText)
	}
	// Whoever cuts nothing is cut here.
	raw, err = proto.Marshal(&pb.ChangeResponse{
		Pending: []*pb.Holder{{Peer: "http://a", Reason: []byte(long)}}, Error: &pb.Error{Message: []byte(long)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, answer, err = DecodeChanged(raw, "http://from")
	if err != nil || len(got.Holders[0].Reason) != MaxReason || len(answer.(*RemoteError).Message) != MaxErrorText {
		t.Errorf("error %v, or texts that are longer", err)
	}
}

// An error keeps its kind on the way. That of a getter never reads as a refusal, though it may
// come from a pool of its own.
func TestErrorRoundTrip(t *testing.T) {
	const from = "http://from:8001"
	for name, c := range map[string]struct {
		err         error
		is          error
		unreachable bool
	}{
		"not found":          {fmt.Errorf("row 7: %w", ErrNotFound), ErrNotFound, false},
		"value size":         {ErrValueSize, ErrValueSize, false},
		"key size":           {ErrKeySize, ErrKeySize, false},
		"timeout":            {context.DeadlineExceeded, context.DeadlineExceeded, false},
		"canceled":           {context.Canceled, context.Canceled, false},
		"not cached":         {ErrNotCached, ErrNotCached, false},
		"another text":       {&Told{"nothing to see", ErrNotFound}, ErrNotFound, false},
		"closed":             {RefuseClosed(from), ErrClosed, true},
		"no group":           {RefuseGroup("scores"), errUnknownGroup, true},
		"invalid":            {RefuseInvalid("no key"), ErrKeySize, false},
		"a getter's refusal": {fmt.Errorf("my own pool: %w", RefuseClosed("http://other")), nil, false},
		"a getter's closed":  {fmt.Errorf("my own pool: %w", ErrClosed), nil, false},
		"unknown":            {errors.New("\x00\xff"), nil, false},
	} {
		got := Received(from, c.err)
		if c.is != nil && !errors.Is(got, c.is) || Unreachable(got) != c.unreachable || errors.Is(got, ErrClosed) != (c.is == ErrClosed) {
			t.Errorf("%s: %v has come as %v", name, c.err, got)
		}
		if remote, ok := errors.AsType[*RemoteError](got); ok && (remote.Message != fmt.Sprint(c.err) || remote.Peer != from) {
			t.Errorf("%s: %v has come as %+v", name, c.err, remote)
		}
	}
	if err := Received(from, nil); err != nil {
		t.Errorf("no error has come as %v", err)
	}
}

// FuzzChangeAgain decodes anything as a Change, and as a Changed. What is decoded is what comes of
// it when it is sent on.
func FuzzChangeAgain(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		var c Change
		fill(r, reflect.ValueOf(&c).Elem())
		raw, err := EncodeChange(&c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		var a Changed
		fill(r, reflect.ValueOf(&a).Elem())
		if raw, err = EncodeChanged(&a, ErrNotFound); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := DecodeChange(raw); err == nil {
			again, err := EncodeChange(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeChange(again)
			if err != nil {
				t.Fatal(err)
			}
			same(t, normal(*got), normal(*c))
		}
		short := func(h Holder) bool { return len(h.Peer) < leastHolder } // with it, no peer sends this
		if a, answer, err := DecodeChanged(raw, "http://from"); err == nil && !slices.ContainsFunc(a.Holders, short) {
			again, err := EncodeChanged(&a, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, none, err := DecodeChanged(again, "http://from")
			if err != nil || none != nil {
				t.Fatal(err, none)
			}
			same(t, normalAnswer(got), normalAnswer(a))
			if answer != nil && answer.Error() == "" {
				t.Fatal("an error without a text")
			}
		}
	})
}

// The wait is any time, also one that is none.
func TestTimesOfAChange(t *testing.T) {
	for _, d := range []time.Duration{-1 << 63, -1, 0, 1<<63 - 1} {
		raw, err := EncodeChange(&Change{Wait: d, Item: &Item{TTL: d}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeChange(raw); err != nil || got.Wait != d || got.Item.TTL != d {
			t.Errorf("%v has come as %+v, %v", d, got, err)
		}
	}
}
