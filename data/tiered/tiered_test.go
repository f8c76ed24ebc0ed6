package tiered

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// teller is a Memory that tells of invalidations: of those that a test sends, and of all when it begins. It may fail, and be slow.
type teller struct {
	*data.Memory
	changes chan []string // closed: it tells no more
	told    chan struct{} // after each
	down    atomic.Bool
	before  func() // if not nil, called after a command has run, before it has returned
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

func (l *teller) Do(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	if l.down.Load() {
		return nil, errDown
	}
	replies, err := l.Memory.Do(ctx, cmds...)
	if l.before != nil {
		l.before()
	}
	return replies, err
}

func (l *teller) GetString(ctx context.Context, key string) (string, bool, error) {
	if l.down.Load() {
		return "", false, errDown
	}
	return l.Memory.GetString(ctx, key)
}

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
	d := open(t, []data.Driver{front, last}, WithSoleWriter(), WithLargest(3))
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

// A copy that was read before a write, and comes after it, is not kept.
func TestOldCopyIsNotKept(t *testing.T) {
	for name, write := range map[string]func(d *Driver, last *teller){
		"own": func(d *Driver, last *teller) {
			_, _ = d.write(t.Context(), []data.Cmd{data.Command("SET", "a", "2")}, []plan{{keys: []string{"a"}}})
		},
		"others'": func(d *Driver, last *teller) { run(t, last.Memory, "SET", "a", "2"); last.tell("a") },
		"flushed": func(d *Driver, last *teller) { run(t, last.Memory, "SET", "a", "2"); last.tell() },
		"unheard": func(d *Driver, last *teller) {
			run(t, last.Memory, "SET", "a", "2")
			last.changes <- []string{"break"}
			last.tell()
		},
		"unwanted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			front, last := memory(t), newTeller(t)
			d := open(t, []data.Driver{front, last})
			last.tell()
			run(t, last.Memory, "SET", "a", "1")
			last.before = func() {
				last.before = nil
				if write != nil {
					write(d, last)
				}
			}
			want := data.ErrNil.Error()
			if write == nil {
				want = "1"
			}
			if got := run(t, d, "GET", "a"); got != "1" {
				t.Errorf("it reads %s", got)
			}
			if got := run(t, front, "GET", "a"); got != want {
				t.Errorf("the copy is %s, want %s", got, want)
			}
		})
	}
}

// copying is a level that calls a function after each transaction, which is how a key is read to be copied.
type copying struct {
	*teller
	after func()
}

func (l *copying) Tx(ctx context.Context, f func(tx data.Transaction) error) error {
	defer l.after()
	return l.Memory.Tx(ctx, f)
}

// Of two keys that are written together nobody finds one as it was before in a front, because it was copied then, and another one as it
// is after.
func TestD2CopiesOfOneMoment(t *testing.T) {
	last := &copying{teller: newTeller(t)}
	d := open(t, []data.Driver{memory(t), last}, WithSoleWriter())
	run(t, last.Memory, "MSET", "a", "1", "b", "1")
	written, goOn := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	last.after = func() { // a is read to be copied, b is not yet
		last.after = func() {}
		last.before = func() { last.before = nil; close(written); <-goOn }
		writer.Go(func() { run(t, d, "MSET", "a", "2", "b", "2") })
		<-written
	}
	run(t, d, "MGET", "a", "b")
	if got := run(t, d, "MGET", "a", "b"); got != "[2 2] <nil>" {
		t.Errorf("before the write has returned: %s", got)
	}
	close(goOn)
	writer.Wait()
	for range 2 {
		if got := run(t, d, "MGET", "a", "b"); got != "[2 2] <nil>" {
			t.Errorf("after it: %s", got)
		}
	}
	if got := run(t, d.fronts[0].driver, "MGET", "a", "b"); got != "[2 2] <nil>" {
		t.Errorf("the copies are %s", got)
	}
}

// What is read while it is written is not copied: it may be of before.
func TestNoCopyWhileWritten(t *testing.T) {
	front, last := memory(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, last, "SET", "a", "1")
	for _, cmds := range [][]data.Cmd{{data.Command("SET", "a", "2")}, {data.Command("FLUSHDB")}, {data.Command("SET", "b", "2"), data.Command("DEL", "a", "a"), data.Command("FLUSHDB")}} {
		var plans []plan
		for _, cmd := range cmds {
			plans = append(plans, planOf(cmd))
		}
		for range 2 {
			first, second := d.writing(t.Context(), plans), d.writing(t.Context(), plans)
			for i, w := range []*write{first, second} {
				if got := run(t, d, "GET", "a"); got != "1" {
					t.Errorf("%v: it reads %s", cmds, got)
				}
				if got := run(t, front, "GET", "a"); got != data.ErrNil.Error() {
					t.Errorf("%v: %d are over, and the copy is %s", cmds, i, got)
				}
				if err := w.over(t.Context()); err != nil {
					t.Error(err)
				}
			}
			run(t, d, "GET", "a")
			if got := run(t, front, "GET", "a"); got != "1" {
				t.Errorf("%v: the copy is %s after all", cmds, got)
			}
		}
	}
}

