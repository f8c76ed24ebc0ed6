package node

import (
	"context"
	"net"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/door"
)

// frontDoor serves the groups to clients. Shutdown takes no new requests, and waits for those in
// progress.
type frontDoor interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

// openDoor is a front door, and its name, which is that of its section and of its listener.
type openDoor struct {
	name string
	frontDoor
}

// doorKinds are the front doors that there are. Each returns nil if the configuration has none of it.
var doorKinds = []struct {
	name string
	open func(n *node) (frontDoor, error)
}{
	{"http", openHTTP},
	{"grpc", openGRPC},
	{"resp", openRESP},
}

// openDoors makes the front doors of a node.
func openDoors(n *node) (all []openDoor, err error) {
	for _, kind := range doorKinds {
		d, err := kind.open(n)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, openDoor{kind.name, d})
		}
	}
	return all, nil
}

// setTokens has a front door take the tokens of its section.
func setTokens(of *door.Tokens, tokens []config.Token) error {
	rights, err := config.Rights(tokens)
	if err != nil {
		return err
	}
	return of.Set(rights)
}
