package tiered

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func memory(t *testing.T, opts ...data.MemoryOption) *data.Memory {
	t.Helper()
	m, err := data.NewMemory(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open makes a driver of levels.
func open(t *testing.T, levels []data.Driver, opts ...Option) *Driver {
	t.Helper()
	d, err := New(levels, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestContract(t *testing.T) {
	for name, opts := range map[string][]Option{"drops": {WithSoleWriter()}, "updates": {WithSoleWriter(), WithUpdates()}} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) data.Driver {
				return open(t, []data.Driver{memory(t), memory(t), memory(t)}, opts...)
			})
		})
	}
}

// teller is a Memory that tells of invalidations: of those that a test sends, and of all when it begins. It may fail, hang, and be slow.
type teller struct {
	*data.Memory
	changes  chan []string // closed: it tells no more
	told     chan struct{} // after each
	down     atomic.Bool
	hung     atomic.Bool
	ahead    func() // if not nil, called before a command runs
	before   func() // if not nil, called after a command has run, before it has returned
	dos, txs atomic.Int64
}

var errDown = errors.New("it is down")

func newTeller(t *testing.T) *teller {
	return &teller{Memory: memory(t), changes: make(chan []string), told: make(chan struct{})}
}

func (l *teller) Invalidations(ctx context.Context, changed func(keys []string)) error {
	for {
		select {
		case keys, ok := <-l.changes:
			if !ok {
				<-ctx.Done()
				return ctx.Err()
			}
			if keys != nil && keys[0] == "break" {
				return errDown
			}
			changed(keys)
			l.told <- struct{}{}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *teller) tell(keys ...string) {
	l.changes <- keys
	<-l.told
}

// fails returns what is wrong with the level.
func (l *teller) fails(ctx context.Context) error {
	if l.hung.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if l.down.Load() {
		return errDown
	}
	return nil
}

func (l *teller) Do(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	l.dos.Add(1)
	if err := l.fails(ctx); err != nil {
		return nil, err
	}
	if l.ahead != nil {
		l.ahead()
	}
	replies, err := l.Memory.Do(ctx, cmds...)
	if l.before != nil {
		l.before()
	}
	return replies, err
}

func (l *teller) GetString(ctx context.Context, key string) (string, bool, error) {
	if err := l.fails(ctx); err != nil {
		return "", false, err
	}
	return l.Memory.GetString(ctx, key)
}

func (l *teller) Exec(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	if err := l.fails(ctx); err != nil {
		return nil, err
	}
	return l.Memory.Exec(ctx, cmds...)
}

func (l *teller) Tx(ctx context.Context, f func(tx data.Transaction) error) error {
	l.txs.Add(1)
	if err := l.fails(ctx); err != nil {
		return err
	}
	return l.Memory.Tx(ctx, f)
}

// nothing is what run returns where there is nothing.
var nothing = data.ErrNil.Error()

func run(t *testing.T, d data.Driver, name string, args ...string) string {
	t.Helper()
	r, err := data.New(d).Do(t.Context(), name, args...)
	if err != nil {
		return err.Error()
	}
	if list, err := r.Elements(); err == nil && r.Kind != data.NullReply {
		text, err := texts(nil, data.Reply{List: list})
		return fmt.Sprint(text, err)
	}
	text, err := r.Text()
	if err != nil {
		return err.Error()
	}
	return text
}

// Keys of all types are copied when they are read, with what is left of their time, and dropped when they are written.
func TestCopies(t *testing.T) {
	front, last := memory(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter(), WithMaxElements(3))
	for _, cmd := range []string{"SET s 1 PX 100000", "RPUSH l a b c", "HSET h f 1 g 2", "SADD t a b", "ZADD z 1.5 a inf b", "RPUSH large 1 2 3 4", "CMAKE c 3"} {
		args := strings.Fields(cmd)
		run(t, last, args[0], args[1:]...)
	}
	run(t, last, "PEXPIRE", "h", "200000")
	for cmd, of := range map[string]string{"GET s": "s", "LINDEX l 1": "l", "HGET h f": "h", "SCARD t": "t", "ZSCORE z a": "z", "LLEN large": "", "CLEN c": "", "GET none": ""} {
		args := strings.Fields(cmd)
		want := run(t, last, args[0], args[1:]...)
		for range 2 {
			if got := run(t, d, args[0], args[1:]...); got != want {
				t.Errorf("%s: %q, want %q", cmd, got, want)
			}
		}
		if got := run(t, front, "EXISTS", args[1]); got != map[bool]string{true: "1", false: "0"}[of != ""] {
			t.Errorf("%s: EXISTS at the front is %s", cmd, got)
		}
	}
	for _, cmd := range []string{"LRANGE l 0 -1", "ZRANGE z 0 -1 WITHSCORES", "GET s", "TYPE t"} {
		args := strings.Fields(cmd)
		if got, want := run(t, front, args[0], args[1:]...), run(t, last, args[0], args[1:]...); got != want {
			t.Errorf("%s: %q at the front, want %q", cmd, got, want)
		}
	}
	for key, most := range map[string]time.Duration{"s": 100 * time.Second, "h": 200 * time.Second, "l": 0} {
		ttl, err := data.New(front).Keys().TTL(t.Context(), key)
		if err != nil || ttl > most || most > 0 && ttl < most-10*time.Second {
			t.Errorf("%s has %v left, %v, want %v", key, ttl, err, most)
		}
	}
	run(t, d, "RPUSH", "l", "d")
	if got := run(t, d, "LRANGE", "l", "-2", "-1"); got != "[c d] <nil>" {
		t.Errorf("after a write: %s", got)
	}
	run(t, d, "GET", "s")
	if err := data.New(d).Tx(t.Context(), func(tx *data.Tx) error { return tx.Strings().Set(t.Context(), "s", "2") }); err != nil {
		t.Error(err)
	}
	if got := run(t, d, "GET", "s"); got != "2" {
		t.Errorf("after a transaction: %s", got)
	}
	if replies, err := d.Exec(t.Context(), data.Command("INCR", "s"), data.Command("GET", "l"), data.Command("LPOP", "l")); err != nil || len(replies) != 3 || replies[0].Int != 3 {
		t.Errorf("Exec: %v, %v", replies, err)
	}
	if s, l := run(t, d, "GET", "s"), run(t, d, "LLEN", "l"); s != "3" || l != "3" {
		t.Errorf("after a list of commands: %s, %s", s, l)
	}
}

// Nothing is read from a front before the last level tells of changes, nor when it does not any more.
func TestInvalidations(t *testing.T) {
	front, last := memory(t), newTeller(t)
	d := open(t, []data.Driver{front, last})
	run(t, front, "SET", "a", "of before")
	run(t, last.Memory, "SET", "a", "1")
	if got := run(t, d, "GET", "a"); got != "1" || d.Err() == nil {
		t.Errorf("before it tells: %s, %v", got, d.Err())
	}
	last.tell()
	for range 2 {
		if got := run(t, d, "GET", "a"); got != "1" || d.Err() != nil {
			t.Errorf("%s, %v", got, d.Err())
		}
	}
	run(t, last.Memory, "SET", "a", "2") // by somebody else
	if got := run(t, d, "GET", "a"); got != "1" {
		t.Errorf("before it was told: %s, want the copy", got)
	}
	last.tell("b", "a")
	if got := run(t, d, "GET", "a"); got != "2" {
		t.Errorf("after it was told: %s", got)
	}
	run(t, d, "GET", "a")
	last.changes <- []string{"break"}
	for d.Err() == nil {
	}
	run(t, last.Memory, "SET", "a", "3")
	if got := run(t, d, "GET", "a"); got != "3" || !errors.Is(d.Err(), errDown) {
		t.Errorf("while it does not tell: %s, %v", got, d.Err())
	}
	if got := run(t, front, "GET", "a"); got != "2" {
		t.Errorf("at the front is %s: nothing may be copied", got)
	}
	last.tell()
	if got := run(t, front, "DBSIZE"); got != "0" {
		t.Errorf("there are %s copies of before", got)
	}
}

func TestNewRefuses(t *testing.T) {
	m, used := memory(t), memory(t)
	defer m.Close()
	defer used.Close()
	run(t, used, "SET", "a", "1")
	for want, f := range map[string]func() (*Driver, error){
		"there are 1 levels":  func() (*Driver, error) { return New([]data.Driver{m}, WithSoleWriter()) },
		"does not tell":       func() (*Driver, error) { return New([]data.Driver{m, m}) },
		"level 1 is a Memory": func() (*Driver, error) { return New([]data.Driver{m, used, m}, WithSoleWriter()) },
		"WithMaxElements(-1)": func() (*Driver, error) { return New([]data.Driver{m, m}, WithMaxElements(-1)) },
	} {
		if _, err := f(); err == nil || !strings.HasPrefix(err.Error(), "tiered: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
