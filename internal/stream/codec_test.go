package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// randomFrame returns a frame as an other implementation might send it.
func randomFrame(r *rand.Rand) *pb.Frame {
	bytesUpTo := func(n int) []byte {
		b := make([]byte, r.IntN(n+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	keys := func() [][]byte {
		var keys [][]byte
		for range 1 + r.IntN(20) {
			keys = append(keys, bytesUpTo(40))
		}
		return keys
	}
	someError := func() *pb.Error {
		if r.IntN(2) == 0 {
			return nil
		}
		return &pb.Error{Kind: pb.Error_Kind(r.IntN(10)), Message: bytesUpTo(100)}
	}
	f := &pb.Frame{Id: number(), Index: uint32(number())}
	switch r.IntN(11) {
	case 0:
		f.Body = &pb.Frame_Answer{Answer: &pb.GetResponse{Value: bytesUpTo(3000), TtlNs: int64(number()), Error: someError(), Plain: r.IntN(2) == 0, Noted: r.IntN(2) == 0, Unchanged: r.IntN(2) == 0}}
	case 1:
		f.Body = &pb.Frame_Get{Get: &pb.GetRequest{Group: "gruppe ü", Key: bytesUpTo(300), LeaseNs: int64(number()), Digest: bytesUpTo(16), CachedOnly: r.IntN(2) == 0, Nested: uint32(r.IntN(3)), Context: bytesUpTo(20), Trace: bytesUpTo(60)}}
	case 2:
		f.Body = &pb.Frame_GetBatch{GetBatch: &pb.GetBatchRequest{Group: "g", Keys: keys(), LeaseNs: int64(number()), Nested: uint32(r.IntN(3)), Context: bytesUpTo(20), Trace: bytesUpTo(60)}}
		if batch := f.GetGetBatch(); r.IntN(2) == 0 {
			for range batch.Keys {
				batch.Digests = append(batch.Digests, bytesUpTo(16))
			}
		}
	case 3:
		f.Body = &pb.Frame_Change{Change: &pb.ChangeRequest{Keys: keys(), View: number()}}
	case 4:
		f.Body = &pb.Frame_Changed{Changed: &pb.ChangeResponse{Error: someError(), View: number()}}
	case 5:
		f.Body = &pb.Frame_Cancel{Cancel: &pb.Cancel{}}
	case 6:
		f.Body = &pb.Frame_Ping{Ping: &pb.Ping{}}
	case 7:
		f.Body = &pb.Frame_Pong{Pong: &pb.Pong{}}
	case 8:
		f.Body = &pb.Frame_GoAway{GoAway: &pb.GoAway{Error: someError()}}
	case 9:
		f.Body = &pb.Frame_Hello{Hello: &pb.Hello{MaxFrameBytes: number(), MaxRequests: number(), MaxRequestBytes: number(), MaxKeys: number(), IdleTimeoutNs: int64(number())}}
	}
	return f
}

func marshal(t testing.TB, f *pb.Frame) []byte {
	b, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asMessage returns what was decoded as the generated code has it.
func (f *frame) asMessage() *pb.Frame {
	m := &pb.Frame{Id: f.id, Index: f.index}
	group := string(f.group)
	parts := func(spans []span) (parts [][]byte) {
		for _, s := range spans {
			parts = append(parts, s.of(f.body))
		}
		return parts
	}
	keys, digests := parts(f.keys), parts(f.digests)
	switch f.kind {
	case bodyAnswer:
		m.Body = &pb.Frame_Answer{Answer: &pb.GetResponse{Value: f.value, TtlNs: int64(f.ttl), Error: f.err, Plain: f.plain, Noted: f.noted, Unchanged: f.unchanged}}
	case bodyGet:
		m.Body = &pb.Frame_Get{Get: &pb.GetRequest{Group: group, Key: f.key, LeaseNs: int64(f.lease), Digest: f.digest, CachedOnly: f.cachedOnly, Nested: f.nested, Context: f.context, Trace: f.trace}}
	case bodyBatch:
		m.Body = &pb.Frame_GetBatch{GetBatch: &pb.GetBatchRequest{Group: group, Keys: keys, LeaseNs: int64(f.lease), Nested: f.nested, Context: f.context, Trace: f.trace, Digests: digests}}
	case bodyChange:
		change := new(pb.ChangeRequest)
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(f.message, change); err != nil {
			return nil // the one who does it looks
		}
		m.Body = &pb.Frame_Change{Change: change}
	case bodyChanged:
		changed := new(pb.ChangeResponse)
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(f.message, changed); err != nil {
			return nil
		}
		m.Body = &pb.Frame_Changed{Changed: changed}
	case bodyCancel:
		m.Body = &pb.Frame_Cancel{Cancel: &pb.Cancel{}}
	case bodyPing:
		m.Body = &pb.Frame_Ping{Ping: &pb.Ping{}}
	case bodyPong:
		m.Body = &pb.Frame_Pong{Pong: &pb.Pong{}}
	case bodyGoAway:
		m.Body = &pb.Frame_GoAway{GoAway: &pb.GoAway{Error: f.err}}
	case bodyHello:
		h := f.hello
		m.Body = &pb.Frame_Hello{Hello: &pb.Hello{MaxFrameBytes: h.maxFrame, MaxRequests: h.maxRequests, MaxRequestBytes: h.maxRequestBytes, MaxKeys: h.maxKeys, IdleTimeoutNs: int64(h.idleTimeout)}}
	}
	return m
}

// encode writes what was decoded, as the stream does, without the length before it.
func (f *frame) encode(t testing.TB) []byte {
	var b []byte
	var digests []string
	keys := make([]string, len(f.keys))
	size := sizeUint(uint64(f.lease))
	if len(f.group) > 0 {
		size += sizeBytes(len(f.group))
	}
	for i, key := range f.keys {
		keys[i] = string(key.of(f.body))
		size += sizeBytes(len(keys[i]))
	}
	switch f.kind {
	case bodyAnswer:
		a := response{peer.Answer{Item: peer.Item{Value: f.value, TTL: f.ttl}, Noted: f.noted, Unchanged: f.unchanged}, f.err, f.plain}
		b = append(appendAnswer(nil, f.id, f.index, &a), a.Value...)
	case bodyGet:
		q := peer.Query{Group: string(f.group), Key: string(f.key), Lease: f.lease, Digest: string(f.digest), CachedOnly: f.cachedOnly, Nested: peer.Nesting(f.nested), Context: string(f.context), Trace: string(f.trace)}
		b = appendGet(nil, f.id, sizeGet(&q), &q)
	case bodyBatch:
		q := peer.Query{Group: string(f.group), Lease: f.lease, Nested: peer.Nesting(f.nested), Context: string(f.context), Trace: string(f.trace)}
		size += sizeCarried(&q)
		for _, digest := range f.digests {
			digests = append(digests, string(digest.of(f.body)))
			size += sizeBytes(len(digest.of(f.body)))
		}
		b = appendBatch(nil, f.id, size+sizeUint(uint64(f.nested)), &q, keys, digests)
	case bodyChange, bodyChanged:
		b = append(appendFrame(nil, f.id, f.kind, len(f.message)), f.message...)
	case bodyCancel, bodyPing, bodyPong, bodyGoAway:
		b = appendEnd(nil, f.id, f.kind, f.err)
	case bodyHello:
		b = appendHello(nil, f.hello)
	}
	v, n := protowire.ConsumeVarint(b)
	if f.kind != bodyNone && int(v) != len(b)-n {
		t.Fatalf("length %d before a frame of %d bytes", v, len(b)-n)
	}
	return b[n:]
}

// TestFramesBothWays has the generated code write what the stream reads, and the
// other way round.
func TestFramesBothWays(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		want := randomFrame(r)
		wire := marshal(t, want)
		var f frame
		if err := f.decode(wire, len(wire), 100); err != nil {
			t.Fatalf("seed %d: %v: %v", seed, want, err)
		}
		saturate(want)
		if got := f.asMessage(); !proto.Equal(got, want) {
			t.Fatalf("seed %d: decoded %v, want %v", seed, got, want)
		}
		if f.kind != bodyAnswer { // nothing else has an index
			want.Index = 0
		}
		if f.kind == bodyHello {
			want.Id = 0
		}
		if f.kind == bodyNone || f.kind == bodyAnswer && f.id == 0 {
			continue
		}
		got := new(pb.Frame)
		if err := proto.Unmarshal(f.encode(t), got); err != nil || !proto.Equal(got, want) {
			t.Fatalf("seed %d: encoded %v (%v), want %v", seed, got, err, want)
		}
	}
}

// TestUnknownFields has fields of later versions in every place.
func TestUnknownFields(t *testing.T) {
	later := protowire.AppendTag(nil, 100, protowire.BytesType)
	later = protowire.AppendString(later, "later")
	later = protowire.AppendTag(later, 101, protowire.Fixed64Type)
	later = protowire.AppendFixed64(later, math.MaxUint64)
	later = protowire.AppendTag(later, 1, protowire.Fixed32Type) // not the type that field 1 has
	later = protowire.AppendFixed32(later, 1)
	for n := bodyAnswer; n <= bodyHello+2; n++ {
		b := protowire.AppendTag(slices.Clone(later), n, protowire.BytesType)
		b = protowire.AppendBytes(b, later)
		b = append(b, later...)
		b = append(b, tag(1, protowire.VarintType), 7)
		var f frame
		err := f.decode(b, len(b), 10)
		want := n
		if n > bodyHello {
			want = bodyNone
		}
		if err != nil || f.kind != want || f.id != 7 {
			t.Errorf("body %d: decoded %+v, %v", n, f, err)
		}
	}
}

// TestDecodePrefix gives the decoder less than the frame.
func TestDecodePrefix(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		wire := marshal(t, randomFrame(r))
		checkPrefixes(t, wire)
		var f frame
		if err := f.decode(wire, len(wire), 100); err != nil {
			t.Fatal(err)
		}
		if f.kind == bodyNone || f.kind == bodyAnswer && f.id == 0 {
			continue
		}
		if wire = f.encode(t); len(wire) > 0 {
			checkPrefixes(t, wire)
		}
	}
}

// checkPrefixes checks that a part of a frame decodes as the whole of it does, or
// asks for more.
func checkPrefixes(t *testing.T, wire []byte) {
	t.Helper()
	var whole, part frame
	if whole.decode(wire, len(wire), 100) != nil {
		return
	}
	for n := range min(len(wire), 300) {
		err := part.decode(wire[:n], len(wire), 100)
		if errors.Is(err, errShort) {
			continue
		}
		if err != nil {
			t.Fatalf("%x, %d of %d bytes: %v", wire, n, len(wire), err)
		}
		part.value = append(slices.Clip(part.value), wire[n:]...)
		if !proto.Equal(part.asMessage(), whole.asMessage()) {
			t.Fatalf("%x, %d of %d bytes: decoded %v, want %v", wire, n, len(wire), part.asMessage(), whole.asMessage())
		}
	}
}

func TestKindsAreTheProtocols(t *testing.T) {
	for err, want := range map[error]pb.Error_Kind{
		errNoAnswer:              pb.Error_KIND_UNKNOWN,
		context.Canceled:         pb.Error_KIND_CANCELED,
		peer.RefuseInvalid("it"): pb.Error_KIND_INVALID,
		peer.RefuseClosed("it"):  pb.Error_KIND_SHUTTING_DOWN,
	} {
		if kind := encodeError(err).Kind; kind != want {
			t.Errorf("%v: kind %v, want %v", err, kind, want)
		}
	}
}

// FuzzDecode checks that whatever is decoded is what the generated code decodes.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		f.Add(marshal(f, randomFrame(r)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got frame
		if err := got.decode(b, len(b), 1000); err != nil {
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, errShort) {
				t.Fatalf("error %v", err)
			}
			return
		}
		want := new(pb.Frame)
		if err := proto.Unmarshal(b, want); err != nil {
			if got.kind == bodyChange || got.kind == bodyChanged {
				return // whoever takes the message looks into it
			}
			t.Fatalf("decoded %+v, and the generated code says %v", got, err)
		}
		if a := want.GetAnswer(); a != nil {
			a.MinuteQps = 0 // not read
		}
		m := got.asMessage()
		discardUnknown(want)
		saturate(want)
		if !proto.Equal(m, want) {
			t.Fatalf("decoded %v, want %v", m, want)
		}
		checkPrefixes(t, b)
	})
}

