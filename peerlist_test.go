package peercache_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache"
)

// manyPeers returns n base URLs.
func manyPeers(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://10.1.%d.%d:8001", i/250, i%250)
	}
	return urls
}

// Set says how many peers there may be.
func TestMostPeersOfASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []int{0, 3} {
			var opts []peercache.PoolOption
			want := peercache.DefaultMaxPeers
			if most > 0 {
				opts, want = []peercache.PoolOption{peercache.WithMaxPeers(most)}, most
			}
			p, err := peercache.NewHTTPPool(selfURL, append(opts, peercache.WithInsecure(), peercache.WithTransport(nowhere{}), peercache.WithHandover(0, 1))...)
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

// What one of several filters refuses, Set refuses. A panic is a refusal.
func TestPeerFilter(t *testing.T) {
	p, err := peercache.NewHTTPPool(selfURL, peercache.WithInsecure(), peercache.WithPeerFilter(peercache.FilterPorts(8001)), peercache.WithPeerFilter(func(url string) error {
		if strings.Contains(url, "10.0.0.66") {
			panic("a filter of the user's")
		}
		return peercache.FilterNetworks(netip.MustParsePrefix("10.0.0.0/24"))(url)
	}), peercache.WithTransport(nowhere{}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown(t.Context())
	for _, bad := range []string{"http://10.0.0.2:22", "http://db.internal:8001", "http://10.0.0.66:8001", "http://192.168.0.1:8001"} {
		if err := p.Set(selfURL, bad); err == nil || !strings.Contains(err.Error(), "WithPeerFilter") {
			t.Errorf("Set of %s: %v, want an error of the filter", bad, err)
		}
	}
	if err := p.Set(selfURL, "http://10.0.0.2:8001"); err != nil {
		t.Errorf("Set of what the filters allow: %v", err)
	}
}

func TestFilters(t *testing.T) {
	networks := peercache.FilterNetworks(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"))
	ports := peercache.FilterPorts(8001, 80, 443)
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
