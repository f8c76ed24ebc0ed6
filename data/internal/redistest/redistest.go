// Package redistest runs commands in a redis-server and in an engine of this process, and compares the replies.
//
// Both start empty. Commands are not part of transactions, and nothing else uses either side meanwhile.
package redistest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache/resp/codec"
)

// Pair is a redis-server and an engine.
type Pair struct {
	t     testing.TB
	redis *server
	ours  *local
	sub   *subscriber // nil: events are not compared
	proto int
	last  []string // the last commands
}

// New starts a redis-server, which is stopped when the test ends, and makes an engine. It skips the test if there is no
// redis-server 7.0.
func New(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t: t, redis: start(t), ours: newLocal(t)}
	p.Reset(2)
	return p
}

// Compare runs each line on both sides, once with each version of RESP, and fails the test where replies differ. Lines are
// quoted as redis-cli has it: SET key "a b\x00". Replies whose order is open are sorted; of random ones the size is compared; a
// SCAN that begins at 0 goes on to its end.
func Compare(t testing.TB, lines ...string) {
	t.Helper()
	New(t).Compare(t, lines...)
}

// Compare is the function Compare, with servers that are there. t may be that of a subtest.
func (p *Pair) Compare(t testing.TB, lines ...string) {
	t.Helper()
	for _, proto := range []int{2, 3} {
		p.Reset(proto)
		for _, line := range lines {
			if diff := p.Do(Words(line)...); diff != "" {
				t.Errorf("RESP%d: %s", proto, diff)
			}
		}
		if diff := p.Keyspace(); diff != "" {
			t.Errorf("RESP%d, afterwards: %s", proto, diff)
		}
	}
}

// Reset empties both sides, and has them reply in that version of RESP.
func (p *Pair) Reset(proto int) {
	p.t.Helper()
	p.proto, p.ours.proto = proto, proto
	p.last = p.last[:0]
	p.redis.do("HELLO", fmt.Sprint(proto))
	p.redis.do("FLUSHALL")
	p.ours.reset()
	if p.sub != nil {
		p.eventsDiffer() // forget those of before
	}
}

// keptCommands is how many commands are shown where replies differ.
const keptCommands = 12

// Do runs a command on both sides and returns how the replies differ, or "".
func (p *Pair) Do(args ...string) (diff string) {
	p.t.Helper()
	if len(p.last) == keptCommands {
		p.last = append(p.last[:0], p.last[1:]...)
	}
	p.last = append(p.last, quote(args))
	want, got := p.redis.do(args...), p.ours.do(args...)
	if cursor := cursorOf(args); cursor > 0 && args[cursor] == "0" {
		want, got = scanned(p.redis.do, args, cursor, want), scanned(p.ours.do, args, cursor, got)
		args = []string{"scanned: " + quote(args)}
	}
	diff = differ(args, want, got)
	if p.sub != nil {
		if events := p.eventsDiffer(); diff == "" && events != "" {
			diff = quote(args) + ": " + events
		}
	}
	return diff
}

// Events has the events that keys have, as keyspace notifications tell of them, compared as well: what happened, to which keys, and in
// which order. Those of keys that expire or that are new are not.
func (p *Pair) Events() *Pair {
	p.sub = p.redis.subscribe()
	return p
}

// Used returns the memory that the engine counts.
func (p *Pair) Used() int64 { return p.ours.engine.Used() }

// Words splits a line into arguments.
func Words(line string) []string {
	r := codec.Requests{Limits: codec.Limits{Arguments: 1 << 20, Bulk: 1 << 20, Query: 1 << 20}}
	var args []string
	for text := line + "\n"; text != ""; {
		space, err := r.Space()
		if err != nil {
			panic("redistest: " + line + ": " + err.Error())
		}
		n := copy(space, text)
		r.Fed(n)
		text = text[n:]
	}
	words, err := r.Next()
	if err != nil {
		panic("redistest: " + line + ": " + err.Error())
	}
	for _, w := range words {
		args = append(args, string(w))
	}
	return args
}

// quote writes arguments as a line.
func quote(args []string) string {
	var b strings.Builder
	for i, arg := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if len(arg) > 200 {
			fmt.Fprintf(&b, "%q…(%d bytes)", arg[:200], len(arg))
		} else if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' }) {
			fmt.Fprintf(&b, "%q", arg)
		} else {
			b.WriteString(arg)
		}
	}
	return b.String()
}

// show writes a reply as it is compared.
func show(r codec.Reply) string {
	switch {
	case r.Null:
		return string(r.Kind) + "null"
	case r.Kind == ':' || r.Kind == '#':
		return fmt.Sprintf("%c%d", r.Kind, r.Int)
	case strings.IndexByte("*~>%|", r.Kind) >= 0:
		parts := make([]string, len(r.List))
		for i, part := range r.List {
			parts[i] = show(part)
		}
		return string(r.Kind) + "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprintf("%c%q", r.Kind, r.Text)
}
