package resp

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/resp/codec"
)

// runKeys is how many keys are asked for together: of GETs in a pipeline, or of an MGET. It bounds
// what values a client may have that wait for one that is slow.
const runKeys = 256

// found is what a group has for a key.
type found struct {
	view peercache.ByteView
	ttl  time.Duration // only if it was asked for; see Group.GetWithTTL
	err  error
}

func (f *found) missing() bool { return errors.Is(f.err, peercache.ErrNotFound) }

// get gets a key, with its TTL if that is asked for.
func (c *Conn) get(k key, withTTL bool) found {
	following := c.follow(k)
	var f found
	switch {
	case c.session.memo != nil:
		f = c.session.memo.get(c, k)
	case withTTL || following:
		f = c.fetch(k)
	default:
		f.view, f.err = k.cache.Get(c.ctx, k.name)
	}
	if following {
		c.followed(k, f)
	}
	return f
}

// fetch gets a key with its TTL. It may be called by several goroutines of the client.
func (c *Conn) fetch(k key) (f found) {
	f.view, f.ttl, f.err = k.cache.GetWithTTL(c.ctx, k.name)
	return f
}

// fetchers is how many keys are got at the same time for one client, where GetMulti is of no use:
// it returns no TTLs.
const fetchers = 16

// fetchAll gets several keys with their TTLs.
func (c *Conn) fetchAll(keys []key) []found {
	all := make([]found, len(keys))
	following := make([]bool, len(keys))
	for i, k := range keys {
		following[i] = c.follow(k)
	}
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(keys)); i = next.Add(1) - 1 {
			all[i] = c.fetch(keys[i])
		}
	}
	var getting sync.WaitGroup
	for range min(fetchers, len(keys)) - 1 {
		getting.Go(work)
	}
	work()
	getting.Wait()
	for i, k := range keys {
		if following[i] {
			c.followed(k, all[i])
		}
	}
	return all
}

// getOne gets the key of a command that has one, or replies that it belongs to no group, or why it
// could not be got. Then ok is false. A key that the origin does not have is no failure.
func (c *Conn) getOne(full []byte, withTTL bool) (f found, ok bool) {
	k := c.s.keys.key(full)
	if k.cache == nil {
		c.noGroup(full)
		return f, false
	}
	if f = c.get(k, withTTL); f.err != nil && !f.missing() {
		c.failure(f.err)
		return f, false
	}
	return f, true
}

// failure replies an error of a group: its kind, and for a change the peers that have not heard of it.
// What the origin said is logged.
func (c *Conn) failure(err error) {
	kind := door.FailureOf(err)
	text := kind.String()
	switch {
	case kind == door.Incomplete:
		text = err.Error()
	case kind == door.Origin && c.s.opts.errorText != nil:
		text = c.s.opts.errorText(err)
	}
	if kind != door.KeySize && c.ctx.Err() == nil {
		c.s.audits.Record(audit.Failed, slog.LevelWarn, text, "a command failed", slog.Any("err", err))
	}
	c.Error("ERR " + text)
}

// value replies what GET replies.
func (c *Conn) value(f found) {
	switch {
	case f.err == nil:
		c.Bulk(f.view.String())
	case f.missing():
		c.Null()
	default:
		c.failure(f.err)
	}
}

func cmdGet(c *Conn, args [][]byte) {
	if f, ok := c.getOne(args[1], false); ok {
		c.value(f)
	}
}

func cmdMGet(c *Conn, args [][]byte) {
	keys, ok := c.keysOf(args[1:])
	if !ok {
		return
	}
	c.Begin()
	defer c.End()
	c.Array(len(keys))
	for from := 0; from < len(keys) && !c.failed; from += runKeys {
		for _, f := range c.getAll(keys[from:min(from+runKeys, len(keys))]) {
			c.value(f)
		}
	}
}

