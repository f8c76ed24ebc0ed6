// Package drivertest checks that a data.Driver keeps its contract.
package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/data"
)

// Run checks drivers that open opens. Each has no keys, and is closed by open's Cleanup.
func Run(t *testing.T, open func(t *testing.T) data.Driver) {
	for _, test := range []struct {
		name string
		run  func(s *suite)
	}{
		{"Commands", (*suite).commands}, {"Types", (*suite).types}, {"ErrorsOfCommands", (*suite).commandErrors}, {"Pipeline", (*suite).pipeline},
		{"Ends", (*suite).ends}, {"Scan", (*suite).scan}, {"ScanOfElements", (*suite).scanElements}, {"EndedContext", (*suite).endedContext}, {"BlockingCommandWakes", (*suite).blockingWakes},
		{"BlockingCommandEnds", (*suite).blockingEnds}, {"TxHappensWhole", (*suite).txWhole}, {"TxHappensNotAtAll", (*suite).txNotAtAll},
		{"TxSavepoints", (*suite).txSavepoints}, {"TxUndoLast", (*suite).txUndoLast}, {"TxAfterItsEnd", (*suite).txAfterEnd},
		{"TxIsSeenWhole", (*suite).txSeenWhole}, {"TxLosesNoUpdate", (*suite).txNoLostUpdate}, {"Watch", (*suite).watch},
		{"WatchReads", (*suite).watchReads}, {"Typed", (*suite).typed}, {"SecondLevel", (*suite).secondLevel},
	} {
		t.Run(test.name, func(t *testing.T) {
			driver := open(t)
			test.run(&suite{T: t, driver: driver, c: data.New(driver)})
		})
	}
}

// suite is one test. All its keys are in one slot of a cluster, for transactions.
type suite struct {
	*testing.T
	driver data.Driver
	c      *data.Client
}

const (
	a = "{test}a"
	b = "{test}b"
)

// do runs a command that must not fail.
func (s *suite) do(name string, args ...string) data.Reply {
	s.Helper()
	r, err := s.c.Do(s.Context(), name, args...)
	if err != nil {
		s.Fatalf("%s %q: %v", name, args, err)
	}
	return r
}

// is checks the string of a key; "" is none.
func (s *suite) is(key, want string) {
	s.Helper()
	got, err := s.c.Strings().Get(s.Context(), key)
	if err != nil && !errors.Is(err, data.ErrNil) || got != want {
		s.Errorf("%s is %q, %v, want %q", key, got, err, want)
	}
}

// flat writes a reply as Go's fmt does, without what drivers may choose: whether a string is a status.
func flat(r data.Reply) string {
	switch r.Kind {
	case data.ListReply, data.MapReply, data.SetReply:
		var parts []string
		for _, e := range r.List {
			parts = append(parts, flat(e))
		}
		return fmt.Sprint(parts)
	case data.NullReply, data.NullListReply:
		return "nil"
	}
	text, err := r.Text()
	if err != nil {
		return err.Error()
	}
	return text
}

// commands checks that some commands reply what those of Redis do.
func (s *suite) commands() {
	for _, step := range []struct{ cmd, want []string }{
		{[]string{"SET", a, "1"}, []string{"OK"}},
		{[]string{"get", a}, []string{"1"}},
		{[]string{"GET", b}, []string{"nil"}},
		{[]string{"MGET", a, b, a}, []string{"[1 nil 1]"}},
		{[]string{"EXISTS", a, b, a}, []string{"2"}},
		{[]string{"SET", a, "2", "NX"}, []string{"nil"}},
		{[]string{"SET", a, "\x00\xff\r\n", "GET"}, []string{"1"}},
		{[]string{"GETDEL", a}, []string{"\x00\xff\r\n"}},
		{[]string{"DEL", a, b}, []string{"0"}},
		{[]string{"SET", "", ""}, []string{"OK"}},
		{[]string{"GET", ""}, []string{""}},
		{[]string{"TYPE", ""}, []string{"string"}},
	} {
		if got := flat(s.do(step.cmd[0], step.cmd[1:]...)); got != step.want[0] {
			s.Errorf("%q: %q, want %q", step.cmd, got, step.want[0])
		}
	}
}

