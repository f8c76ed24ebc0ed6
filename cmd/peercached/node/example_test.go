package node_test

import (
	"context"
	"fmt"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cmd/peercached/node"
	"github.com/peercache/peercache/origin"
)

// An origin of the program's own, of which a configuration says: origin: {scores: {game: chess}}.
func scores(_ context.Context, _ origin.Env, decode func(section any) error) (peercache.Getter, error) {
	var section struct {
		Game string `yaml:"game" help:"whose scores these are"`
	}
	if err := decode(&section); err != nil {
		return nil, err
	}
	return peercache.GetterFunc(func(_ context.Context, player string) ([]byte, error) {
		return fmt.Appendf(nil, "%s plays %s", player, section.Game), nil
	}), nil
}

// A program is a node with an origin of its own.
func ExampleMain() {
	args := []string{"check", "--groups.chess.bytes=1MiB", "--groups.chess.origin.scores.game=chess"} // in a program: os.Args[1:]
	node.Main(context.Background(), args, node.Origins{"scores": scores})
	// Output: the configuration is right
}
