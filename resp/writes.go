package resp

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/resp/codec"
)

// expiry is what the options of SET say of the lifetime of a value.
type expiry struct {
	given bool
	n     int64
	unit  time.Duration
	at    bool // n is a time, not a duration
}

// ttl returns how long a value is valid; ok is false if that is no valid time. A value whose time is
// over has a ttl less than zero.
func (e *expiry) ttl() (ttl time.Duration, ok bool) {
	switch {
	case !e.given:
		return 0, true
	case e.n <= 0 || e.n > math.MaxInt64/int64(time.Second/time.Millisecond) && e.unit == time.Second:
		return 0, false
	}
	if e.at {
		at := time.UnixMilli(e.n * int64(e.unit/time.Millisecond))
		if ttl = time.Until(at); ttl <= 0 {
			return -1, true
		}
		return min(ttl, longestTTL), true
	}
	if e.n > int64(longestTTL/e.unit) {
		return longestTTL, true
	}
	return time.Duration(e.n) * e.unit, true
}

// longestTTL is what longer lifetimes are shortened to: durations end after 292 years.
const longestTTL = 100 * 365 * 24 * time.Hour

// cannot are the options of SET that need to look and to change in one step.
const cannot = "ERR SET with %s is not possible: a read-through group cannot look and change in one step; the origin can"

func cmdSet(c *Conn, args [][]byte) {
	var e expiry
	for i := 3; i < len(args); i++ {
		switch option := strings.ToUpper(string(args[i][:min(len(args[i]), longestName)])); option {
		case "NX", "XX", "GET", "KEEPTTL":
			if validOptions(args[3:]) {
				c.Error(fmt.Sprintf(cannot, option))
				return
			}
			c.Error("ERR syntax error")
			return
		case "EX", "PX", "EXAT", "PXAT":
			if e.given || i+1 == len(args) {
				c.Error("ERR syntax error")
				return
			}
			n, ok := codec.Number(args[i+1])
			if !ok {
				c.Error("ERR value is not an integer or out of range")
				return
			}
			e = expiry{given: true, n: n, unit: time.Second, at: strings.HasSuffix(option, "AT")}
			if option[0] == 'P' {
				e.unit = time.Millisecond
			}
			i++
		default:
			c.Error("ERR syntax error")
			return
		}
	}
	c.set(args[1], args[2], e, "set")
}

// validOptions reports whether Redis would take the options of a SET, but for their values.
func validOptions(args [][]byte) bool {
	var nx, xx, lifetime bool
	for i := 0; i < len(args); i++ {
		switch strings.ToUpper(string(args[i][:min(len(args[i]), longestName)])) {
		case "NX":
			nx = true
		case "XX":
			xx = true
		case "GET":
		case "KEEPTTL":
			if lifetime {
				return false
			}
			lifetime = true
		case "EX", "PX", "EXAT", "PXAT":
			if i++; lifetime || i == len(args) {
				return false
			}
			lifetime = true
		default:
			return false
		}
	}
	return !nx || !xx
}

// set gives a key a value.
func (c *Conn) set(full, value []byte, e expiry, command string) {
	ttl, ok := e.ttl()
	if !ok {
		c.Error(fmt.Sprintf("ERR invalid expire time in '%s' command", command))
		return
	}
	k := c.s.keys.key(full)
	if k.cache == nil {
		c.noGroup(full)
		return
	}
	err := c.changing([]string{k.full}, func() error {
		if ttl < 0 {
			return k.cache.Remove(c.ctx, k.name)
		}
		return k.cache.Set(c.ctx, k.name, peercache.Item{Value: value, TTL: ttl})
	})
	if err != nil {
		c.failure(err)
		return
	}
	c.OK()
}

func setWithTime(c *Conn, args [][]byte, unit time.Duration, command string) {
	n, ok := codec.Number(args[2])
	if !ok {
		c.Error("ERR value is not an integer or out of range")
		return
	}
	c.set(args[1], args[3], expiry{given: true, n: n, unit: unit}, command)
}

func cmdSetEx(c *Conn, args [][]byte)  { setWithTime(c, args, time.Second, "setex") }
func cmdPSetEx(c *Conn, args [][]byte) { setWithTime(c, args, time.Millisecond, "psetex") }

func cmdDel(c *Conn, args [][]byte) {
	keys, ok := c.keysOf(args[1:])
	if !ok {
		return
	}
	names, fulls, seen := make(map[*served][]string, 1), make([]string, 0, len(keys)), make(map[string]bool, len(keys))
	for _, k := range keys {
		if !seen[k.full] {
			seen[k.full] = true
			fulls = append(fulls, k.full)
			names[k.cache] = append(names[k.cache], k.name)
		}
	}
	for cache, of := range names {
		if err := c.changing(fulls, func() error { return cache.Remove(c.ctx, of...) }); err != nil {
			c.failure(err)
			return
		}
	}
	c.Int(int64(len(fulls)))
}

func cmdFlush(c *Conn, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !isWord(args[1], "SYNC") && !isWord(args[1], "ASYNC") {
		c.Error("ERR syntax error")
		return
	}
	for _, cache := range c.s.keys.caches {
		if err := cache.Clear(c.ctx); err != nil {
			c.failure(err)
			return
		}
	}
	if other := c.s.fallback.find(args[0]); other != nil {
		c.runCommand(other, args)
		return
	}
	c.OK()
}

// isWord reports whether an argument is that word, in capitals or not.
func isWord(b []byte, word string) bool {
	return len(b) == len(word) && strings.EqualFold(string(b), word)
}
