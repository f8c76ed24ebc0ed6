package peer

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
)

// allocated returns how many bytes f allocates. If that is more than most, it runs f up to three
// times: others may have allocated something meanwhile.
func allocated(most uint64, f func()) uint64 {
	least := ^uint64(0)
	for try := 0; try < 3 && least > most; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// smallChange is what the smallest message may take.
const smallChange = 4 << 10

// repeated is a message with n fields of one number and content.
func repeated(num protowire.Number, content string, n int) []byte {
	one := protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), content)
	return bytes.Repeat(one, n)
}

// Whatever is in a change, or in the answer to one, it takes a small multiple of its bytes.
func TestP10ChangeTakesASmallMultipleOfItsBytes(t *testing.T) {
	const size = 1 << 20
	unpacked := protowire.AppendFixed64(protowire.AppendTag(nil, wire.FieldSince, protowire.Fixed64Type), 7)
	for name, raw := range map[string][]byte{
		"empty keys":            repeated(wire.FieldKeys, "", size/2),
		"keys of one byte":      repeated(wire.FieldKeys, "k", mostChangeKeys),
		"too many keys":         repeated(wire.FieldKeys, "k", size/3),
		"a long key":            repeated(wire.FieldKeys, strings.Repeat("k", size), 1),
		"empty offers":          repeated(wire.FieldOffered, "", size/2),
		"offers of one byte":    repeated(wire.FieldOffered, "k", mostChangeKeys),
		"empty absent peers":    repeated(wire.FieldAbsent, "", size/2),
		"absent peers":          repeated(wire.FieldAbsent, "http://a", mostAbsent),
		"too many absent peers": repeated(wire.FieldAbsent, "http://a", size/10),
		"departures":            repeated(wire.FieldSince, strings.Repeat("s", 8*mostSince), 1),
		"too many departures":   repeated(wire.FieldSince, strings.Repeat("s", size), 1),
		"departures one by one": bytes.Repeat(unpacked, mostSince),
		"items":                 repeated(wire.FieldItem, "", size/2),
		"a large item":          repeated(wire.FieldItem, string(repeated(1, strings.Repeat("v", size), 1)), 1),
		"names of groups":       repeated(1, "g", size/3),
		"unknown fields":        repeated(100, "u", size/4),
		"keys and unknowns":     bytes.Repeat(append(repeated(wire.FieldKeys, "k", 1), repeated(100, "u", 1)...), mostChangeKeys),
		"pending holders":       repeated(wire.FieldPending, "", size/2),
	} {
		t.Run(name, func(t *testing.T) {
			most := 8*uint64(len(raw)) + smallChange
			if n := allocated(most, func() { DecodeChange(raw) }); n > most {
				t.Errorf("a change of %d bytes takes %d, %.1f times as much: want at most 8 times", len(raw), n, float64(n)/float64(len(raw)))
			}
			if n := allocated(most, func() { DecodeChanged(raw, "http://a") }); n > most {
				t.Errorf("an answer of %d bytes takes %d, %.1f times as much: want at most 8 times", len(raw), n, float64(n)/float64(len(raw)))
			}
		})
	}
}

// What an answer has of the shortest elements takes more, and there is a bound to that as well.
func TestP10AnswerTakesAMultipleOfItsBytes(t *testing.T) {
	holder := string(repeated(1, "http://a.examp", 1)) // leastHolder bytes
	for name, raw := range map[string][]byte{
		"holders":        repeated(wire.FieldPending, holder, mostPending),
		"members":        repeated(wire.FieldMembers, "http://a", mostAbsent),
		"absent members": repeated(wire.FieldStillAbsent, "http://a", mostAbsent),
		"groups":         repeated(wire.FieldGroupNames, "g", mostAbsent),
		"no groups":      repeated(wire.FieldGroupNames, "", mostAbsent),
	} {
		most := 32*uint64(len(raw)) + smallChange
		if n := allocated(most, func() { DecodeChanged(raw, "http://a") }); n > most {
			t.Errorf("%s: an answer of %d bytes takes %d, %.1f times as much: want at most 32 times", name, len(raw), n, float64(n)/float64(len(raw)))
		}
	}
}

