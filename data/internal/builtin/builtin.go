// Package builtin is all commands, and all kinds of values.
package builtin

import (
	"github.com/peercache/peercache/data/internal/channel"
	"github.com/peercache/peercache/data/internal/commands/channels"
	"github.com/peercache/peercache/data/internal/commands/hashes"
	"github.com/peercache/peercache/data/internal/commands/keys"
	"github.com/peercache/peercache/data/internal/commands/lists"
	"github.com/peercache/peercache/data/internal/commands/pubsub"
	"github.com/peercache/peercache/data/internal/commands/sets"
	"github.com/peercache/peercache/data/internal/commands/strings"
	"github.com/peercache/peercache/data/internal/commands/zsets"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/hash"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/set"
	"github.com/peercache/peercache/data/internal/zset"
)

// Commands returns the commands of all packages.
func Commands() [][]engine.Command {
	return [][]engine.Command{
		strings.Commands,
		pubsub.Commands,
		keys.Commands,
		lists.Commands,
		hashes.Commands,
		sets.Commands,
		zsets.Commands,
		channels.Commands,
	}
}

// Kinds returns the kinds of the objects that they make. Their IDs are 1 list, 2 hash, 3 set, 4 zset, 5 channel.
func Kinds() []*engine.Kind {
	return []*engine.Kind{
		list.Kind,
		hash.Kind,
		set.Kind,
		zset.Kind,
		channel.Kind,
	}
}
