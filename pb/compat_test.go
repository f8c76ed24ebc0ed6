package pb

import (
	"bytes"
	"testing"

	//lint:ignore SA1019 the old API is what is tested against
	legacy "github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/proto"
)

// legacyGetResponse is golang/groupcache's GetResponse as the generators of its time
// wrote it: proto2, told by struct tags only, with the methods of the old API.
type legacyGetResponse struct {
	Value            []byte   `protobuf:"bytes,1,opt,name=value" json:"value,omitempty"`
	MinuteQps        *float64 `protobuf:"fixed64,2,opt,name=minute_qps" json:"minute_qps,omitempty"`
	XXX_unrecognized []byte   `json:"-"`
}

func (m *legacyGetResponse) Reset()         { *m = legacyGetResponse{} }
func (m *legacyGetResponse) String() string { return legacy.CompactTextString(m) }
func (*legacyGetResponse) ProtoMessage()    {}

var compatValues = []struct {
	name  string
	value []byte
}{
	{"nil", nil},
	{"empty", []byte{}},
	{"one zero byte", []byte{0}},
	{"not UTF-8", []byte("\xff\xfe")},
	{"1 MiB", bytes.Repeat([]byte("peercach"), 1<<17)},
}

func TestLegacyPeerReadsOurGetResponse(t *testing.T) {
	for _, tt := range compatValues {
		for _, qps := range []float64{0, 12.5} {
			for _, ours := range []*GetResponse{
				{Value: tt.value, MinuteQps: qps},
				{Value: tt.value, MinuteQps: qps, TtlNs: 1e9},
				{Value: tt.value, MinuteQps: qps, TtlNs: -1,
					Error: &Error{Kind: Error_KIND_TIMEOUT, Message: []byte("slow \xff")}},
			} {
				t.Run(tt.name, func(t *testing.T) {
					wire, err := proto.Marshal(ours)
					if err != nil {
						t.Fatal(err)
					}
					theirs := new(legacyGetResponse)
					if err := legacy.Unmarshal(wire, theirs); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(theirs.Value, tt.value) {
						t.Errorf("they read a value of %d bytes, want %d", len(theirs.Value), len(tt.value))
					}
					var theirQPS float64
					if theirs.MinuteQps != nil {
						theirQPS = *theirs.MinuteQps
					}
					if theirQPS != qps {
						t.Errorf("they read minute_qps %v, want %v", theirQPS, qps)
					}
				})
			}
		}
	}
}

func TestWeReadLegacyPeersGetResponse(t *testing.T) {
	zero, some := 0.0, 12.5
	for _, tt := range compatValues {
		for _, qps := range []*float64{nil, &zero, &some} {
			t.Run(tt.name, func(t *testing.T) {
				wire, err := legacy.Marshal(&legacyGetResponse{Value: tt.value, MinuteQps: qps})
				if err != nil {
					t.Fatal(err)
				}
				ours := new(GetResponse)
				if err := proto.Unmarshal(wire, ours); err != nil {
					t.Fatal(err)
				}
				want := &GetResponse{Value: tt.value}
				if qps != nil {
					want.MinuteQps = *qps
				}
				if !proto.Equal(ours, want) {
					t.Errorf("we read a value of %d bytes, minute_qps %v and %d unknown bytes; want %d, %v and 0",
						len(ours.GetValue()), ours.GetMinuteQps(), len(ours.ProtoReflect().GetUnknown()),
						len(tt.value), want.GetMinuteQps())
				}
			})
		}
	}
}

// What groupcache's message can say, ours says with the same bytes.
func TestGetResponseIsLegacysOnTheWire(t *testing.T) {
	qps := 12.5
	value := []byte("630")
	theirs, err := legacy.Marshal(&legacyGetResponse{Value: value, MinuteQps: &qps})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := proto.Marshal(&GetResponse{Value: value, MinuteQps: qps})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("ours  %x\ntheirs %x", ours, theirs)
	}
	if want := []byte("\x0a\x03630\x11\x00\x00\x00\x00\x00\x00\x29\x40"); !bytes.Equal(ours, want) {
		t.Errorf("ours %x\nwant %x", ours, want)
	}
}

// A Go string may hold any bytes, and so may a key and an error's text.
func TestKeysAndMessagesAreAnyBytes(t *testing.T) {
	raw := []byte("\x00\xff/%\n\xc3\x28")
	for _, m := range []proto.Message{
		&GetRequest{Group: "scores", Key: raw},
		&ChangeRequest{Group: "scores", Keys: [][]byte{raw, {}, raw}, Item: &Item{Value: raw}},
		&ChangeResponse{Error: &Error{Kind: Error_KIND_INVALID, Message: raw}, Pending: []*Holder{{Reason: raw}}},
	} {
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(wire, got); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, m) {
			t.Errorf("got %v, want %v", got, m)
		}
	}
}
