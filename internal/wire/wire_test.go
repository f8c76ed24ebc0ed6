package wire

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// Only a change that sets the one large value it is large for may be that large.
func TestLargestChange(t *testing.T) {
	const most, overhead = 1000, 100
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
		"a value over the most": {set(1, most+2*overhead), 100, false},
		"all is there":          {set(1, most), 2 * most, true},
		"keys":                  {bytes.Repeat([]byte("\x12\x03key"), 100), 100, false},
		"no protobuf":           {bytes.Repeat([]byte{0xff}, 200), 100, false},
		"a declared size":       {protowire.AppendVarint(protowire.AppendTag(nil, FieldItem, protowire.BytesType), 1<<63), 10, false},
	} {
		head := c.raw[:min(c.head, len(c.raw))]
		got := LargestChange(head, most, overhead)
		if ok := got >= int64(len(c.raw)) && got <= int64(len(c.raw))+overhead; ok != c.ok {
			t.Errorf("%s: %d bytes allowed for a change of %d", name, got, len(c.raw))
		}
	}
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
		{"what others are told", &pb.ChangeRequest{View: 7, Roll: []byte("123456789")}, ForSender},
		{"one that others are to be told of", &pb.ChangeRequest{View: 7, Relay: true}, ForOthers},
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