// getAll gets several keys together.
func (c *Conn) getAll(keys []key) []found {
	all := make([]found, len(keys))
	switch {
	case len(keys) == 1 || c.session.memo != nil:
		for i, k := range keys {
			all[i] = c.get(k, false)
		}
		return all
	case c.track.Load() != nil:
		return c.fetchAll(keys)
	}
	places := make(map[*served][]int, 1)
	for i, k := range keys {
		places[k.cache] = append(places[k.cache], i)
	}
	var getting sync.WaitGroup
	for cache, at := range places {
		get := func() {
			names := make([]string, len(at))
			for n, i := range at {
				names[n] = keys[i].name
			}
			for n, r := range cache.GetMulti(c.ctx, names) {
				all[at[n]] = found{view: r.View, err: r.Err}
			}
		}
		if len(places) == 1 {
			get()
		} else {
			getting.Go(get)
		}
	}
	getting.Wait()
	return all
}

// joinRun takes a GET into the run of those that are answered together, and reports whether it did.
// One that needs anything else than its key is not taken.
func (c *Conn) joinRun(args [][]byte) bool {
	s := &c.session
	if len(args) != 2 || len(args[0]) != 3 || !c.s.plainGet || args[0][0]|0x20 != 'g' || args[0][1]|0x20 != 'e' || args[0][2]|0x20 != 't' {
		return false
	}
	if s.user == nil || s.multi || s.muted || s.skip || s.caching != 0 || s.subscribed() || c.leaving || c.failed {
		return false
	}
	k := c.s.keys.key(args[1])
	if k.cache == nil {
		return false
	}
	if len(c.run) == runKeys {
		c.endRun()
	}
	c.run = append(c.run, k)
	return true
}

// endRun answers the GETs of the run.
func (c *Conn) endRun() {
	if len(c.run) == 0 {
		return
	}
	c.note(c.s.table["get"])
	if len(c.run) == 1 {
		c.value(c.get(c.run[0], false))
	} else {
		for _, f := range c.getAll(c.run) {
			c.value(f)
			if len(c.out) > sendBytes {
				c.Flush()
			}
		}
	}
	clear(c.run)
	c.run = c.run[:0]
}

func cmdExists(c *Conn, args [][]byte) {
	keys, ok := c.keysOf(args[1:])
	if !ok {
		return
	}
	n := int64(0)
	for from := 0; from < len(keys); from += runKeys {
		for _, f := range c.getAll(keys[from:min(from+runKeys, len(keys))]) {
			switch {
			case f.err == nil:
				n++
			case !f.missing():
				c.failure(f.err)
				return
			}
		}
	}
	c.Int(n)
}

// ttl replies how long a value is valid, in units.
func (c *Conn) ttl(full []byte, unit time.Duration, rounded time.Duration) {
	f, ok := c.getOne(full, true)
	switch {
	case !ok:
	case f.missing():
		c.Int(-2)
	case f.ttl == 0:
		c.Int(-1)
	default:
		c.Int(int64((max(f.ttl, 0) + rounded) / unit))
	}
}

func cmdTTL(c *Conn, args [][]byte)  { c.ttl(args[1], time.Second, time.Second/2) }
func cmdPTTL(c *Conn, args [][]byte) { c.ttl(args[1], time.Millisecond, 0) }

func cmdStrlen(c *Conn, args [][]byte) {
	if f, ok := c.getOne(args[1], false); ok {
		c.Int(int64(f.view.Len()))
	}
}

func cmdType(c *Conn, args [][]byte) {
	f, ok := c.getOne(args[1], false)
	switch {
	case !ok:
	case f.missing():
		c.Simple("none")
	default:
		c.Simple("string")
	}
}

func cmdGetRange(c *Conn, args [][]byte) {
	from, ok1 := codec.Number(args[2])
	to, ok2 := codec.Number(args[3])
	if !ok1 || !ok2 {
		c.Error("ERR value is not an integer or out of range")
		return
	}
	f, ok := c.getOne(args[1], false)
	if !ok {
		return
	}
	n := int64(f.view.Len())
	if from < 0 && to < 0 && from > to {
		c.Bulk("")
		return
	}
	if from < 0 {
		from = max(from+n, 0)
	}
	if to < 0 {
		to = max(to+n, 0)
	}
	to = min(to, n-1)
	if from > to || n == 0 {
		c.Bulk("")
		return
	}
	c.Bulk(f.view.Slice(int(from), int(to)+1).String())
}