func discardUnknown(f *pb.Frame) {
	f.ProtoReflect().SetUnknown(nil)
	b, _ := proto.Marshal(f)
	proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, f)
}

// FuzzRead feeds a reader what a connection may bring, cut anywhere.
func FuzzRead(f *testing.F) {
	f.Add(appendHello(nil, hello{1, 2, 3, 4, 5}))
	f.Add(answerFrame(1, 2, reply{Value: string(make([]byte, readBuffer+1)), TTL: time.Second}))
	f.Fuzz(func(t *testing.T, b []byte) {
		cli, srv := memConns(1 << 30)
		srv.Write(b[len(b)/2:])
		srv.Close()
		var r reader
		first := bufio.NewReader(bytes.NewReader(b[:len(b)/2]))
		first.Peek(1)
		r.init(cli, first)
		r.maxFrame, r.maxKeys = 1<<20, 1000
		for {
			fr, size, err := r.next()
			if err != nil {
				return
			}
			if size > 1<<20 || len(fr.keys) > 1000 || len(fr.value) != fr.valueSize {
				t.Fatalf("a frame of %d bytes, %d keys, a value of %d of %d bytes", size, len(fr.keys), len(fr.value), fr.valueSize)
			}
		}
	})
}

// saturate makes the durations in f those that are taken for them.
func saturate(f *pb.Frame) {
	clamp := func(ns *int64) { *ns = int64(durationOf(uint64(*ns))) }
	switch b := f.Body.(type) {
	case *pb.Frame_Answer:
		clamp(&b.Answer.TtlNs)
	case *pb.Frame_Get:
		clamp(&b.Get.LeaseNs)
	case *pb.Frame_GetBatch:
		clamp(&b.GetBatch.LeaseNs)
	case *pb.Frame_Hello:
		clamp(&b.Hello.IdleTimeoutNs)
	}
}
