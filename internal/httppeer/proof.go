package httppeer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// The proofs of plain requests: see secret.go.

const (
	// challengeFor is how long a challenge is the present one. It is accepted for as long again.
	challengeFor = time.Minute
	// replayWindow is how far a number may be below the highest one of its asker. Requests overtake
	// each other.
	replayWindow = 4096
	// mostAskers bounds for how many processes numbers are kept with one challenge. They have
	// proven that they have a secret.
	mostAskers = 1 << 15
)

// errStale says that a proof is of a challenge that is not accepted any more. The status is 401, and
// the response has the present challenge: the asker tries once more.
var errStale = errors.New("want a proof of the challenge in this response, by WithSecrets with the same secret in all processes")

// plainProof is a proof in the header Peercache-Auth.
type plainProof struct {
	challenge []byte
	asker     uint64 // a random number that stands for the process
	number    uint64 // that the asker uses once
	body      [sha256.Size]byte
	macs      [][]byte // one for each secret of the asker
}

// mac returns the MAC of a request to the owner.
func (p *plainProof) mac(s Secret, r *http.Request, asker peer.Identity, owner string) []byte {
	return mac(s[:], []byte("plain asker"), p.challenge, p.numbers(), p.body[:],
		[]byte(r.Method), []byte(r.URL.EscapedPath()), identityBytes(asker), []byte(owner))
}

// macOfAnswer returns the MAC by which the owner proves itself in its response.
func (p *plainProof) macOfAnswer(s Secret, asker, owner peer.Identity) []byte {
	return mac(s[:], []byte("plain owner"), p.challenge, p.numbers(), identityBytes(asker), identityBytes(owner))
}

func (p *plainProof) numbers() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.asker), p.number)
}

// String returns the proof as the header has it.
func (p *plainProof) String() string {
	fields := []string{encode64(p.challenge), encode64(p.numbers()), encode64(p.body[:])}
	for _, m := range p.macs {
		fields = append(fields, encode64(m))
	}
	return strings.Join(fields, " ")
}

// parseProof returns the proof that a header has; nil, if it has none.
func parseProof(text string) *plainProof {
	fields := strings.Split(text, " ")
	if len(fields) < 4 || len(fields) > 3+MaxSecrets {
		return nil
	}
	p := &plainProof{challenge: decode64(fields[0])}
	numbers, body := decode64(fields[1]), decode64(fields[2])
	if len(p.challenge) != challengeBytes || len(numbers) != 16 || len(body) != sha256.Size {
		return nil
	}
	p.asker, p.number, p.body = binary.BigEndian.Uint64(numbers), binary.BigEndian.Uint64(numbers[8:]), [sha256.Size]byte(body)
	for _, text := range fields[3:] {
		p.macs = append(p.macs, decode64(text))
	}
	return p
}

// MaxSecrets bounds how many secrets a process has at one time.
const MaxSecrets = 4

// prover makes the proofs of the plain requests to one peer.
type prover struct {
	challenge atomic.Pointer[string] // the last one of the peer, as its header has it
	number    atomic.Uint64
	asker     uint64
}

// prove sets the proof of a request with that body. It returns nil if there is no secret, or no
// challenge of the peer yet: then the peer sends one.
func (c *conn) prove(req *http.Request, body []byte) *plainProof {
	challenge := c.prover.challenge.Load()
	if len(c.t.cfg.Secrets) == 0 || challenge == nil {
		return nil
	}
	p := &plainProof{challenge: decode64(*challenge), asker: c.prover.asker, number: c.prover.number.Add(1), body: sha256.Sum256(body)}
	for _, s := range c.t.cfg.Secrets {
		p.macs = append(p.macs, p.mac(s, req, c.local.Identity(), c.url))
	}
	req.Header.Set(authHeader, p.String())
	return p
}

// errUnproven says that the peer wants a proof of another challenge.
var errUnproven = errors.New("the peer wants a proof of another challenge")

