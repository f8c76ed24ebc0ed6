package httppeer

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// namedProcess is a process that says who it is, and nothing else.
type namedProcess struct{ who peer.Identity }

func (p namedProcess) Identity() peer.Identity                            { return p.who }
func (p namedProcess) Accept(peer.Identity, string) (peer.Handler, error) { return nil, nil }

func TestWindow(t *testing.T) {
	var w window
	for _, tt := range []struct {
		n    uint64
		want bool
	}{
		{1, true}, {1, false}, {3, true}, {2, true}, {2, false},
		{replayWindow, true}, {4, true}, {3, false},
		{replayWindow + 5, true}, {5, false}, {6, true}, {replayWindow + 4, true}, {replayWindow + 4, false},
		{100 * replayWindow, true}, {100*replayWindow - 1, true}, {100*replayWindow - 1, false}, {99 * replayWindow, false},
		{0, false},
	} {
		if got := w.use(tt.n); got != tt.want {
			t.Errorf("use(%d) is %v, want %v", tt.n, got, tt.want)
		}
	}
}

// TestProofOfARequest makes a proof that is right, changes one thing at a time, and sends it twice.
func TestProofOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours := NewSecret("a secret of this cluster")
		owner := peer.Identity{Name: "http://owner:1", Process: 7}
		asker := peer.Identity{Name: "http://asker:1", Process: 8}
		s := &Server{cfg: Config{Secrets: []Secret{ours, NewSecret("the secret of before")}}, process: namedProcess{peer.Identity(owner)}}
		body := []byte("body")
		request := func(change func(p *plainProof, r *http.Request)) *http.Request {
			r := httptest.NewRequest("POST", "http://owner:1/_peercache/get", strings.NewReader(string(body)))
			p := &plainProof{challenge: decode64(s.challenges.text()), asker: 1, number: 1, body: sha256.Sum256(body)}
			p.macs = [][]byte{p.mac(NewSecret("one that the owner has not"), r, asker, owner.Name), p.mac(ours, r, asker, owner.Name)}
			change(p, r)
			r.Header.Set(authHeader, p.String())
			return r
		}
		nothing := func(*plainProof, *http.Request) {}
		check := func(r *http.Request) error { return s.checkPlain(httptest.NewRecorder(), r, asker) }
		for _, tt := range []struct {
			name   string
			change func(*plainProof, *http.Request)
			want   error
		}{
			{"another path", func(_ *plainProof, r *http.Request) { r.URL.Path = "/_peercache/change" }, errNoSecret},
			{"another method", func(_ *plainProof, r *http.Request) { r.Method = "GET" }, errNoSecret},
			{"another number", func(p *plainProof, _ *http.Request) { p.number++ }, errNoSecret},
			{"another asker", func(p *plainProof, _ *http.Request) { p.asker++ }, errNoSecret},
			{"another challenge", func(p *plainProof, _ *http.Request) { p.challenge = draw() }, errNoSecret},
			{"another body", func(p *plainProof, _ *http.Request) { p.body[0]++ }, errNoSecret},
			{"no MAC", func(p *plainProof, _ *http.Request) { p.macs = nil }, errNoSecret},
			{"too many MACs", func(p *plainProof, _ *http.Request) { p.macs = append(p.macs, p.macs[1], p.macs[1], p.macs[1]) }, errNoSecret},
			{"right", nothing, nil},
			{"right, but sent before", nothing, errReplayed},
		} {
			if err := check(request(tt.change)); err != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if err := s.checkPlain(httptest.NewRecorder(), request(func(p *plainProof, _ *http.Request) { p.number = 2 }), peer.Identity{Name: "http://other:1"}); err != errNoSecret {
			t.Errorf("in the name of another asker: %v, want %v", err, errNoSecret)
		}
		if err := check(httptest.NewRequest("GET", "/", nil)); err != errStale {
			t.Errorf("without a proof: %v, want %v", err, errStale)
		}
		next := func(p *plainProof, r *http.Request) {
			p.number = 9
			p.macs = [][]byte{p.mac(ours, r, asker, owner.Name)}
		}
		early, late := request(next), request(func(p *plainProof, r *http.Request) { p.asker = 2; next(p, r) })
		time.Sleep(challengeFor)
		if err := check(early); err != nil {
			t.Errorf("of the challenge before: %v, want no error", err)
		}
		time.Sleep(challengeFor)
		s.challenges.text()
		time.Sleep(challengeFor)
		if err := check(late); err != errStale {
			t.Errorf("of an old challenge: %v, want %v", err, errStale)
		}
	})
}
