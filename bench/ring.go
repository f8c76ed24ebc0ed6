package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	theirs "github.com/golang/groupcache/consistenthash"

	ours "github.com/peercache/peercache/consistenthash"
)

var ring = command{
	name:  "ring",
	about: "who owns a key: how even the peers' shares are, and how long it takes",
	run:   runRing,
}

const (
	ringKeyBytes = 16
	mostLookupNS = 40 // the target
	ringFleets   = 3  // shares are those of the middle one of so many sets of names
)

func runRing(w io.Writer, m measuring) error {
	sizes, keysOfPeer, leastKeys := []int{3, 10, 100, 1000}, 20_000, 2_000_000
	if m.quick {
		sizes, keysOfPeer, leastKeys = []int{3, 10}, 1000, 10_000
	}
	fmt.Fprintf(w, "\nrandom keys of %d bytes, groupcache with 50 replicas; median of %d turns of %v each, one goroutine.\n",
		ringKeyBytes, m.repeats, m.turn)
	fmt.Fprintf(w, "Shares: the largest over the mean, median of %d sets of peers, counted with %d keys a peer, at least %d.\n",
		ringFleets, keysOfPeer, leastKeys)
	fmt.Fprintf(w, "The counting alone makes the largest of 1,000 equal shares about %.2f.\n", countedEvenShare(1000, keysOfPeer))

	t := newTable("peers", "our max/mean", "groupcache", "× ours", "our ns/lookup", "groupcache", "× ours", "our allocs", "groupcache")
	var goals targets
	for _, peers := range sizes {
		shares, err := ringShares(peers, max(leastKeys, peers*keysOfPeer))
		if err != nil {
			return err
		}
		lookups, err := ringLookups(m, peers)
		if err != nil {
			return err
		}
		t.add(peers, shares[0], shares[1], shares[1]/shares[0],
			lookups[0].ns, lookups[1].ns, lookups[1].ns/lookups[0].ns, lookups[0].allocs, lookups[1].allocs)
		goals.add(fmt.Sprintf("%d peers: ns a lookup", peers), lookups[0].ns, true, mostLookupNS)
	}
	if err := t.print(w); err != nil {
		return err
	}
	goals.print(w, "Targets")
	return nil
}

// countedEvenShare returns about what the largest share over the mean comes out
// as when n shares that are equal are counted with so many keys each: the
// largest of n normal deviations.
func countedEvenShare(n, keys int) float64 {
	return 1 + math.Sqrt2*math.Erfinv(1-2/float64(n))/math.Sqrt(float64(keys))
}

// ringPair is both rings over the same peers: ours, theirs.
func ringPair(names []string) (owners [2]func(key string) string, err error) {
	members := make([]ours.Member, len(names))
	for i, name := range names {
		members[i].Name = name
	}
	our, err := ours.New(members...)
	if err != nil {
		return owners, err
	}
	their := theirs.New(50, nil)
	their.Add(names...)
	return [2]func(string) string{our.Owner, their.Get}, nil
}

// peerNames returns the URLs of one fleet.
func peerNames(peers, fleet int) []string {
	names := make([]string, peers)
	for i := range names {
		names[i] = fmt.Sprintf("http://10.%d.%d.%d:8001", fleet, i/250, 1+i%250)
	}
	return names
}

// ringShares returns the largest share over the mean, on both rings.
func ringShares(peers, keys int) (shares [2]float64, err error) {
	var largest [2][]float64
	for fleet := range ringFleets {
		owners, err := ringPair(peerNames(peers, fleet))
		if err != nil {
			return shares, err
		}
		most := mostOwned(owners, keys)
		for i := range most {
			largest[i] = append(largest[i], most[i]*float64(peers)/float64(keys))
		}
	}
	for i := range shares {
		shares[i] = median(largest[i])
	}
	return shares, nil
}

// mostOwned returns how many of the keys the peer that owns most of them has, on
// each ring.
func mostOwned(owners [2]func(string) string, keys int) (most [2]float64) {
	var mu sync.Mutex // guards counts
	counts := [2]map[string]int{{}, {}}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 3))
			mine := [2]map[string]int{{}, {}}
			for left := keys*(worker+1)/workers - keys*worker/workers; left > 0; {
				batch := randomKeys(rnd, min(left, 4096))
				left -= len(batch)
				for i, owner := range owners {
					for _, key := range batch {
						mine[i][owner(key)]++
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range counts {
				for name, n := range mine[i] {
					counts[i][name] += n
				}
			}
		})
	}
	wg.Wait()
	for i, c := range counts {
		for _, n := range c {
			most[i] = max(most[i], float64(n))
		}
	}
	return most
}

// ringLookups measures both rings.
func ringLookups(m measuring, peers int) ([]figure, error) {
	owners, err := ringPair(peerNames(peers, 0))
	if err != nil {
		return nil, err
	}
	keys := randomKeys(rand.New(rand.NewPCG(1, 4)), 1<<14)
	var subjects []subject
	for _, owner := range owners {
		subjects = append(subjects, subject{"", func(_, n int) (sum int) {
			for i := range n {
				sum += len(owner(keys[i%len(keys)]))
			}
			return sum
		}})
	}
	return m.sideBySide(1, subjects), nil
}

// randomKeys returns n keys of any bytes.
func randomKeys(rnd *rand.Rand, n int) []string {
	buf := make([]byte, 0, n*ringKeyBytes)
	for len(buf) < cap(buf) {
		v := rnd.Uint64()
		buf = append(buf, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	text := string(buf)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = text[i*ringKeyBytes : (i+1)*ringKeyBytes]
	}
	return keys
}
