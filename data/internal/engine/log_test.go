package engine

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// memoryLog is a Log that keeps records, and fails if it is told to.
type memoryLog struct {
	mu      sync.Mutex
	records [][]byte
	fails   error
	broken  bool // Err says so, and not Append alone
}

func (l *memoryLog) Append(record []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != nil {
		return 0, l.fails
	}
	l.records = append(l.records, bytes.Clone(record))
	return uint64(len(l.records)), nil
}

func (l *memoryLog) Wait(ctx context.Context, position uint64) error { return nil }

func (l *memoryLog) Position() uint64 { return uint64(len(l.records)) }

func (l *memoryLog) Err() error {
	if l.broken {
		return l.fails
	}
	return nil
}

// replayed returns an engine that has replayed records.
func replayed(t *testing.T, now *clock, records [][]byte) *Engine {
	t.Helper()
	e := newTest(t, Config{Now: now.Load})
	e.Replaying(true)
	for _, r := range records {
		if err := e.Replay(string(r)); err != nil {
			t.Fatal(err)
		}
	}
	e.Replaying(false)
	return e
}

// TestD3ReplayIsWhatWas replays prefixes of the log of a history: each is the state after as many steps.
func TestD3ReplayIsWhatWas(t *testing.T) {
	for seed := range uint64(20) {
		var log memoryLog
		h := newHistory(t, seed, Config{Log: &log})
		h.keys = 1 + int(seed)*3
		type moment struct {
			records int
			now     int64
			want    map[string]string
		}
		var moments []moment
		for i := range 2000 {
			h.step()
			if i%100 == 0 {
				moments = append(moments, moment{len(log.records), h.now.Load(), h.m.contents(h.now.Load())})
			}
		}
		for _, m := range moments {
			var now clock
			now.Store(m.now)
			if got := contents(replayed(t, &now, log.records[:m.records])); !maps.Equal(got, m.want) {
				t.Fatalf("seed %d, %d records: replayed\n%v\nwant\n%v", seed, m.records, got, m.want)
			}
		}
	}
}

// TestD2OneRecord checks that what happens as one is one record.
func TestD2OneRecord(t *testing.T) {
	var log memoryLog
	e := newTest(t, Config{Log: &log})
	e.Exec(context.Background(), queued(e, "set a 1", "get a", "incr a"), nil, new(tokens))
	x, _ := e.Begin(context.Background())
	for _, q := range queued(e, "set b 1", "incr b", "incr b") {
		x.Run(q.Command, q.Args, new(tokens))
	}
	x.BackTo(2)
	if err := x.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	do(t, e, "compound c fail")
	do(t, e, "compound c good")
	do(t, e, "get a")
	if len(log.records) != 3 {
		t.Fatalf("there are %d records, want 3: %q", len(log.records), log.records)
	}
	for i, want := range []int{2, 2, 2} {
		n := 0
		if err := Commands(string(log.records[i]), func([]string) error { n++; return nil }); err != nil || n != want {
			t.Errorf("record %d has %d commands, %v, want %d", i, n, err, want)
		}
	}
}

// TestD2LogFails has the log fail: commands say so, and a Tx is undone.
func TestD2LogFails(t *testing.T) {
	boom := errors.New("boom")
	log := &memoryLog{}
	e := newTest(t, Config{Log: log})
	do(t, e, "set key before")
	log.fails = boom
	x, _ := e.Begin(context.Background())
	for _, q := range queued(e, "set key after", "push other item") {
		x.Run(q.Command, q.Args, new(tokens))
	}
	if err := x.Commit(context.Background()); !isLogError(err, boom) {
		t.Errorf("Commit returns %v, want %v", err, boom)
	}
	if got := do(t, e, "mget key other"); got != "*2 $before _" {
		t.Errorf("after the Tx failed there is %s", got)
	}
	if got, want := e.Used(), counted(e); got != want {
		t.Errorf("Used = %d, want %d", got, want)
	}
	if err := e.Run(context.Background(), e.Commands().Find("incr"), []string{"incr", "n"}, new(tokens)); !isLogError(err, boom) {
		t.Errorf("Run returns %v, want %v", err, boom)
	}
	if err := e.Exec(context.Background(), queued(e, "incr n"), nil, new(tokens)); !isLogError(err, boom) {
		t.Errorf("Exec returns %v, want %v", err, boom)
	}
	log.broken = true
	const refused = "-MISCONF nothing can be written, because the log failed: boom"
	if got := do(t, e, "set key after"); got != refused {
		t.Errorf("set replies %s", got)
	}
	x, _ = e.Begin(context.Background())
	defer x.Rollback()
	w := new(tokens)
	q := queued(e, "set key after")[0]
	if x.Run(q.Command, q.Args, w); w.String() != refused {
		t.Errorf("in a Tx, set replies %s", w)
	}
}

