package resp

import (
	"bytes"

	"github.com/peercache/peercache/resp/codec"
)

// version is the Redis whose commands the server has.
const version = "7.2.0"

func cmdPing(c *Conn, args [][]byte) {
	switch {
	case len(args) > 2:
		c.Error("ERR wrong number of arguments for 'ping' command")
	case c.session.proto == 2 && c.session.subscribed():
		c.Array(2)
		c.Bulk("pong")
		if len(args) == 2 {
			c.Bulk(string(args[1]))
		} else {
			c.Bulk("")
		}
	case len(args) == 2:
		c.Bulk(string(args[1]))
	default:
		c.Simple("PONG")
	}
}

func cmdEcho(c *Conn, args [][]byte) { c.Bulk(string(args[1])) }

func cmdQuit(c *Conn, args [][]byte) {
	c.quitting.Store(true)
	c.OK()
	c.leaving = true
}

func cmdReset(c *Conn, args [][]byte) {
	c.stopTracking()
	c.pushable.Store(false)
	c.session.reset(c)
	c.Simple("RESET")
}

func cmdSelect(c *Conn, args [][]byte) {
	n, ok := codec.Number(args[1])
	switch {
	case !ok:
		c.Error("ERR value is not an integer or out of range")
	case n != 0:
		c.Error("ERR DB index is out of range")
	default:
		c.OK()
	}
}

// cmdHello changes the protocol, and may say who the client is.
func cmdHello(c *Conn, args [][]byte) {
	proto := c.session.proto
	if len(args) > 1 {
		n, ok := codec.Number(args[1])
		if !ok {
			c.Error("ERR Protocol version is not an integer or out of range")
			return
		}
		if n < 2 || n > 3 {
			c.Error("NOPROTO unsupported protocol version")
			return
		}
		proto = int(n)
	}
	var name, user, password []byte
	auth, named := false, false
	for i := 2; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case isWord(args[i], "AUTH") && more >= 2:
			auth, user, password = true, args[i+1], args[i+2]
			i += 2
		case isWord(args[i], "SETNAME") && more >= 1:
			named, name = true, args[i+1]
			if !validName(name) {
				c.Error("ERR Client names cannot contain spaces, newlines or special characters.")
				return
			}
			i++
		default:
			c.Error("ERR Syntax error in HELLO option '" + arg(args[i]) + "'")
			return
		}
	}
	if auth && !c.authenticate(user, password) {
		return
	}
	if c.session.user == nil {
		c.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	if named {
		c.setFacts(func(f *facts) { f.name = string(name) })
	}
	if len(args) > 1 {
		c.session.setProto(c, proto)
	}
	c.greet()
}

// greet replies what HELLO does.
func (c *Conn) greet() {
	c.Map(7)
	c.Bulk("server")
	c.Bulk("redis")
	c.Bulk("version")
	c.Bulk(version)
	c.Bulk("proto")
	c.Int(int64(c.session.proto))
	c.Bulk("id")
	c.Int(int64(c.id))
	c.Bulk("mode")
	c.Bulk("standalone")
	c.Bulk("role")
	c.Bulk("master")
	c.Bulk("modules")
	c.Array(0)
}

// validName reports whether CLIENT LIST can show a name.
func validName(name []byte) bool {
	return len(name) <= 256 && bytes.IndexFunc(name, func(r rune) bool { return r < '!' || r > '~' }) < 0
}

// setFacts changes what others may read of the client.
func (c *Conn) setFacts(change func(f *facts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.facts)
}

// getFacts returns what others may read of the client. They may call it.
func (c *Conn) getFacts() facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.facts
}
