package discovery_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/discovery"
)

// zone is a Resolver of one name, and of what a test says.
type zone struct {
	mu      sync.Mutex
	name    string
	ip4     string // addresses with blanks between
	ip6     string
	records []*net.SRV
	err     error
	asked   int
	silent  bool
}

func (z *zone) ask(ctx context.Context, name string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	if z.silent {
		z.mu.Unlock()
		<-ctx.Done()
		z.mu.Lock()
		return ctx.Err()
	}
	if name != z.name {
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return z.err
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) (addrs []netip.Addr, err error) {
	if err := z.ask(ctx, host); err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	for s := range strings.FieldsSeq(map[string]string{"ip4": z.ip4, "ip6": z.ip6}[network]) {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

func (z *zone) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	err := z.ask(ctx, strings.Trim(service+"."+proto+"."+name, "."))
	z.mu.Lock()
	defer z.mu.Unlock()
	return name, z.records, err
}

// set changes the zone.
func (z *zone) set(change func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	change()
}

func TestDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{name: "peers.example", ip4: "10.0.0.2 10.0.0.1", ip6: "fd00::1 fd00::2"}
		var log logged
		watchDNS := func(self string) *watcher {
			d, err := discovery.DNS("http://peers.example:8001", discovery.WithResolver(z), discovery.WithLogger(log.logger()), discovery.WithKeepMissing(0))
			if err != nil {
				t.Fatal(err)
			}
			return watch(t, d, self)
		}
		six := watchDNS("http://[fd00::2]:8001")
		six.after(t, 0, "http://[fd00::1]:8001 http://[fd00::2]:8001")
		six.stop()

		w := watchDNS(urlA)
		w.after(t, 0, urlA+" "+urlB)
		z.set(func() { z.ip4 = "10.0.0.1 10.0.0.2 10.0.0.1" })
		w.after(t, time.Minute)
		z.set(func() { z.ip4 = "::ffff:10.0.0.1" }) // some resolvers write IPv4 so
		w.after(t, discovery.DefaultDNSPoll, urlA)
		log.checkWarnings(t, 0, "")

		z.set(func() { z.ip4 = "" })
		w.after(t, time.Minute)
		log.checkWarnings(t, 1, "nobody is named")
		z.set(func() { z.ip4 = "10.0.0.1" })
		w.after(t, discovery.DefaultDNSPoll)
		log.checkWarnings(t, 0, "")
		z.set(func() { z.name = "gone.example" })
		w.after(t, time.Minute)
		log.checkWarnings(t, 1, "no such host")
		z.set(func() { z.name, z.silent = "peers.example", true })
		w.after(t, time.Minute)
		z.set(func() { z.silent, z.ip4, z.asked = false, "10.0.0.2", 0 })
		w.after(t, 20*time.Second, urlB) // that may begin with the end of a silence
		if z.asked < 3 || z.asked > 5 {
			t.Errorf("asked %d times in 20 s: want 4 or so", z.asked)
		}

		// Run ends at once, also while it asks.
		z.set(func() { z.silent = true })
		w.after(t, discovery.DefaultDNSPoll)
		start := time.Now()
		if err := w.stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("Run: error %v after %v: want none, at once", err, time.Since(start))
		}
	})
}

func TestSRV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{name: "_peers._tcp.shop.example", records: []*net.SRV{
			{Target: "B.shop.example.", Port: 8002, Priority: 1},
			{Target: "a.shop.example.", Port: 8001, Priority: 2},
			{Target: ".", Port: 1},
		}}
		var log logged
		d, err := discovery.SRV("https://_peers._tcp.shop.example", discovery.WithResolver(z), discovery.WithLogger(log.logger()),
			discovery.WithPoll(time.Second), discovery.WithKeepMissing(0))
		if err != nil {
			t.Fatal(err)
		}
		w := watch(t, d, "https://a.shop.example:8001")
		w.after(t, 0, "https://a.shop.example:8001 https://b.shop.example:8002")
		// What the records say of others does not hide those that are well-formed.
		z.set(func() { z.records, z.err = z.records[1:2], errors.New("a record with no proper name") })
		w.after(t, time.Minute, "https://a.shop.example:8001")
		log.checkWarnings(t, 1, "no proper name")
		z.set(func() { z.records = nil })
		w.after(t, time.Minute)
	})
}

