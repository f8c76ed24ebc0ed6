// Package pubsub has the commands that publish messages. Those that subscribe belong to a connection, and so to the front
// door.
package pubsub

import (
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "publish", Arity: 3, Flags: engine.PubSub | engine.Sends | engine.Fast, Group: "pubsub", Args: "channel message", Since: "2.0.0",
		Complexity: "O(N) for N subscribers and M patterns", Summary: "Sends a message to those who are subscribed to a channel, and returns how many there are.", Run: publish},
	{Name: "spublish", Arity: 3, Flags: engine.PubSub | engine.Sends | engine.Fast, Group: "pubsub", Args: "shardchannel message", Since: "7.0.0",
		Complexity: "O(N) for N subscribers", Summary: "Sends a message to those who are subscribed to a channel by SSUBSCRIBE.", Run: spublish},
	{Name: "pubsub", Arity: -2, Flags: engine.PubSub, Group: "pubsub",
		Args: "CHANNELS [pattern] | NUMSUB [channel …] | NUMPAT | SHARDCHANNELS [pattern] | SHARDNUMSUB [shardchannel …]", Since: "2.8.0",
		Complexity: "O(N)", Summary: "Returns which channels have subscribers, and how many.", Run: pubsub},
}

func publish(c *engine.Call) error  { return send(c, false) }
func spublish(c *engine.Call) error { return send(c, true) }

func send(c *engine.Call, shard bool) error {
	c.W.Int(int64(c.Publish(shard, c.Args[1], c.Args[2])))
	return nil
}

func pubsub(c *engine.Call) error {
	sub, args := strings.ToUpper(c.Args[1]), c.Args[2:]
	hub := &c.Engine().Messages
	switch shard := strings.HasPrefix(sub, "SHARD"); {
	case strings.TrimPrefix(sub, "SHARD") == "CHANNELS" && len(args) <= 1:
		pattern := "*"
		if len(args) > 0 {
			pattern = args[0]
		}
		names := hub.Channels(shard, pattern)
		c.W.Array(len(names))
		for _, name := range names {
			c.W.Bulk(name)
		}
	case strings.TrimPrefix(sub, "SHARD") == "NUMSUB":
		c.W.Array(2 * len(args))
		for _, name := range args {
			c.W.Bytes([]byte(name))
			c.W.Int(int64(hub.Subscribers(shard, name)))
		}
	case sub == "NUMPAT" && len(args) == 0:
		c.W.Int(int64(hub.Patterns()))
	case sub == "HELP" && len(args) == 0:
		help(c.W)
	case sub == "NUMPAT" || sub == "HELP" || strings.TrimPrefix(sub, "SHARD") == "CHANNELS":
		return engine.Error("ERR wrong number of arguments for 'pubsub|" + strings.ToLower(sub) + "' command")
	default:
		return engine.Error("ERR unknown subcommand '" + c.Args[1] + "'. Try PUBSUB HELP.")
	}
	return nil
}

func help(w engine.Writer) {
	lines := []string{"PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"CHANNELS [<pattern>]: the channels that have subscribers.", "NUMSUB [<channel> ...]: how many each has.",
		"NUMPAT: how many patterns somebody is subscribed to.", "SHARDCHANNELS [<pattern>]: the channels of SSUBSCRIBE.",
		"SHARDNUMSUB [<shardchannel> ...]: how many each has.", "HELP: this text."}
	w.Array(len(lines))
	for _, line := range lines {
		w.Simple(line)
	}
}
