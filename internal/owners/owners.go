// Package owners checks, for tests with processes of the example, that each key is loaded
// by the process that the ring of the living names, and that no key moves without need.
package owners

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/peercache/peercache/consistenthash"
)

// A Node is a process of the example: its base URL, and that of its API.
type Node struct{ Peer, API string }

// keys is how many keys are asked for.
const keys = 100

// Check asks nodes in turn for keys that begin with prefix, which nobody has asked for, and
// returns an error if one was loaded by another node than the ring names. Nobody else may
// ask the nodes meanwhile.
func Check(client *http.Client, nodes []Node, prefix string) error {
	ring, err := ringOf(nodes)
	if err != nil {
		return err
	}
	before, err := loads(client, nodes)
	if err != nil {
		return err
	}
	want := make(map[string]int64)
	for i := range keys {
		key := fmt.Sprint(prefix, i)
		want[ring.Owner(key)]++
		resp, err := client.Get(nodes[i%len(nodes)].API + "?key=" + key)
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
	after, err := loads(client, nodes)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if got := after[n.Peer] - before[n.Peer]; got != want[n.Peer] {
			return fmt.Errorf("%s has loaded %d of %d keys, and owns %d", n.Peer, got, keys, want[n.Peer])
		}
	}
	return nil
}

// Moved returns an error if a key has another owner now although the one it had is there
// still, and the one it has was there before.
func Moved(before, now []Node) error {
	old, err := ringOf(before)
	if err != nil {
		return err
	}
	ring, err := ringOf(now)
	if err != nil {
		return err
	}
	has := func(nodes []Node, peer string) bool {
		return slices.ContainsFunc(nodes, func(n Node) bool { return n.Peer == peer })
	}
	for i := range 100 * keys {
		key := fmt.Sprint("key", i)
		was, is := old.Owner(key), ring.Owner(key)
		if was != is && has(now, was) && has(before, is) {
			return fmt.Errorf("%s has moved from %s to %s without need", key, was, is)
		}
	}
	return nil
}

func ringOf(nodes []Node) (*consistenthash.Ring, error) {
	var members []consistenthash.Member
	for _, n := range nodes {
		members = append(members, consistenthash.Member{Name: n.Peer})
	}
	return consistenthash.New(members...)
}

// loads returns how often each node has run its getter.
func loads(client *http.Client, nodes []Node) (map[string]int64, error) {
	counts := make(map[string]int64)
	for _, n := range nodes {
		resp, err := client.Get(n.API + "/stats")
		if err != nil {
			return nil, err
		}
		var stats struct{ Loads int64 }
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			err = json.Unmarshal(body, &stats)
		}
		if err != nil {
			return nil, fmt.Errorf("the figures of %s: %w", n.Peer, err)
		}
		counts[n.Peer] = stats.Loads
	}
	return counts, nil
}