// isLogError reports whether err says that the log has failed, and why.
func isLogError(err, cause error) bool {
	failed, ok := err.(*LogError)
	return ok && failed.Cause == cause
}

// FuzzReplay replays garbage, which must be an error, or what could have been logged.
func FuzzReplay(f *testing.F) {
	f.Add(string(appendCommand(appendCommand(nil, []string{"set", "a", "b"}), []string{"DEL", "a"})))
	f.Add(string(appendCommand(nil, []string{"bpop", "a", "0"})))
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, record string) {
		e := newTest(t, Config{})
		e.Replaying(true)
		err := e.Replay(record)
		e.Replaying(false)
		if got, want := e.Used(), counted(e); got != want {
			t.Errorf("Used = %d after Replay: %v, want %d", got, err, want)
		}
	})
}

// heldLog is a Log for which one waits until free is closed, or the context ends.
type heldLog struct {
	memoryLog
	free chan struct{}
}

func (l *heldLog) Wait(ctx context.Context, _ uint64) error {
	select {
	case <-l.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestD1EndOfTheContextLosesNothing has the context end while the log is waited for: what takes an element, and a transaction, have
// happened, and say so when the log has them. Of a command that only writes nobody knows.
func TestD1EndOfTheContextLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		waits bool // for an element, that comes before the context ends
		run   func(ctx context.Context, e *Engine, w Writer) error
		reply string
		err   error
	}{
		"blocking, and there is one": {false, runs("bpop key 0"), "$a", nil},
		"blocking, and one comes":    {true, runs("bpop key 0"), "$a", nil},
		"Exec": {false, func(ctx context.Context, e *Engine, w Writer) error {
			return e.Exec(ctx, queued(e, "pop key", "get other"), nil, w)
		}, "*2 $a _", nil},
		"Tx": {false, func(ctx context.Context, e *Engine, w Writer) error {
			x, err := e.Begin(ctx)
			if err != nil {
				return err
			}
			q := queued(e, "pop key")[0]
			if err := x.Run(q.Command, q.Args, w); err != nil {
				return err
			}
			return x.Commit(ctx)
		}, "$a", nil},
		"a command that writes": {false, runs("pop key"), "$a", context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &heldLog{free: make(chan struct{})}
				close(log.free)
				e := newTest(t, Config{Log: log})
				if !c.waits {
					do(t, e, "push key a")
				}
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				var w tokens
				done := make(chan error, 1)
				log.free = make(chan struct{})
				go func() { done <- c.run(ctx, e, &w) }()
				synctest.Wait()
				if c.waits {
					go e.Run(background, e.Commands().Find("push"), []string{"push", "key", "a"}, new(tokens))
					synctest.Wait()
				}
				cancel()
				synctest.Wait()
				if n := len(done); n > 0 != (c.err != nil) {
					t.Errorf("%d have returned before the log had it", n)
				}
				close(log.free)
				if err := <-done; err != c.err || w.String() != c.reply {
					t.Errorf("it replies %s, %v, want %s, %v", &w, err, c.reply, c.err)
				}
			})
		})
	}
}

// runs returns what runs a command.
func runs(command string) func(ctx context.Context, e *Engine, w Writer) error {
	return func(ctx context.Context, e *Engine, w Writer) error {
		args := strings.Fields(command)
		return e.Run(ctx, e.Commands().Find(args[0]), args, w)
	}
}