// The port of the scheme is left out, as pools want base URLs spelled.
func TestDNSPortOfTheScheme(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{name: "peers", ip4: "10.0.0.1 10.0.0.2", ip6: "fd00::1", records: []*net.SRV{{Target: "a.", Port: 443}, {Target: "b.", Port: 80}}}
		for _, test := range []struct {
			make                func(string, ...discovery.Option) (discovery.Discovery, error)
			pattern, self, want string
		}{
			{discovery.DNS, "http://peers:80", "http://10.0.0.1", "http://10.0.0.1 http://10.0.0.2"},
			{discovery.DNS, "http://peers:443", "http://10.0.0.1:443", "http://10.0.0.1:443 http://10.0.0.2:443"},
			{discovery.DNS, "https://peers:443", "https://[fd00::1]", "https://[fd00::1]"},
			{discovery.SRV, "https://peers", "https://a", "https://a https://b:80"},
			{discovery.SRV, "http://peers", "http://b", "http://a:443 http://b"},
		} {
			d, err := test.make(test.pattern, discovery.WithResolver(z))
			if err != nil {
				t.Fatal(err)
			}
			w := watch(t, d, test.self)
			w.after(t, 0, test.want)
			w.stop()
		}
	})
}

// A name server that gives three of six addresses, in turns, gives a view of all six, which
// stays. That is said once.
func TestDNSThatAnswersInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6"
		z, log := &zone{name: "peers"}, &logged{}
		turn := func(n int) { // 1 2 3, 4 5 6, 1 2 3 …
			f := strings.Fields(all)
			z.set(func() { z.ip4 = strings.Join(f[n%2*3:n%2*3+3], " ") })
		}
		turn(0)
		d, err := discovery.DNS("http://peers:8001", discovery.WithResolver(z), discovery.WithLogger(log.logger()))
		if err != nil {
			t.Fatal(err)
		}
		w := watch(t, d, urlA)
		w.after(t, 0, "http://10.0.0.1:8001 http://10.0.0.2:8001 http://10.0.0.3:8001")
		turn(1)
		whole := "http://" + strings.ReplaceAll(all, " ", ":8001 http://") + ":8001"
		w.after(t, discovery.DefaultDNSPoll, whole)
		for n := range 100 {
			turn(n)
			w.after(t, discovery.DefaultDNSPoll)
		}
		log.checkWarnings(t, 1, "only a part of the peers")
	})
}

// Who is gone from the DNS stays for a minute, or as long as it was said, and not because
// there is no answer meanwhile.
func TestDNSKeepsWhoIsMissing(t *testing.T) {
	for keep, opts := range map[time.Duration][]discovery.Option{
		discovery.DefaultKeepMissing: nil,
		10 * time.Second:             {discovery.WithKeepMissing(10 * time.Second)},
	} {
		synctest.Test(t, func(t *testing.T) {
			z, log := &zone{name: "peers", ip4: "10.0.0.1 10.0.0.2"}, &logged{}
			d, err := discovery.DNS("http://peers:8001", append(opts, discovery.WithResolver(z), discovery.WithLogger(log.logger()))...)
			if err != nil {
				t.Fatal(err)
			}
			w := watch(t, d, urlA)
			w.after(t, 0, urlA+" "+urlB)
			z.set(func() { z.err = errors.New("no answer") })
			w.after(t, time.Hour)
			z.set(func() { z.err, z.ip4 = nil, "10.0.0.1" })
			w.after(t, keep)
			w.after(t, discovery.DefaultDNSPoll, urlA)
			log.take()
			// It restarts now and then, which is no warning.
			for range 10 {
				z.set(func() { z.ip4 = "10.0.0.1 10.0.0.2" })
				w.after(t, time.Minute, urlA+" "+urlB)
				z.set(func() { z.ip4 = "10.0.0.1" })
				w.after(t, keep+discovery.DefaultDNSPoll, urlA)
			}
			log.checkWarnings(t, 0, "")
		})
	}
}

