package peercache

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// dialled is a transport that reaches nobody, and remembers who was to be reached, but for
// this process itself.
type dialled struct {
	mu    sync.Mutex
	hosts map[string]bool
}

func (d *dialled) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil {
		d.hosts = make(map[string]bool)
	}
	if "http://"+r.URL.Host != selfURL {
		d.hosts[r.URL.Host] = true
	}
	return nil, errors.New("there is no network")
}

// manyPeers returns n base URLs.
func manyPeers(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://10.1.%d.%d:8001", i/250, i%250)
	}
	return urls
}

// A view of more peers than a pool is to have is not taken: the last one stands, with one
// warning, and nothing is dialled. It costs no memory and no goroutines that stay.
func TestMostPeersOfAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialled{}
		j := newJoining(t, WithTransport(d))
		j.join(t, selfURL)
		synctest.Wait()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		for n := range 3 {
			j.told.tell(append(manyPeers(20_000+n), selfURL)...)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := runtime.NumGoroutine() - goroutines; n > 2 {
			t.Errorf("%d more goroutines", n)
		}
		if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 8<<20 {
			t.Errorf("%d more bytes are held", n)
		}
		if got := j.members(); got != selfURL {
			t.Errorf("the view has %.100s: want the last one", got)
		}
		if len(d.hosts) > 0 {
			t.Errorf("%d hosts were dialled: want none", len(d.hosts))
		}
		if w := j.warnings(t); len(w) != 1 || !strings.Contains(w[0], "WithMaxPeers") || !strings.Contains(w[0], "the last one stands") {
			t.Errorf("warnings %q: want one that names WithMaxPeers", w)
		}
		j.told.tell(append(manyPeers(10), selfURL)...)
		if n := len(j.Peers()); n != 10 {
			t.Errorf("%d peers of a view that is small enough: want 10", n)
		}
	})
}

// Set says how many peers there may be.
func TestMostPeersOfASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []int{0, 3} {
			var opts []PoolOption
			want := DefaultMaxPeers
			if most > 0 {
				opts, want = []PoolOption{WithMaxPeers(most)}, most
			}
			p, err := NewHTTPPool(selfURL, append(opts, WithTransport(nowhere{}), WithHandover(0, 1))...)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Set(append(manyPeers(want), selfURL)...); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("more than %d peers", want)) {
				t.Errorf("Set of %d peers: %v, want an error that says the most", want+1, err)
			}
			if most > 0 {
				if err := p.Set(append(manyPeers(want-1), selfURL)...); err != nil {
					t.Errorf("Set of %d peers: %v", want, err)
				}
			}
			p.Shutdown(t.Context())
		}
	})
}

// What a filter refuses is left out before anything is dialled, however many there are, and
// not at the expense of those that it allows.
func TestPeerFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialled{}
		j := newJoining(t, WithTransport(d), WithMaxPeers(3), WithPeerFilter(FilterPorts(8001)), WithPeerFilter(func(url string) error {
			if strings.Contains(url, "10.0.0.66") {
				panic("a filter of the user's")
			}
			return FilterNetworks(netip.MustParsePrefix("10.0.0.0/24"))(url)
		}))
		const good = "http://10.0.0.2:8001"
		view := append(manyPeers(1000), selfURL, good, "http://10.0.0.2:22", "http://db.internal:8001", "http://10.0.0.66:8001", "http://192.168.0.1:8001")
		j.join(t, view...)
		synctest.Wait()
		if got, want := j.members(), selfURL+" "+good; got != want {
			t.Errorf("the view has %.100s: want %s", got, want)
		}
		for host := range d.hosts {
			if host != "10.0.0.2:8001" {
				t.Errorf("%s was dialled", host)
			}
		}
		if w := j.warnings(t); len(w) != mostWarnings+1 || !strings.Contains(w[mostWarnings], fmt.Sprint("members=", 1004-mostWarnings)) {
			t.Errorf("%d warnings, the last of them %q: want %d, and one that says how many more", len(w), w[len(w)-1], mostWarnings)
		}
		j.told.tell(view...)
		if w := j.warnings(t); len(w) > 0 {
			t.Errorf("%d warnings of the same view: want none", len(w))
		}
	})
	p, err := NewHTTPPool(selfURL, WithPeerFilter(FilterPorts(8001)), WithTransport(nowhere{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set(selfURL, "http://10.0.0.2:22"); err == nil || !strings.Contains(err.Error(), "WithPeerFilter") {
		t.Errorf("Set: %v, want an error of the filter", err)
	}
}

func TestFilters(t *testing.T) {
	networks := FilterNetworks(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"))
	ports := FilterPorts(8001, 80, 443)
	for url, want := range map[string][2]bool{
		"http://10.1.2.3:8001":  {true, true},
		"http://[fd00::1]:8002": {true, false},
		"http://11.0.0.1":       {false, true},
		"https://[fe80::1]":     {false, true},
		"http://ten.example:22": {false, false},
	} {
		if got := [2]bool{networks(url) == nil, ports(url) == nil}; got != want {
			t.Errorf("%s: allowed %v, want %v", url, got, want)
		}
	}
}

// A stranger in the registry cannot make a process talk to its own machine.
func TestLocalAddressesInAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialled{}
		j := newJoining(t, WithTransport(d))
		j.join(t, selfURL, "http://127.0.0.1:6379", "http://localhost:9200", "http://169.254.169.254", "http://[::1]:8001")
		synctest.Wait()
		if got := j.members(); got != selfURL || len(d.hosts) > 0 {
			t.Errorf("the view has %s, and %d hosts were dialled: want this process alone", got, len(d.hosts))
		}
		if w := j.warnings(t); len(w) != 4 {
			t.Errorf("warnings %q: want 4", w)
		}
	})
}
