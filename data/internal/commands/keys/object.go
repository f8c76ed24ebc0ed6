package keys

import (
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// subcommandKey returns the place of the key of OBJECT, and of MEMORY.
func subcommandKey(args []string) []int {
	if len(args) < 3 {
		return nil
	}
	return []int{2}
}

const errNoLFU engine.Error = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

// object is OBJECT.
func object(c *engine.Call) error {
	name := strings.ToLower(c.Args[1])
	arity := 3
	switch name {
	case "encoding", "idletime", "freq", "refcount":
	case "help":
		arity = 2
	default:
		return engine.Error("ERR unknown subcommand '" + shortened(c.Args[1]) + "'. Try OBJECT HELP.")
	}
	if len(c.Args) != arity {
		return engine.Error("ERR wrong number of arguments for 'object|" + name + "' command")
	}
	if name == "help" {
		c.W.Array(len(objectHelp))
		for _, line := range objectHelp {
			c.W.Simple(line)
		}
		return nil
	}
	n := c.Peek(c.Args[2])
	if n == nil {
		c.W.Null()
		return nil
	}
	switch name {
	case "encoding":
		c.W.Bulk(encoding(n))
	case "idletime":
		c.W.Int(c.Idle(n))
	case "refcount":
		c.W.Int(1)
	case "freq":
		return errNoLFU
	}
	return nil
}

// memory is MEMORY USAGE. Memory is counted exactly, so that SAMPLES is of no use.
func memory(c *engine.Call) error {
	switch {
	case !strings.EqualFold(c.Args[1], "usage"):
		return engine.Error("ERR unknown subcommand '" + shortened(c.Args[1]) + "'. Try MEMORY HELP.")
	case len(c.Args) < 3:
		return engine.Error("ERR wrong number of arguments for 'memory|usage' command")
	case len(c.Args) != 3 && (len(c.Args) != 5 || !strings.EqualFold(c.Args[3], "samples")):
		return engine.Error("ERR syntax error")
	}
	if n := c.Peek(c.Args[2]); n != nil {
		c.W.Int(c.Usage(n))
	} else {
		c.W.Null()
	}
	return nil
}

// shortened returns as much of a word as errors have.
func shortened(word string) string { return word[:min(len(word), 128)] }

// embstrMost is the length up to which Redis keeps a string in one piece with its header.
const embstrMost = 44

// encoding returns how Redis would keep a value.
func encoding(n *engine.Node) string {
	switch v := &n.Value; {
	case v.Object != nil:
		return v.Object.Encoding()
	case v.IsGrown():
		return "raw"
	case isInt(v.Str):
		return "int"
	case len(v.Str) <= embstrMost:
		return "embstr"
	}
	return "raw"
}

func isInt(s string) bool {
	_, ok := number.Int(s)
	return ok
}

var objectHelp = []string{
	"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
	"ENCODING <key>",
	"    How the value of a key is kept.",
	"FREQ <key>",
	"    How often a key is used. There is no policy that counts it.",
	"IDLETIME <key>",
	"    For how many seconds a key was not used.",
	"REFCOUNT <key>",
	"    How many use the value of a key, which is always 1.",
	"HELP",
	"    This text.",
}
