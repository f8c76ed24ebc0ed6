package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/engine"
)

// doInCluster sends commands to the nodes of a cluster that have their keys. Those without a key end a pipeline.
func doInCluster(ctx context.Context, client rueidis.Client, cmds []data.Cmd) ([]data.Reply, error) {
	replies := make([]data.Reply, 0, len(cmds))
	for len(cmds) > 0 {
		n := 0
		for n < len(cmds) && firstKey(cmds[n]) > 0 {
			n++
		}
		var some []data.Reply
		var err error
		switch c := table.Find(cmds[0].Name); {
		case n > 0:
			some, err = do(ctx, client, cmds[:n])
		case c != nil && c.Flags&(engine.All|engine.Steps) != 0:
			n = 1
			var r data.Reply
			r, err = ofAllNodes(ctx, client, c.Name, cmds[0])
			some = []data.Reply{r}
		default:
			n = 1
			some, err = do(ctx, client, cmds[:1])
		}
		if err != nil {
			return nil, err
		}
		replies, cmds = append(replies, some...), cmds[n:]
	}
	return replies, nil
}

// masters returns the clients of the masters, and their addresses, in one order.
func masters(ctx context.Context, client rueidis.Client) (addresses []string, nodes map[string]rueidis.Client, err error) {
	nodes = client.Nodes()
	for address, node := range nodes {
		role, err := node.Do(ctx, node.B().Role().Build()).ToArray()
		if err != nil || len(role) == 0 {
			return nil, nil, fmt.Errorf("redis: ROLE of %s: %w", address, err)
		}
		if name, _ := role[0].ToString(); name == "master" {
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == 0 {
		return nil, nil, errors.New("redis: the cluster has no masters")
	}
	slices.Sort(addresses)
	return addresses, nodes, nil
}

// ofAllNodes runs a command that is about all keys.
func ofAllNodes(ctx context.Context, client rueidis.Client, name string, cmd data.Cmd) (data.Reply, error) {
	addresses, nodes, err := masters(ctx, client)
	if err != nil {
		return data.Reply{}, err
	}
	switch name {
	case "scan":
		return scanNode(ctx, addresses, nodes, cmd)
	case "randomkey":
		rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	}
	var all data.Reply
	for i, address := range addresses {
		r, err := doOn(ctx, nodes[address], cmd)
		switch {
		case err != nil || r.Kind == data.ErrorReply:
			return r, err
		case name == "randomkey":
			if r.Kind != data.NullReply {
				return r, nil
			}
		case i == 0:
			all = r
		default:
			all.Int += r.Int
			all.List = append(all.List, r.List...)
		}
	}
	return all, nil
}

func doOn(ctx context.Context, node rueidis.Client, cmd data.Cmd) (data.Reply, error) {
	replies, err := do(ctx, node, []data.Cmd{cmd})
	if err != nil {
		return data.Reply{}, err
	}
	return replies[0], nil
}

// scanNode runs a SCAN of one node. The cursor of a step is that of the node, with @ and its address; nodes come in the order of their
// addresses.
func scanNode(ctx context.Context, addresses []string, nodes map[string]rueidis.Client, cmd data.Cmd) (data.Reply, error) {
	if len(cmd.Args) == 0 {
		return doOn(ctx, nodes[addresses[0]], cmd)
	}
	cursor, address, ok := strings.Cut(cmd.Args[0], "@")
	if !ok {
		address = addresses[0]
	}
	if nodes[address] == nil {
		return data.Reply{}, fmt.Errorf("redis: SCAN: there is no node %q any more: begin again", address)
	}
	r, err := doOn(ctx, nodes[address], data.Cmd{Name: cmd.Name, Args: append([]string{cursor}, cmd.Args[1:]...)})
	if err != nil || len(r.List) == 0 {
		return r, err
	}
	next := r.List[0].Str
	if i, found := slices.BinarySearch(addresses, address); next != "0" {
		next += "@" + address
	} else {
		if found {
			i++
		}
		if i < len(addresses) {
			next = "0@" + addresses[i]
		}
	}
	r.List[0].Str = next
	return r, nil
}
