package resp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache/resp/codec"
)

// line is a client in CLIENT LIST.
func (c *Conn) line() string {
	f, t := c.getFacts(), c.track.Load()
	flags, redirect := "", int64(-1)
	if f.queued > 0 {
		flags += "x"
	}
	if f.channels+f.patterns+f.shards > 0 {
		flags += "P"
	}
	if c.waits() {
		flags += "b"
	}
	if t != nil {
		flags += "t"
		if redirect = int64(t.redirect); t.bcast {
			flags += "B"
		}
	}
	if flags == "" {
		flags = "N"
	}
	multi := -1
	if f.queued > 0 {
		multi = f.queued
	}
	command := "NULL"
	if cmd := c.command.Load(); cmd != nil {
		command = cmd.full
	}
	idle := time.Duration(c.s.now.Load() - c.idle.Load())
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d ssub=%d multi=%d watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=%d rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		c.id, c.nc.RemoteAddr(), c.nc.LocalAddr(), f.name, int(c.age().Seconds()), int(max(idle, 0).Seconds()), flags, f.channels, f.patterns, f.shards, multi, bufferBytes, command, f.user, redirect, f.proto, f.lib, f.libVersion)
}

func cmdClientInfo(c *Conn, args [][]byte) { c.Verbatim(c.line() + "\n") }

// mostListed is how many clients CLIENT LIST names.
const mostListed = 10_000

func cmdClientList(c *Conn, args [][]byte) {
	chosen := func(*Conn) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 4 && isWord(args[2], "TYPE"):
		kind := strings.ToLower(string(args[3]))
		if !slices.Contains([]string{"normal", "master", "replica", "pubsub"}, kind) {
			c.Error(fmt.Sprintf("ERR Unknown client type '%s'", arg(args[3])))
			return
		}
		chosen = func(o *Conn) bool { return o.kind() == kind }
	case len(args) > 3 && isWord(args[2], "ID"):
		ids := make(map[uint64]bool)
		for _, a := range args[3:] {
			id, ok := codec.Number(a)
			if !ok || id <= 0 {
				c.Error("ERR Invalid client ID")
				return
			}
			ids[uint64(id)] = true
		}
		chosen = func(o *Conn) bool { return ids[o.id] }
	default:
		c.Error("ERR syntax error")
		return
	}
	all := slices.DeleteFunc(c.s.clients(), func(o *Conn) bool { return !chosen(o) })
	slices.SortFunc(all, func(a, b *Conn) int { return int(int64(a.id) - int64(b.id)) })
	var b strings.Builder
	for _, o := range all[:min(len(all), mostListed)] {
		b.WriteString(o.line() + "\n")
	}
	c.Verbatim(b.String())
}

func (c *Conn) kind() string {
	if f := c.getFacts(); f.channels+f.patterns+f.shards > 0 {
		return "pubsub"
	}
	return "normal"
}

// cmdClientKill disconnects clients: that of an address, or those that fit all filters.
func cmdClientKill(c *Conn, args [][]byte) {
	if len(args) == 3 {
		for _, o := range c.s.clients() {
			if o.nc.RemoteAddr().String() == string(args[2]) {
				c.killClient(o)
				c.OK()
				return
			}
		}
		c.Error("ERR No such client")
		return
	}
	var fits []func(*Conn) bool
	skipMe := true
	for i := 2; i < len(args); i += 2 {
		if i+1 == len(args) {
			c.Error("ERR syntax error")
			return
		}
		value := string(args[i+1])
		switch {
		case isWord(args[i], "ID"):
			id, ok := codec.Number(args[i+1])
			if !ok || id <= 0 {
				c.Error("ERR client-id should be greater than 0")
				return
			}
			fits = append(fits, func(o *Conn) bool { return o.id == uint64(id) })
		case isWord(args[i], "ADDR"):
			fits = append(fits, func(o *Conn) bool { return o.nc.RemoteAddr().String() == value })
		case isWord(args[i], "LADDR"):
			fits = append(fits, func(o *Conn) bool { return o.nc.LocalAddr().String() == value })
		case isWord(args[i], "USER"):
			fits = append(fits, func(o *Conn) bool { return o.getFacts().user == value })
		case isWord(args[i], "TYPE"):
			fits = append(fits, func(o *Conn) bool { return o.kind() == strings.ToLower(value) })
		case isWord(args[i], "SKIPME") && (isWord(args[i+1], "YES") || isWord(args[i+1], "NO")):
			skipMe = isWord(args[i+1], "YES")
		default:
			c.Error("ERR syntax error")
			return
		}
	}
	n := int64(0)
	for _, o := range c.s.clients() {
		if skipMe && o == c || slices.ContainsFunc(fits, func(f func(*Conn) bool) bool { return !f(o) }) {
			continue
		}
		c.killClient(o)
		n++
	}
	c.Int(n)
}

// killClient disconnects a client: itself once it has the reply.
func (c *Conn) killClient(o *Conn) {
	if o == c {
		c.leaving = true
	} else {
		o.kill()
	}
}