// checkProof checks that a response comes from a process that has a secret of this one. p is the
// proof of the request.
func (c *conn) checkProof(resp *http.Response, p *plainProof) error {
	if len(c.t.cfg.Secrets) == 0 {
		return nil
	}
	if challenge := resp.Header.Get(challengeHeader); len(decode64(challenge)) == challengeBytes {
		if old := c.prover.challenge.Load(); old == nil || *old != challenge {
			c.prover.challenge.Store(&challenge)
		}
		if resp.StatusCode == http.StatusUnauthorized {
			return errUnproven
		}
	}
	if p != nil {
		answer, owner := decode64(resp.Header.Get(proofHeader)), identityOf(resp.Header)
		for _, s := range c.t.cfg.Secrets {
			if hmac.Equal(p.macOfAnswer(s, c.local.Identity(), owner), answer) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %w", peer.ErrUnauthenticated, errNoSecret)
}

// challenges are those of plain requests to this process.
type challenges struct {
	mu     sync.Mutex
	now    *challenge // guarded by mu
	before *challenge // guarded by mu
}

// challenge is what proofs are of, for a time.
type challenge struct {
	draw  [challengeBytes]byte
	since clock.Instant
	used  map[uint64]*window // by asker
}

// window has the numbers that an asker has used: the highest one, and which of those below it.
type window struct {
	highest uint64
	used    [replayWindow / 64]uint64 // a bit each, by the number modulo replayWindow
}

// use records a number, and reports whether it was not used before.
func (w *window) use(n uint64) bool {
	switch {
	case n > w.highest:
		for forget := w.highest + 1; forget <= n && forget <= w.highest+replayWindow; forget++ {
			w.used[forget%replayWindow/64] &^= 1 << (forget % 64)
		}
		w.highest = n
	case w.highest-n >= replayWindow:
		return false
	}
	word, bit := &w.used[n%replayWindow/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// present returns the challenge that is given out now. The caller holds c.mu.
func (c *challenges) present() *challenge {
	if now := clock.Now(); c.now == nil || now >= c.now.since.Plus(challengeFor) {
		if c.before = c.now; c.before != nil && now >= c.before.since.Plus(2*challengeFor) {
			c.before = nil
		}
		c.now = &challenge{since: now, used: make(map[uint64]*window)}
		rand.Read(c.now.draw[:])
	}
	return c.now
}

// text returns the present challenge as a header has it.
func (c *challenges) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return encode64(c.present().draw[:])
}

// use records the number of a proof that is right. The error is errStale if it is of a challenge
// that is not accepted any more.
func (c *challenges) use(p *plainProof) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present()
	for _, one := range []*challenge{c.now, c.before} {
		if one == nil || one.draw != [challengeBytes]byte(p.challenge) {
			continue
		}
		w := one.used[p.asker]
		if w == nil {
			if len(one.used) >= mostAskers {
				return errors.New("too many processes have sent requests lately")
			}
			w = new(window)
			one.used[p.asker] = w
		}
		if !w.use(p.number) {
			return errReplayed
		}
		return nil
	}
	return errStale
}

// checkPlain returns an error if the sender of a plain request has not proven that it has a secret of
// this process. It sets the headers of the response that prove that this process has it.
func (s *Server) checkPlain(w http.ResponseWriter, r *http.Request, from peer.Identity) error {
	w.Header().Set(challengeHeader, s.challenges.text())
	text := r.Header.Get(authHeader)
	if text == "" {
		return errStale
	}
	if p := parseProof(text); p != nil {
		own := s.process.Identity()
		for _, secret := range s.cfg.Secrets {
			want := p.mac(secret, r, from, own.Name)
			for _, m := range p.macs {
				if !hmac.Equal(want, m) {
					continue
				}
				if err := s.challenges.use(p); err != nil {
					return err
				}
				w.Header().Set(proofHeader, encode64(p.macOfAnswer(secret, from, own)))
				return nil
			}
		}
	}
	return errNoSecret
}

// checkBody returns an error if the body of a request is not the one of its proof.
func (s *Server) checkBody(r *http.Request, body []byte) error {
	if len(s.cfg.Secrets) == 0 {
		return nil
	}
	if p := parseProof(r.Header.Get(authHeader)); p == nil || p.body != sha256.Sum256(body) {
		return errNoSecret
	}
	return nil
}
