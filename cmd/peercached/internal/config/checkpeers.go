package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/peertls"
)

// checkPeers checks this node among its peers.
func (l *Loaded) checkPeers() {
	for _, m := range l.Members() {
		l.checkMember(&m)
	}
	if l.Peers.OwnNothing {
		for _, g := range l.Groups {
			if g.Snapshot != nil {
				l.Fail("groups."+g.Name+".snapshot", "this node owns nothing (peers.own_nothing), and has nothing to save: want no snapshot")
			}
		}
	}
}

// checkMember checks this node among the peers of one cluster.
func (l *Loaded) checkMember(p *Member) {
	before := len(l.Problems)
	l.completeSelf(p)
	switch n := p.discoveries(); {
	case len(n) > 1:
		l.Fail(p.Path+".discovery", "%s: want one of them", strings.Join(n, " and "))
	case len(n) == 0 && p.OwnNothing:
		l.Fail(p.Path+".discovery", "a node that owns nothing has to know the nodes that do: want a discovery, such as static: [http://10.0.0.1:8001, %q]", discovery.OwningNothing(p.Self))
	case len(n) == 0 && p.Self != "":
		p.Discovery.Static = []string{p.Self}
	}
	for _, one := range l.poolOptions(p) {
		l.try(one.path, one.probe)
	}
	if p.TLS != nil && p.Insecure {
		l.Fail(p.Path+".insecure", "insecure and tls: want one of them: insecure lets in everybody")
	}
	if p.Secret.IsSet() && p.Insecure {
		l.Fail(p.Path+".insecure", "insecure and secret: want one of them: insecure lets in everybody")
	}
	if p.TLS != nil && strings.HasPrefix(p.Self, "http://") {
		l.Fail(p.Path+".self", "%s: want https://, because of peers.tls", p.Self)
	}
	if p.TLS == nil && strings.HasPrefix(p.Self, "https://") {
		l.Fail(p.Path+".self", "%s: want http://, or peers.tls", p.Self)
	}
	l.checkDiscovery(p)
	if len(l.Problems) > before {
		return // what the library would say comes of that
	}
	l.checkPool(p)
}

// completeSelf sets the base URL, if that of the listener will do.
func (l *Loaded) completeSelf(p *Member) {
	if p.Self != "" {
		return
	}
	host, port, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return // said by checkListeners
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() || port == "0" {
		l.Fail(p.Path, "no self: peers.listen, %s, does not say how peers reach this node: want self: http://HOST:PORT", p.Listen)
		return
	}
	p.Self = "http://" + p.Listen
	if p.TLS != nil {
		p.Self = "https://" + p.Listen
	}
}

// discoveries returns the names of those that are set.
func (p *Member) discoveries() (all []string) {
	d := &p.Discovery
	for _, one := range []struct {
		name string
		set  bool
	}{{"static", len(d.Static) > 0}, {"file", d.File != nil}, {"dns", d.DNS != nil}, {"etcd", d.Etcd != nil},
		{"gossip", d.Gossip != nil}, {"kubernetes", d.Kubernetes != nil}} {
		if one.set {
			all = append(all, one.name)
		}
	}
	return all
}

// checkDiscovery checks what each discovery needs.
func (l *Loaded) checkDiscovery(p *Member) {
	d := &p.Discovery
	if d.File != nil && d.File.Path == "" {
		l.Fail(p.Path+".discovery.file", "no path: want that of a file")
	}
	if d.DNS != nil && d.DNS.URL == "" {
		l.Fail(p.Path+".discovery.dns", "no url: want the base URL of every peer, such as http://peers.shop.svc:8001")
	}
	if d.Etcd != nil && len(d.Etcd.Endpoints) == 0 {
		l.Fail(p.Path+".discovery.etcd", "no endpoints: want those of etcd, such as [http://127.0.0.1:2379]")
	}
	if g := d.Gateways; g != nil {
		if d.File == nil && d.DNS == nil && d.Kubernetes == nil {
			l.Fail(p.Path+".discovery.gateways", "it goes with file, dns and kubernetes: static lists name gateways as URL#owns=nothing, and in etcd and gossip they say so themselves")
		}
		if g.File == nil && g.DNS == nil && g.Kubernetes == nil {
			l.Fail(p.Path+".discovery.gateways", "want one of file, dns and kubernetes")
		}
	}
	if d.Kubernetes != nil && d.Kubernetes.Service == "" {
		l.Fail(p.Path+".discovery.kubernetes", "no service: want the name of the service whose pods are the peers")
	}
}

// checkPool asks the library what it thinks of the peers as a whole.
func (l *Loaded) checkPool(p *Member) {
	opts, err := l.PoolOptions(p)
	if err != nil {
		l.Fail(p.Path+".secret", "%v", err)
		return
	}
	if p.TLS != nil { // its files are read when the node is built
		opts = append(opts, peercache.WithAuthenticator(nobody))
	}
	if _, err := peercache.NewHTTPPool(p.Self, opts...); err != nil {
		text := WithoutGo(err)
		if strings.Contains(text, "loopback") && !p.Secret.IsSet() && p.TLS == nil && !p.Insecure {
			text = "whoever reaches " + p.Self + " could read and change what is cached: want peers.secret, peers.tls or, in a network that lets in nobody else, peers.insecure: true"
		}
		l.Fail(p.Path, "%s", text)
		return
	}
	l.checkStatic(p)
}

// checkStatic checks the list of peers. The pool is not asked: it would announce itself to them.
func (l *Loaded) checkStatic(p *Member) {
	path := p.Path + ".discovery.static"
	want := p.Self
	if p.OwnNothing {
		want = discovery.OwningNothing(p.Self)
	}
	found := false
	for i, one := range p.Discovery.Static {
		name, _ := discovery.SplitPeer(one)
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, err := peercache.NewHTTPPool(name, peercache.WithInsecure()); err != nil {
			l.Fail(at, "%s", WithoutGo(err))
		}
		if name == p.Self && one != want {
			l.Fail(at, "%s: want %s here and in the lists of all nodes, because of peers.own_nothing, %v", one, want, p.OwnNothing)
		}
		found = found || name == p.Self
	}
	if len(p.Discovery.Static) > 0 && !found {
		l.Fail(path, "%s, this node (peers.self), is not among them: want the same list in all nodes, with each of them in it", want)
	}
	if len(p.Discovery.Static) > p.MaxPeers {
		l.Fail(path, "%d peers: want at most max_peers, %d", len(p.Discovery.Static), p.MaxPeers)
	}
}

// nobody stands for the certificates that say who asks.
func nobody(*http.Request) (string, error) { return "", errors.New("nobody") }

// CheckFiles records certificates that cannot be used. They are read for that.
func (l *Loaded) CheckFiles() {
	for _, m := range l.Members() {
		if t := m.TLS; t != nil && t.Cert != "" && t.Key != "" && t.CA != "" {
			if _, err := peertls.Files(t.Cert, t.Key, t.CA); err != nil && !errors.Is(err, fs.ErrNotExist) {
				l.Fail(m.Path+".tls", "%v", strings.TrimPrefix(err.Error(), "peertls: "))
			}
		}
	}
}