// types checks that there are all types.
func (s *suite) types() {
	for _, step := range []struct {
		cmd  []string
		want string
	}{
		{[]string{"RPUSH", a, "x", "y"}, "2"},
		{[]string{"LRANGE", a, "0", "-1"}, "[x y]"},
		{[]string{"DEL", a}, "1"},
		{[]string{"HSET", a, "f", "x"}, "1"},
		{[]string{"HGETALL", a}, "[f x]"},
		{[]string{"DEL", a}, "1"},
		{[]string{"SADD", a, "x"}, "1"},
		{[]string{"SMEMBERS", a}, "[x]"},
		{[]string{"DEL", a}, "1"},
		{[]string{"ZADD", a, "1.5", "x"}, "1"},
		{[]string{"ZSCORE", a, "x"}, "1.5"},
	} {
		if got := flat(s.do(step.cmd[0], step.cmd[1:]...)); got != step.want {
			s.Errorf("%q: %q, want %q", step.cmd, got, step.want)
		}
	}
}

// commandErrors checks that an error of a command is a reply, and which one.
func (s *suite) commandErrors() {
	s.do("RPUSH", a, "x")
	for want, cmd := range map[data.CommandError]data.Cmd{
		data.ErrWrongType: data.Command("GET", a),
		"ERR wrong number of arguments for 'get' command": data.Command("GET"),
		"ERR syntax error":                            data.Command("SET", b, "x", "y"),
		"ERR invalid expire time in 'set' command":    data.Command("SET", b, "x", "EX", "0"),
		"ERR no such key":                             data.Command("RENAME", b, "{test}c"),
		"ERR value is not an integer or out of range": data.Command("LRANGE", a, "x", "1"),
	} {
		replies, err := s.driver.Do(s.Context(), cmd)
		if err != nil || len(replies) != 1 || replies[0].Kind != data.ErrorReply || replies[0].Str != string(want) {
			s.Errorf("%v: %v, %v, want the error %q", cmd, replies, err, want)
		}
		if _, err := s.c.Do(s.Context(), cmd.Name, cmd.Args...); !errors.Is(err, want) {
			s.Errorf("%v: the client has %v, want %v", cmd, err, want)
		}
	}
	if _, err := s.c.Strings().Get(s.Context(), a); !errors.Is(err, data.ErrWrongType) {
		s.Errorf("GET of a list: %v", err)
	}
	if _, err := s.c.Do(s.Context(), "NOSUCHCOMMAND", a); err == nil || errors.Is(err, data.ErrWrongType) {
		s.Errorf("an unknown command: %v", err)
	}
}

// pipeline checks that many commands have as many replies, in their order, errors among them.
func (s *suite) pipeline() {
	if replies, err := s.driver.Do(s.Context()); len(replies) > 0 || err != nil {
		s.Errorf("nothing: %v, %v", replies, err)
	}
	var cmds []data.Cmd
	for i := range 100 {
		cmds = append(cmds, data.Command("APPEND", a, "x"), data.Command("SET", b, "1", "bad"), data.Command("GET", "{test}"+fmt.Sprint(i)))
	}
	replies, err := s.driver.Do(s.Context(), cmds...)
	if err != nil || len(replies) != len(cmds) {
		s.Fatalf("%d replies, %v", len(replies), err)
	}
	for i := range 100 {
		if r := replies[3*i : 3*i+3]; r[0].Int != int64(i+1) || r[1].Kind != data.ErrorReply || r[2].Kind != data.NullReply {
			s.Fatalf("%d: %v", i, r)
		}
	}
}

// ends checks that a key is gone at its end.
func (s *suite) ends() {
	keys := s.c.Keys()
	if err := s.c.Strings().SetEX(s.Context(), a, "x", time.Hour); err != nil {
		s.Fatal(err)
	}
	if ttl, err := keys.TTL(s.Context(), a); ttl > time.Hour || ttl < 59*time.Minute || err != nil {
		s.Errorf("TTL %v, %v", ttl, err)
	}
	if ok, err := keys.Persist(s.Context(), a); !ok || err != nil {
		s.Errorf("Persist: %v, %v", ok, err)
	}
	if ttl, err := keys.TTL(s.Context(), a); ttl != 0 || err != nil {
		s.Errorf("TTL %v, %v, want 0", ttl, err)
	}
	if _, err := keys.TTL(s.Context(), b); !errors.Is(err, data.ErrNil) {
		s.Errorf("TTL of nothing: %v", err)
	}
	if ok, err := keys.Expire(s.Context(), a, time.Millisecond); !ok || err != nil {
		s.Errorf("Expire: %v, %v", ok, err)
	}
	for at := time.Now(); time.Since(at) < 10*time.Millisecond; {
		_, _ = s.c.Strings().Get(s.Context(), a)
	}
	s.is(a, "")
	if n, err := keys.Exists(s.Context(), a); n != 0 || err != nil {
		s.Errorf("Exists: %d, %v", n, err)
	}
}