// What a peer sends is decoded as protobuf does it.
func TestChangeIsDecodedAsProtobufDoes(t *testing.T) {
	for range 200 {
		want := &pb.ChangeRequest{
			Group: "test", All: rand.N(2) == 0, Holders: rand.N(2) == 0, WaitNs: rand.Int64(), View: rand.Uint64(),
			Announced: rand.N(2) == 0, Leaving: rand.N(2) == 0, Offering: rand.N(2) == 0,
			Process: rand.Uint32(), Turn: rand.Uint64(), Departure: rand.Uint64(),
		}
		for range rand.N(3) {
			want.Keys = append(want.Keys, []byte("key"))
			want.Offered = append(want.Offered, []byte("\xff"))
			want.Absent = append(want.Absent, "http://10.0.0.1:8001")
			want.Since = append(want.Since, rand.Uint64())
			want.Item = &pb.Item{Value: []byte("value"), TtlNs: rand.Int64() - rand.Int64()}
		}
		raw, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		req, err := decodeChange(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range req.keys {
			req.Keys = append(req.Keys, []byte(key))
		}
		for _, key := range req.offered {
			req.Offered = append(req.Offered, []byte(key))
		}
		if len(req.Absent) == 0 {
			req.Absent = nil
		}
		if !proto.Equal(req.ChangeRequest, want) {
			t.Fatalf("got %v, want %v", req.ChangeRequest, want)
		}
	}
}

// FuzzDecodeChange decodes anything as a change. What is decoded is what the generated code
// makes of it, without the keys of no bytes, and what would be none for it is none.
func FuzzDecodeChange(f *testing.F) {
	for _, req := range []*pb.ChangeRequest{
		{Group: "test", Keys: [][]byte{[]byte("Tom"), {}, []byte("x")}, Offered: [][]byte{[]byte("y")}, Since: []uint64{1, 2}, Absent: []string{"http://a", "u"}},
		{Group: "test", Keys: [][]byte{[]byte("Tom")}, Item: &pb.Item{Value: []byte("set"), TtlNs: -1}, Holders: true, WaitNs: 7, View: 9},
	} {
		b, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(repeated(wire.FieldKeys, "", 4000))
	f.Add(repeated(wire.FieldAbsent, "", 4000))
	f.Add(repeated(wire.FieldAbsent, "\xe800", 1)) // no text, and too short for a name
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := decodeChange(raw)
		if err != nil {
			return // for its size, or as the generated code says
		}
		want := new(pb.ChangeRequest)
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, want); err != nil {
			t.Fatalf("decoded %v, and the generated code says %v", got.ChangeRequest, err)
		}
		holders, view := want.GetHolders(), want.GetView()
		none := func(key []byte) bool { return len(key) == 0 }
		want.Keys, want.Offered = slices.DeleteFunc(want.Keys, none), slices.DeleteFunc(want.Offered, none)
		want.Absent = slices.DeleteFunc(want.Absent, func(name string) bool { return len(name) < MinPeerName })
		for _, key := range got.keys {
			got.Keys = append(got.Keys, []byte(key))
		}
		for _, key := range got.offered {
			got.Offered = append(got.Offered, []byte(key))
		}
		if !proto.Equal(got.ChangeRequest, want) {
			t.Fatalf("decoded %v, want %v", got.ChangeRequest, want)
		}
		least := wire.ForNobody
		switch {
		case holders || want.GetRelay() || len(want.PassOn) > 0 || len(want.Offered) > 0:
			least = wire.ForOthers
		case view != 0:
			least = wire.ForSender
		}
		if waits := wire.ChangeWaits(raw); waits < least {
			t.Fatalf("it waits as %d says, and ChangeWaits returns %d: %v", least, waits, want)
		}
	})
}

// FuzzChangeMemory decodes anything as a change and as the answer to one (P10): it takes at
// most eight times its bytes.
func FuzzChangeMemory(f *testing.F) {
	for _, num := range []protowire.Number{1, wire.FieldKeys, wire.FieldItem, wire.FieldAbsent, wire.FieldOffered, wire.FieldSince, 100} {
		f.Add(repeated(num, "", 10_000))
		f.Add(repeated(num, "12345678", 1_000))
	}
	f.Add(repeated(25, "\x00", 1_000)) // untold
	f.Add(repeated(25, strings.Repeat("\x00", 1_000), 10))
	f.Add(repeated(wire.FieldPending, string(repeated(1, "http://a", 1)), 1_000))
	f.Fuzz(func(t *testing.T, raw []byte) {
		most := 8*uint64(len(raw)) + smallChange
		if n := allocated(most, func() { DecodeChange(raw) }); n > most {
			t.Errorf("a change of %d bytes takes %d", len(raw), n)
		}
		if n := allocated(most, func() { decodeChanged(raw, new(pb.ChangeResponse)) }); n > most {
			t.Errorf("an answer of %d bytes takes %d", len(raw), n)
		}
	})
}
