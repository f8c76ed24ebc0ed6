//go:build unix

package peercache_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/pb"
)

// The attacks of the table in SECURITY.md, each with 10,000 connections, while a peer goes on asking.

// TestAttackOfStrangers has 10,000 connections of those who have no secret, or no certificate. What they
// hold is that of Limits.Unproven connections, and a process that nobody knows, but that has the secret,
// gets in.
func TestAttackOfStrangers(t *testing.T) {
	hello, usual := clientHello(t), bound{120 << 20, 5000}
	post := func(more string) string {
		return "POST /_peercache/get HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/x-protobuf\nPeercache-Peer: http://127.0.0.1:1\n" + more
	}
	expect := func(want int, text string) func(b *besieged, nc net.Conn) error {
		return func(b *besieged, nc net.Conn) error {
			code, err := status(nc, text)
			if err == nil && code != want {
				b.Errorf("status %d, want %d", code, want)
			}
			return err
		}
	}
	say := func(text string) func(b *besieged, nc net.Conn) error {
		return func(_ *besieged, nc net.Conn) error { return write(nc, text) }
	}
	for _, tt := range []struct {
		name, secure string
		act          func(b *besieged, nc net.Conn) error
		most         bound
	}{
		{"silent", "secret", say(""), usual},
		{"silent before TLS", "tls", say(""), usual},
		{"half a TLS handshake", "tls", func(_ *besieged, nc net.Conn) error {
			if _, err := nc.Write(hello); err != nil {
				return err
			}
			_, err := io.ReadFull(nc, make([]byte, 5)) // the server has begun
			return err
		}, usual},
		{"half a header", "secret", say("GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nX: "), usual},
		{"a long header", "secret", say("GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nX: " + strings.Repeat("x", 16<<10)), usual},
		{"half a proof", "secret", func(b *besieged, nc net.Conn) error {
			code, err := status(nc, upgrade(b.friendURL)) // the name of a peer
			if err == nil && code != 101 {
				b.Errorf("status %d, want 101", code)
			}
			if err == nil {
				err = write(nc, strings.Repeat("p", 16))
			}
			return err
		}, usual},
		{"a wrong proof", "secret", func(b *besieged, nc net.Conn) error {
			_, err := status(nc, upgrade(b.friendURL)+strings.Repeat("p", 32))
			return err
		}, usual},
		{"no proof of a request", "secret", expect(401, post("Content-Length: 0\n\n")), usual},
		{"a wrong proof of a request", "secret", expect(403, post("Content-Length: 0\nPeercache-Auth: x\n\n")), usual},
		{"a body without a proof", "secret", expect(401, post("Content-Length: 4000000\n\nslow")), bound{200 << 20, 14_000}}, // net/http closes slowly then
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := besiege(t, tt.secure)
			b.attack(attackers(t, 1024), func(_ int, nc net.Conn) error { return tt.act(b, nc) })
			b.withstood(tt.most)
			if err := b.newcomer(); err != nil {
				t.Errorf("a process that has proven itself is not answered: %v", err)
			}
			b.over()
		})
	}
}

// clientHello returns the first message of a TLS handshake.
func clientHello(t *testing.T) []byte {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Client(a, &tls.Config{ServerName: "127.0.0.1", InsecureSkipVerify: true}).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, body); err != nil {
		t.Fatal(err)
	}
	return bytes.Join([][]byte{head, body}, nil)
}

