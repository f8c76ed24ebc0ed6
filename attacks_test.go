package peercache_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The attacks of the table in SECURITY.md, each with 10,000 connections, while a peer goes on asking.

// TestAttackOfStrangers has 10,000 connections of those who have no secret, or no certificate. What they
// hold is that of Limits.Unproven connections, and a process that nobody knows, but that has the secret,
// gets in.
func TestAttackOfStrangers(t *testing.T) {
	hello := clientHello(t)
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
	}{
		{"silent", "secret", say("")},
		{"silent before TLS", "tls", say("")},
		{"half a TLS handshake", "tls", func(_ *besieged, nc net.Conn) error {
			if _, err := nc.Write(hello); err != nil {
				return err
			}
			_, err := io.ReadFull(nc, make([]byte, 5)) // the server has begun
			return err
		}},
		{"half a header", "secret", say("GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nX: ")},
		{"a long header", "secret", say("GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nX: " + strings.Repeat("x", 16<<10))},
		{"half a proof", "secret", func(b *besieged, nc net.Conn) error {
			code, err := status(nc, upgrade(b.friendURL)) // the name of a peer
			if err == nil && code != 101 {
				b.Errorf("status %d, want 101", code)
			}
			if err == nil {
				err = write(nc, strings.Repeat("p", 16))
			}
			return err
		}},
		{"a wrong proof", "secret", func(b *besieged, nc net.Conn) error {
			_, err := status(nc, upgrade(b.friendURL)+strings.Repeat("p", 32))
			return err
		}},
		{"no proof of a request", "secret", expect(401, post("Content-Length: 0\n\n"))},
		{"a wrong proof of a request", "secret", expect(403, post("Content-Length: 0\nPeercache-Auth: x\n\n"))},
		{"a body without a proof", "secret", expect(401, post("Content-Length: 4000000\n\nslow"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := besiege(t, tt.secure)
			b.attack(attackers(), func(_ int, nc net.Conn) error { return tt.act(b, nc) })
			b.withstood(bound{60 << 20, 2500})
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

// TestAttackOnAnOpenPool has 10,000 streams of nobody in particular, where nobody has to prove anything.
// Half of the streams are for those who are no peers.
func TestAttackOnAnOpenPool(t *testing.T) {
	part := append(protowire.AppendVarint(nil, 4<<20), make([]byte, 100<<10)...)
	for _, tt := range []struct {
		name string
		act  func(b *besieged, nc net.Conn) error
		most bound
	}{
		{"half a hello", func(_ *besieged, nc net.Conn) error {
			code, err := status(nc, upgrade("stranger"))
			if err == nil && code == 101 {
				_, err = io.WriteString(nc, "\x02")
			}
			return err
		}, bound{60 << 20, 6000}},
		{"streams", func(_ *besieged, nc net.Conn) error { return openStream(nc, "stranger") }, bound{60 << 20, 6000}},
		{"half a frame", func(_ *besieged, nc net.Conn) error {
			err := openStream(nc, fmt.Sprint("stranger", nc.LocalAddr()))
			if err == nil {
				_, err = nc.Write(part)
			}
			return err
		}, bound{300 << 20, 6000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := besiege(t, "")
			b.attack(attackers(), func(_ int, nc net.Conn) error { return tt.act(b, nc) })
			b.withstood(tt.most)
			b.over()
		})
	}
}
