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
	unpacked := protowire.AppendFixed64(protowire.AppendTag(nil, fieldSince, protowire.Fixed64Type), 7)
	for name, raw := range map[string][]byte{
		"empty keys":            repeated(fieldKeys, "", size/2),
		"keys of one byte":      repeated(fieldKeys, "k", mostChangeKeys),
		"too many keys":         repeated(fieldKeys, "k", size/3),
		"a long key":            repeated(fieldKeys, strings.Repeat("k", size), 1),
		"empty offers":          repeated(fieldOffered, "", size/2),
		"offers of one byte":    repeated(fieldOffered, "k", mostChangeKeys),
		"empty absent peers":    repeated(fieldAbsent, "", size/2),
		"absent peers":          repeated(fieldAbsent, "http://a", mostAbsent),
		"too many absent peers": repeated(fieldAbsent, "http://a", size/10),
		"departures":            repeated(fieldSince, strings.Repeat("s", 8*mostSince), 1),
		"too many departures":   repeated(fieldSince, strings.Repeat("s", size), 1),
		"departures one by one": bytes.Repeat(unpacked, mostSince),
		"items":                 repeated(fieldItem, "", size/2),
		"a large item":          repeated(fieldItem, string(repeated(1, strings.Repeat("v", size), 1)), 1),
		"names of groups":       repeated(1, "g", size/3),
		"unknown fields":        repeated(100, "u", size/4),
		"keys and unknowns":     bytes.Repeat(append(repeated(fieldKeys, "k", 1), repeated(100, "u", 1)...), mostChangeKeys),
		"pending holders":       repeated(fieldPending, "", size/2),
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

// Only a change that sets the one large value it is large for may be that large.
func TestLargestItem(t *testing.T) {
	const most = 1000
	set := func(keys int, size int) []byte {
		req := &pb.ChangeRequest{Group: "test", Item: &pb.Item{Value: make([]byte, size)}}
		for range keys {
			req.Keys = append(req.Keys, []byte("key"))
		}
		raw, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		raw  []byte
		head int
		ok   bool
	}{
		"a value":               {set(1, most), 100, true},
		"no key":                {set(0, most), 100, true}, // it does nothing, and costs no more
		"two keys":              {set(2, most), 100, false},
		"a value over the most": {set(1, most+2*MaxOverhead), 100, false},
		"all is there":          {set(1, most), 2 * most, true},
		"keys":                  {repeated(fieldKeys, "key", 100), 100, false},
		"no protobuf":           {bytes.Repeat([]byte{0xff}, 200), 100, false},
		"a declared size":       {protowire.AppendVarint(protowire.AppendTag(nil, fieldItem, protowire.BytesType), 1<<63), 10, false},
	} {
		head := c.raw[:min(c.head, len(c.raw))]
		got := LargestItem(head, most)
		if ok := got >= int64(len(c.raw)) && got <= int64(len(c.raw))+MaxOverhead; ok != c.ok {
			t.Errorf("%s: %d bytes allowed for a change of %d", name, got, len(c.raw))
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
	f.Add(repeated(fieldKeys, "", 4000))
	f.Add(repeated(fieldAbsent, "", 4000))
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
		want.Absent = slices.DeleteFunc(want.Absent, func(name string) bool { return len(name) < leastName })
		for _, key := range got.keys {
			got.Keys = append(got.Keys, []byte(key))
		}
		for _, key := range got.offered {
			got.Offered = append(got.Offered, []byte(key))
		}
		if !proto.Equal(got.ChangeRequest, want) {
			t.Fatalf("decoded %v, want %v", got.ChangeRequest, want)
		}
		least := ForNobody
		switch {
		case holders || len(want.Offered) > 0:
			least = ForOthers
		case view != 0:
			least = ForSender
		}
		if waits := ChangeWaits(raw); waits < least {
			t.Fatalf("it waits as %d says, and ChangeWaits returns %d: %v", least, waits, want)
		}
	})
}

// A change goes through the lane of what its answer may wait for.
func TestChangeWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  *pb.ChangeRequest
		want Waits
	}{
		{"a question", &pb.ChangeRequest{Token: 7, Members: true}, ForNobody},
		{"keys of a peer that says nothing of itself", &pb.ChangeRequest{Keys: [][]byte{[]byte("Tom")}}, ForNobody},
		{"a view", &pb.ChangeRequest{Keys: [][]byte{[]byte("Tom")}, View: 7}, ForSender},
		{"holders", &pb.ChangeRequest{Keys: [][]byte{[]byte("Tom")}, View: 7, Holders: true}, ForOthers},
		{"an offer", &pb.ChangeRequest{View: 7, Offered: [][]byte{[]byte("Tom")}}, ForOthers},
	} {
		raw, err := proto.Marshal(tt.req)
		if err != nil {
			t.Fatal(err)
		}
		if got := ChangeWaits(raw); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// FuzzChangeMemory decodes anything as a change and as the answer to one (P10): it takes at
// most eight times its bytes.
func FuzzChangeMemory(f *testing.F) {
	for _, num := range []protowire.Number{1, fieldKeys, fieldItem, fieldAbsent, fieldOffered, fieldSince, 100} {
		f.Add(repeated(num, "", 10_000))
		f.Add(repeated(num, "12345678", 1_000))
	}
	f.Add(repeated(fieldPending, string(repeated(1, "http://a", 1)), 1_000))
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