// A self that no answer can have is an error: the others would take the process
// for two, or never hear of it.
func TestDNSSelf(t *testing.T) {
	for _, test := range []struct{ pattern, self, want string }{
		{"http://peers:1", "http://host:1", "want an address"},
		{"http://peers:1", "http://10.0.0.1:2", `know it as "http://10.0.0.1:1"`},
		{"http://peers:1", "https://10.0.0.1:1", `know it as "http://10.0.0.1:1"`},
		{"http://peers:1", "http://[FD00::1]:1", `know it as "http://[fd00::1]:1"`},
		{"http://peers:1", "http://[::ffff:10.0.0.1]:1", `know it as "http://10.0.0.1:1"`},
		{"http://peers:1", "http://10.0.0.1", `know it as "http://10.0.0.1:1"`},
		{"http://_p._tcp.peers", "http://a.peers:80", "http://TARGET:PORT"},
		{"http://peers:80", "http://10.0.0.1:80", `know it as "http://10.0.0.1"`},
		{"https://peers:443", "https://[fd00::1]:443", `know it as "https://[fd00::1]"`},
		{"http://_p._tcp.peers", "https://a.peers:1", "http://TARGET:PORT"},
	} {
		make := discovery.DNS
		if strings.Contains(test.pattern, "_tcp") {
			make = discovery.SRV
		}
		d, err := make(test.pattern, discovery.WithResolver(&zone{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(t.Context(), test.self, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s at %s: error %v: want one with %q", test.self, test.pattern, err, test.want)
		}
	}
}

// The resolver of the standard library, and a name server that there is: it has
// three A records, one AAAA and two SRV under any name, and no others.
func TestResolver(t *testing.T) {
	resolver := serveNames(t)
	for _, test := range []struct {
		pattern, self string
		make          func(string, ...discovery.Option) (discovery.Discovery, error)
		want          string
	}{
		{"http://peers.test.:8001", urlA, discovery.DNS, "http://10.0.0.1:8001 http://10.0.0.2:8001 http://10.0.0.3:8001"},
		{"http://peers.test.:8001", "http://[fd00::1]:8001", discovery.DNS, "http://[fd00::1]:8001"},
		{"http://_peers._tcp.test.", "http://a.test:8001", discovery.SRV, "http://a.test:8001 http://b.test:8002"},
	} {
		d, err := test.make(test.pattern, discovery.WithResolver(resolver))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		got := ""
		err = d.Run(ctx, test.self, func(v discovery.View) {
			got = strings.Join(v.Peers, " ")
			cancel()
		})
		if got != test.want || err != nil {
			t.Errorf("%s: peers %s, error %v: want %s", test.pattern, got, err, test.want)
		}
	}
}

// serveNames answers questions on loopback, and returns a resolver that asks there.
func serveNames(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no UDP on loopback: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			conn.WriteTo(answer(buf[:n]), from)
		}
	})
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer makes the DNS message (RFC 1035, section 4) that answers one question.
func answer(question []byte) []byte {
	const header = 12
	end := header
	for question[end] != 0 { // the labels of the name
		end += 1 + int(question[end])
	}
	kind := binary.BigEndian.Uint16(question[end+1:])
	end += 1 + 2 + 2 // the root's label, type, class

	var data []string
	switch kind {
	case 1: // A
		data = []string{"\x0a\x00\x00\x02", "\x0a\x00\x00\x01", "\x0a\x00\x00\x03"}
	case 28: // AAAA
		data = []string{"\xfd" + strings.Repeat("\x00", 14) + "\x01"}
	case 33: // SRV: priority, weight, port, target
		data = []string{"\x00\x01\x00\x00\x1f\x42\x01b\x04test\x00", "\x00\x01\x00\x00\x1f\x41\x01a\x04test\x00"}
	}
	msg := append([]byte(nil), question[:2]...)             // the identification
	msg = append(msg, 0x81, 0x80, 0, 1, 0, byte(len(data))) // an answer without error
	msg = append(msg, 0, 0, 0, 0)
	msg = append(msg, question[header:end]...)
	for _, d := range data {
		msg = append(msg, 0xc0, header) // the name of the question
		msg = binary.BigEndian.AppendUint16(msg, kind)
		msg = append(msg, 0, 1, 0, 0, 0, 60, 0, byte(len(d))) // class, seconds to live, length
		msg = append(msg, d...)
	}
	return msg
}