// scan checks that a scan finds all keys that a pattern fits.
func (s *suite) scan() {
	var want []string
	for i := range 500 {
		key := fmt.Sprint("key:", i)
		s.do("SET", key, "x")
		s.do("SET", fmt.Sprint("other:", i), "x")
		want = append(want, key)
	}
	var got []string
	for key, err := range s.c.Keys().Scan(s.Context(), data.ScanOptions{Match: "key:*", Count: 17}) {
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, key)
	}
	slices.Sort(got)
	slices.Sort(want)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		s.Errorf("it found %d keys, want %d", len(got), len(want))
	}
	if n, err := s.c.Keys().DBSize(s.Context()); n != 1000 || err != nil {
		s.Errorf("DBSize: %d, %v", n, err)
	}
	if err := s.c.Keys().FlushDB(s.Context()); err != nil {
		s.Error(err)
	}
	if n, err := s.c.Keys().DBSize(s.Context()); n != 0 || err != nil {
		s.Errorf("DBSize: %d, %v, want none", n, err)
	}
}

// scanElements checks that a scan of a hash, a set and a sorted set finds all elements, in many steps, between which there are writes.
func (s *suite) scanElements() {
	const n = 600
	for _, c := range []struct {
		scan string
		add  func(element string) data.Cmd
	}{
		{"HSCAN", func(element string) data.Cmd { return data.Command("HSET", a, element, "value") }},
		{"SSCAN", func(element string) data.Cmd { return data.Command("SADD", a, element) }},
		{"ZSCAN", func(element string) data.Cmd { return data.Command("ZADD", a, "1.5", element) }},
	} {
		s.do("DEL", a)
		cmds := make([]data.Cmd, n)
		for i := range cmds {
			cmds[i] = c.add(fmt.Sprint("element:", i))
		}
		if _, err := s.driver.Do(s.Context(), cmds...); err != nil {
			s.Fatal(err)
		}
		found := make(map[string]bool)
		for cursor, step := "0", 0; ; step++ {
			r := s.do(c.scan, a, cursor, "COUNT", "10")
			if len(r.List) != 2 {
				s.Fatalf("%s: %v", c.scan, r)
			}
			for _, e := range r.List[1].List {
				if strings.HasPrefix(e.Str, "element:") {
					found[e.Str] = true
				}
			}
			if cursor = r.List[0].Str; cursor == "0" {
				break
			}
			if step%7 == 0 {
				cmd := c.add(fmt.Sprint("other:", step))
				s.do(cmd.Name, cmd.Args...)
			}
		}
		if len(found) != n {
			s.Errorf("%s found %d elements, want %d", c.scan, len(found), n)
		}
	}
}

// endedContext checks that nothing happens any more.
func (s *suite) endedContext() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.driver.Do(ctx, data.Command("SET", a, "x")); !errors.Is(err, context.Canceled) {
		s.Errorf("Do: %v", err)
	}
	if err := s.driver.Tx(ctx, func(data.Transaction) error { s.Error("f was called"); return nil }); !errors.Is(err, context.Canceled) {
		s.Errorf("Tx: %v", err)
	}
	ctx, cancel = context.WithCancel(s.Context())
	err := s.driver.Tx(ctx, func(tx data.Transaction) error {
		_, err := tx.Do(data.Command("SET", a, "x"))
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("Tx: %v", err)
	}
	s.is(a, "")
}

// blockingWakes checks that commands that wait get what comes, without holding up others.
func (s *suite) blockingWakes() {
	var all sync.WaitGroup
	got := make(chan string, 3)
	for range 3 {
		all.Go(func() {
			_, element, err := s.c.Lists().BLPop(s.Context(), 0, a)
			if err != nil {
				s.Error(err)
			}
			got <- element
		})
	}
	for _, element := range []string{"x", "y", "z"} {
		s.do("RPUSH", a, element)
	}
	all.Wait()
	close(got)
	var elements []string
	for e := range got {
		elements = append(elements, e)
	}
	if slices.Sort(elements); !slices.Equal(elements, []string{"x", "y", "z"}) {
		s.Errorf("they got %q", elements)
	}
	if _, _, err := s.c.Lists().BLPop(s.Context(), 10*time.Millisecond, a, b); !errors.Is(err, data.ErrNil) {
		s.Errorf("after its time: %v, want ErrNil", err)
	}
}

// blockingEnds checks that a command that waits ends with its context, and takes nothing afterwards.
func (s *suite) blockingEnds() {
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := s.c.Lists().BLPop(ctx, 0, a); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("%v, want the end of the context", err)
	}
	for n, err := int64(0), error(nil); err == nil && n == 0; { // the server may not have noticed yet
		s.do("RPUSH", a, "x")
		n, err = s.c.Lists().LLen(s.Context(), a)
	}
}
