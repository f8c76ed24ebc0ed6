package httppeer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/peercache/peercache/peer"
)

// With a shared secret, both sides prove that they have it, and never send it. A proof is a MAC
// (HMAC-SHA256) of what the other side has chosen at random, of the names of both sides and, with
// TLS, of the connection. So a proof that somebody has overheard is of no use.
//
// A stream is proven at its start, and then all that comes on it counts as the peer's:
//
//	asker:  GET, Upgrade: peercache, Peercache-Challenge: <random>
//	owner:  101, Peercache-Challenge: <random>, Peercache-Proof: <one for each of its secrets>
//	asker:  its proof, 32 bytes, before the first frame
//
// A plain request has its proof in the header Peercache-Auth. It is of the owner's challenge, which
// any of its responses has, of a number that the asker uses once, and of the request. The response
// has the owner's proof.

const (
	challengeHeader = "Peercache-Challenge"
	proofHeader     = "Peercache-Proof"
	authHeader      = "Peercache-Auth"

	challengeBytes = 16
)

// Secret is a key that is made of a shared secret.
type Secret [sha256.Size]byte

// NewSecret returns the Secret of a text.
func NewSecret(text string) Secret {
	return Secret(mac([]byte("peercache shared secret"), []byte(text)))
}

// mac returns the MAC of some fields. The length of each is part of it.
func mac(key []byte, fields ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, f := range fields {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write(f)
	}
	return h.Sum(nil)
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// Two errors of both sides.
var (
	errNoSecret = errors.New("it has not proven that it has a secret of this process: want the same WithSecrets in all processes")
	errReplayed = errors.New("its proof was used before")
)

// exchange is what the proofs of a stream are about.
type exchange struct {
	asker, owner         peer.Identity
	askerDraw, ownerDraw []byte // what each has chosen at random
	binding              []byte // to the TLS connection; empty without TLS
}

// draw returns random bytes.
func draw() []byte {
	b := make([]byte, challengeBytes)
	rand.Read(b)
	return b
}

// proof returns the proof of one side of a stream: "asker" or "owner".
func (x *exchange) proof(s Secret, side string) []byte {
	return mac(s[:], []byte("stream "+side), x.askerDraw, x.ownerDraw, identityBytes(x.asker), identityBytes(x.owner), x.binding)
}

// provenBy returns the secret with which the proof of one side was made.
func (x *exchange) provenBy(secrets []Secret, side string, proof []byte) (Secret, bool) {
	for _, s := range secrets {
		if hmac.Equal(x.proof(s, side), proof) {
			return s, true
		}
	}
	return Secret{}, false
}

// identityBytes returns an identity as the field of a MAC.
func identityBytes(who peer.Identity) []byte {
	return mac(nil, []byte(who.Name), []byte(strconv.FormatUint(uint64(who.Process), 10)), []byte(who.Cluster))
}

// bindingOf returns what only the two ends of a TLS connection know (RFC 9266), or nothing without
// TLS.
func bindingOf(cs *tls.ConnectionState) []byte {
	if cs == nil {
		return nil
	}
	b, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, sha256.Size)
	if err != nil {
		return nil
	}
	return b
}

// challengeStream begins the proofs of a stream in its request for an upgrade.
func (c *conn) challengeStream(req *http.Request) *exchange {
	if len(c.t.cfg.Secrets) == 0 {
		return nil
	}
	x := &exchange{asker: c.local.Identity(), askerDraw: draw()}
	req.Header.Set(challengeHeader, encode64(x.askerDraw))
	return x
}

// proveStream checks the proof of the owner, in its response, and returns that of this process.
func (c *conn) proveStream(x *exchange, resp *http.Response) ([]byte, error) {
	if x == nil {
		return nil, nil
	}
	x.owner, x.ownerDraw, x.binding = identityOf(resp.Header), decode64(resp.Header.Get(challengeHeader)), bindingOf(resp.TLS)
	if len(x.ownerDraw) == challengeBytes {
		for text := range strings.FieldsSeq(resp.Header.Get(proofHeader)) {
			if s, ok := x.provenBy(c.t.cfg.Secrets, "owner", decode64(text)); ok {
				return x.proof(s, "asker"), nil
			}
		}
	}
	err := fmt.Errorf("%w: %w", peer.ErrUnauthenticated, errNoSecret)
	c.reportProblem(peer.Unauthenticated, err)
	return nil, err
}

// answerChallenge sets the headers with the proofs of this process, in the response to a request for
// an upgrade.
func (s *Server) answerChallenge(r *http.Request, header http.Header) (*exchange, error) {
	if len(s.cfg.Secrets) == 0 {
		return nil, nil
	}
	x := &exchange{
		asker: identityOf(r.Header), owner: s.process.Identity(),
		askerDraw: decode64(r.Header.Get(challengeHeader)), ownerDraw: draw(), binding: bindingOf(r.TLS),
	}
	if len(x.askerDraw) != challengeBytes {
		return nil, errNoSecret
	}
	proofs := make([]string, len(s.cfg.Secrets))
	for i, secret := range s.cfg.Secrets {
		proofs[i] = encode64(x.proof(secret, "owner"))
	}
	header.Set(challengeHeader, encode64(x.ownerDraw))
	header.Set(proofHeader, strings.Join(proofs, " "))
	return x, nil
}

// readProof reads the proof of the asker, which comes before the first frame, and checks it.
func (s *Server) readProof(x *exchange, from io.Reader) error {
	if x == nil {
		return nil
	}
	proof := make([]byte, sha256.Size)
	if _, err := io.ReadFull(from, proof); err != nil {
		return err
	}
	if _, ok := x.provenBy(s.cfg.Secrets, "asker", proof); !ok {
		return errNoSecret
	}
	return nil
}
