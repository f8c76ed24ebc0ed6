package simulation

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/peer"
)

// httpNetwork is a network of TCP and HTTP.
type httpNetwork struct {
	*simnet.Network
	plain    bool
	carrier  Carrier
	stranger *http.Transport
}

// Carrier is what the connections of a scenario over HTTP go through, in place of TCP alone. The zero
// Carrier is TCP.
type Carrier struct {
	Transport func(h *simnet.Host) *http.Transport
	Listen    func(l net.Listener) net.Listener
}

func newHTTPNetwork(s *scenario) network {
	n := &httpNetwork{Network: simnet.New(s.seed), plain: s.plain, carrier: s.carrier}
	if n.carrier.Transport == nil {
		n.carrier = Carrier{Transport: (*simnet.Host).Transport, Listen: func(l net.Listener) net.Listener { return l }}
	}
	n.stranger = n.carrier.Transport(n.Host("10.0.0.99"))
	n.SetLink(s.link)
	return n
}

func (n *httpNetwork) close() {
	n.stranger.CloseIdleConnections()
	n.Close()
}

func (n *httpNetwork) start(i int, opts []peercache.PoolOption, join func(pool) error) (pool, func(), error) {
	h := n.Host(host(i))
	opts = append(opts, peercache.WithTransport(n.carrier.Transport(h)), peercache.WithInsecure())
	if n.plain {
		opts = append(opts, peercache.WithoutStream())
	} else {
		opts = append(opts, peercache.WithLargeValue(largeValue))
	}
	p, err := peercache.NewHTTPPool(nameOf(i), append(opts, peercache.WithPeerTimeout(peerTimeout))...)
	if err != nil {
		return nil, nil, err
	}
	if err := join(p); err != nil {
		return nil, nil, err
	}
	l, err := h.Listen(strings.TrimPrefix(nameOf(i), "http://"))
	if err != nil {
		return nil, nil, err
	}
	return p, simnet.ServeOn(n.carrier.Listen(l), p), nil
}

func (n *httpNetwork) crash(i int) { n.Crash(host(i)) }

func (n *httpNetwork) powerOff(i int) { n.PowerOff(host(i)) }

func (n *httpNetwork) heal(hosts int) {
	n.HealAll()
	for i := range hosts {
		n.Thaw(host(i))
	}
}

func (n *httpNetwork) disturb(s step) {
	a, b := host(s.host), host(s.other)
	switch s.do {
	case doCut:
		n.Cut(a, b)
	case doCutOneWay:
		n.CutOneWay(a, b)
	case doCutAfter:
		n.CutAfter(a, b, s.size)
	case doResetAfter:
		n.ResetAfter(a, b, s.size)
	case doHeal:
		n.Heal(a, b)
	case doReset:
		n.Reset(a, b)
	case doFreeze:
		n.Freeze(a)
	case doThaw:
		n.Thaw(a)
	}
}

func (n *httpNetwork) forge(ctx context.Context, to, as int, c *peer.Change) (said peer.State) {
	body, err := peer.EncodeChange(c)
	if err != nil {
		return said
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, nameOf(to)+peercache.DefaultBasePath+"change", bytes.NewReader(body))
	if err != nil {
		return said
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Peercache-Peer", nameOf(as))
	resp, err := n.stranger.RoundTrip(req)
	if err != nil {
		return said
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); err == nil {
		changed, _, _ := peer.DecodeChanged(data, nameOf(to))
		said = changed.State
	}
	return said
}