// TestAttackOfStreams has 10,000 streams, where nobody has to prove anything, or whose senders have. Half
// of the streams are for those who are no peers, and one peer has 32.
func TestAttackOfStreams(t *testing.T) {
	large := &pb.Frame{Body: &pb.Frame_Get{Get: &pb.GetRequest{Group: "test", Key: []byte("large")}}}
	var asks []*pb.Frame
	for id := range uint64(24) {
		f := proto.CloneOf(large)
		f.Id = id + 1
		asks = append(asks, f)
	}
	var loads, changes []*pb.Frame
	for id := range uint64(64) {
		loads = append(loads, &pb.Frame{Id: id + 1, Body: &pb.Frame_Get{Get: &pb.GetRequest{Group: "test", Key: fmt.Append(nil, "hang", id)}}})
	}
	for id := range uint64(200) {
		changes = append(changes, &pb.Frame{Id: id + 1, Body: &pb.Frame_Change{Change: &pb.ChangeRequest{Group: "test", Keys: [][]byte{[]byte("k")}}}})
	}
	for _, tt := range []struct {
		name string
		peer bool   // whether the attacker is a peer
		says []byte // on each stream
		most bound
	}{
		{"strangers", false, nil, bound{120 << 20, 9000}},
		{"half a hello", false, []byte("\x02"), bound{120 << 20, 9000}},
		{"half a frame", false, append(protowire.AppendVarint(nil, 4<<20), make([]byte, 200<<10)...), bound{350 << 20, 9000}},
		{"pings", false, bytes.Repeat([]byte("\x02\x4a\x00"), 1000), bound{200 << 20, 9000}},
		{"answers that nobody reads", false, framesOf(t, asks...), bound{250 << 20, 20_000}},
		{"loads without end", false, framesOf(t, loads...), bound{400 << 20, 30_000}},
		{"changes", false, framesOf(t, changes...), bound{300 << 20, 30_000}},
		{"a peer", true, nil, bound{60 << 20, 2500}},
		{"half frames of a peer", true, append(protowire.AppendVarint(nil, 4<<20), make([]byte, 3<<20)...), bound{200 << 20, 2500}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := besiege(t, "")
			var admitted atomic.Int64
			b.attack(attackers(t, 2048+1024), func(i int, nc net.Conn) error {
				from := fmt.Sprint("stranger", i)
				if tt.peer {
					from = b.friendURL
				}
				nc.(*net.TCPConn).SetReadBuffer(4 << 10)
				err := openStream(nc, from)
				if err == nil {
					admitted.Add(1)
					_, err = nc.Write(tt.says)
				}
				return err
			})
			t.Logf("%d streams", admitted.Load())
			b.withstood(tt.most)
			b.over()
		})
	}
}

// TestAttackOfRequests has 10,000 connections for requests by the plain way, of strangers where nobody
// has to prove anything, and in the name of a peer.
func TestAttackOfRequests(t *testing.T) {
	request := func(what string) func(from string) string {
		return func(from string) string {
			return strings.Replace(what, "\n", " HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/x-protobuf\nPeercache-Peer: "+from+"\n", 1)
		}
	}
	slow := request("POST /_peercache/change\nContent-Length: 4000000\n\nslow")
	chunked := request("POST /_peercache/change\nTransfer-Encoding: chunked\n\n4\nslow\n")
	hang := request("GET /_peercache/test/hang\n\n")
	for _, tt := range []struct {
		name    string
		peer    bool
		text    func(from string) string
		answers bool // each is answered
		most    bound
	}{
		{"slow bodies of strangers", false, slow, false, bound{250 << 20, 16_000}},
		{"bodies in chunks of strangers", false, chunked, false, bound{200 << 20, 14_000}},
		{"slow bodies of a peer", true, slow, false, bound{500 << 20, 18_000}},
		{"keys that hang, of a peer", true, hang, false, bound{400 << 20, 18_500}},
		{"idle connections of a peer", true, request("GET /_peercache/test/k\n\n"), true, bound{60 << 20, 2500}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := besiege(t, "")
			b.attack(attackers(t, 8192), func(i int, nc net.Conn) error {
				from := "stranger"
				if tt.peer {
					from = b.friendURL
				}
				if tt.answers {
					_, err := status(nc, tt.text(from))
					return err
				}
				return write(nc, tt.text(from))
			})
			b.withstood(tt.most)
			b.over()
		})
	}
}

// TestTooManyChangesAreRefused has a peer send more Removes than it may. A Remove that is refused returns an
// error that says so: it is never dropped silently (P8). Those that the process can take a little later wait.
func TestTooManyChangesAreRefused(t *testing.T) {
	b := besiege(t, "", peercache.WithLimits(peercache.Limits{ChangesPerSecond: 100}))
	var done, refused atomic.Int64
	var removing sync.WaitGroup
	for n := range 400 {
		removing.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), mostPatient)
			defer cancel()
			switch err := b.friend.Remove(ctx, b.keyOf(b.friendly, 100*n)); {
			case err == nil:
				done.Add(1)
			case strings.Contains(err.Error(), "more than 100 changes a second of one peer") && strings.Contains(err.Error(), b.url):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	removing.Wait()
	t.Logf("of 400 Removes at once %d returned nil and %d an error", done.Load(), refused.Load())
	if done.Load() < 100 || refused.Load() == 0 {
		t.Errorf("%d Removes returned nil, %d an error: want 100 at least, and some", done.Load(), refused.Load())
	}
	if b.lines.n.Load() == 0 {
		t.Error("the process that refuses says nothing")
	}
}
