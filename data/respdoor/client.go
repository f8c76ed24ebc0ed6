package respdoor

import (
	"unsafe"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/pubsub"
	"github.com/peercache/peercache/resp"
)

// client is what the door keeps of a client.
type client struct {
	c     *resp.Conn
	args  []string // of the command that runs
	watch *engine.Watch
}

// keptArgs is for how many arguments memory is kept between commands.
const keptArgs = 1024

func clientOf(c *resp.Conn) *client {
	if cl, ok := c.Data.(*client); ok {
		return cl
	}
	cl := &client{c: c}
	c.Data = cl
	return cl
}

// texts returns arguments as strings that share their memory: they are valid as long as args are, until the next call, or forget.
func (cl *client) texts(args [][]byte) []string {
	cl.args = appendTexts(cl.args[:0], args)
	return cl.args
}

// forget gives the arguments up that texts has returned, so that a client that asks for nothing keeps nothing of what it has sent.
func (cl *client) forget() {
	if clear(cl.args); cap(cl.args) > keptArgs {
		cl.args = nil
	}
}

func appendTexts(to []string, args [][]byte) []string {
	for _, a := range args {
		to = append(to, unsafe.String(unsafe.SliceData(a), len(a)))
	}
	return to
}

// Message implements pubsub.Subscriber.
func (cl *client) Message(m pubsub.Message) {
	switch m.Kind {
	case pubsub.Pattern:
		cl.c.Message("pmessage", m.Pattern, m.Channel, m.Text)
	case pubsub.Shard:
		cl.c.Message("smessage", m.Channel, m.Text)
	default:
		cl.c.Message("message", m.Channel, m.Text)
	}
}

// broker implements resp.Broker.
type broker struct{ hub *pubsub.Hub }

var kinds = [...]pubsub.Kind{resp.Channel: pubsub.Channel, resp.Pattern: pubsub.Pattern, resp.Shard: pubsub.Shard}

// Subscribe implements resp.Broker.
func (b broker) Subscribe(c *resp.Conn, kind resp.Channels, name string) {
	b.hub.Subscribe(kinds[kind], name, clientOf(c))
}

// Unsubscribe implements resp.Broker.
func (b broker) Unsubscribe(c *resp.Conn, kind resp.Channels, name string) {
	b.hub.Unsubscribe(kinds[kind], name, clientOf(c))
}