// A front that cannot be dropped is an error of the write, and is not read until it is clean; one that cannot be read is passed by.
func TestFrontThatFails(t *testing.T) {
	front, last := newTeller(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, d, "SET", "a", "1")
	run(t, d, "GET", "a")
	front.down.Store(true)
	replies, err := d.Do(t.Context(), data.Command("SET", "a", "2"))
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "level 0 may have old copies") || len(replies) != 1 || replies[0].Str != "OK" {
		t.Errorf("a write: %v, %v", replies, err)
	}
	front.down.Store(false)
	if got := run(t, front.Memory, "GET", "a"); got != "1" {
		t.Fatalf("the front has %s: want the old copy", got)
	}
	for range 3 {
		if got := run(t, d, "GET", "a"); got != "2" {
			t.Errorf("a read after it: %s", got)
		}
	}
	for start := time.Now(); run(t, front.Memory, "GET", "a") != "2"; {
		if run(t, d, "GET", "a") != "2" || time.Since(start) > 10*time.Second {
			t.Fatal("it is not read any more, or has the old copy")
		}
	}
	front.down.Store(true)
	if got := run(t, d, "GET", "a"); got != "2" {
		t.Errorf("a read while it is down: %s", got)
	}
}

// A last level that fails is an error of what needs it.
func TestLastThatFails(t *testing.T) {
	front, last := memory(t), newTeller(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, d, "SET", "a", "1")
	run(t, d, "GET", "a")
	last.down.Store(true)
	if got := run(t, d, "GET", "a"); got != "1" {
		t.Errorf("a copy: %s", got)
	}
	if got := run(t, d, "GET", "b"); got != errDown.Error() {
		t.Errorf("a miss: %s", got)
	}
	if got := run(t, d, "SET", "a", "2"); got != errDown.Error() {
		t.Errorf("a write: %s", got)
	}
	if got := run(t, d, "GET", "a"); got != errDown.Error() {
		t.Errorf("after a write of which nobody knows whether it has happened: %s", got)
	}
}

// A full front has no copies, and nobody minds.
func TestFullFront(t *testing.T) {
	front, last := memory(t, data.WithBytes(20_000)), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	for i := range 100 {
		key, value := fmt.Sprint(i), strings.Repeat("x", 1000)
		run(t, d, "RPUSH", key, value, value)
		if got := run(t, d, "LLEN", key); got != "2" {
			t.Errorf("%s: %s", key, got)
		}
		if got := run(t, front, "LLEN", key); got != "2" && got != "0" {
			t.Errorf("%s at the front: %s", key, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	m := memory(t)
	defer m.Close()
	for want, f := range map[string]func() (*Driver, error){
		"there are 1 levels": func() (*Driver, error) { return New([]data.Driver{m}, WithSoleWriter()) },
		"does not tell":      func() (*Driver, error) { return New([]data.Driver{m, m}) },
		"WithLargest(-1)":    func() (*Driver, error) { return New([]data.Driver{m, m}, WithLargest(-1)) },
	} {
		if _, err := f(); err == nil || !strings.HasPrefix(err.Error(), "tiered: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Many readers and writers of one Driver never see a value that is older than one that they have seen, or written.
func TestNoStepBack(t *testing.T) {
	d := open(t, []data.Driver{memory(t), memory(t)}, WithSoleWriter())
	c := data.New(d).Strings()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for last := 0; ctx.Err() == nil; {
				text, _ := c.Get(t.Context(), "n")
				n := 0
				_, _ = fmt.Sscan(text, &n)
				if n < last {
					t.Errorf("%d after %d", n, last)
					return
				}
				last = n
			}
		})
	}
	for i := range 5000 {
		if n, err := c.Incr(t.Context(), "n"); err != nil || n != int64(i+1) {
			t.Errorf("%d, %v", n, err)
		}
		if got, err := c.Get(t.Context(), "n"); got != fmt.Sprint(i+1) {
			t.Errorf("%s, %v, after %d was written", got, err, i+1)
		}
	}
	cancel()
	all.Wait()
}
