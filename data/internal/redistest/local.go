package redistest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
	"github.com/peercache/peercache/resp/codec"
)

// local is an engine in this process.
type local struct {
	t      testing.TB
	engine *engine.Engine
	log    *enginetest.Records
	proto  int
	events []string // since they were compared
}

func newLocal(t testing.TB) *local {
	l := &local{t: t, proto: 2}
	l.reset()
	return l
}

// reset makes another engine, which is empty.
func (l *local) reset() {
	l.log = new(enginetest.Records)
	l.engine = l.another(l.log)
}

func (l *local) another(log engine.Log) *engine.Engine {
	e := enginetest.New(l.t, engine.Config{Log: log})
	e.OnEvent(^engine.Class(0), l.event)
	return e
}

// find returns a command, or the error for those that call it.
func (l *local) find(args []string) (*engine.Command, error) {
	cmd := l.engine.Commands().Find(args[0])
	switch {
	case cmd == nil:
		return nil, engine.Error("there is no command " + args[0])
	case !cmd.Fits(len(args)):
		return nil, engine.Error("ERR wrong number of arguments for '" + cmd.Name + "' command")
	}
	return cmd, nil
}

// longest is how long a command may wait.
const longest = 10 * time.Second

// do runs a command.
func (l *local) do(args ...string) codec.Reply {
	w := &writer{proto: l.proto}
	cmd, err := l.find(args)
	if err != nil {
		w.Error(err.Error())
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		if err := l.engine.Run(ctx, cmd, args, w); err != nil {
			l.t.Fatalf("%s: %v", quote(args), err)
		}
	}
	reply := l.read(w, args)
	if reply.Kind == '+' && cmd.Flags&engine.Status == 0 {
		l.t.Errorf("%s replies a status, and its flags do not say so", quote(args))
	}
	return reply
}

// read returns the reply that w has got, which has to be one.
func (l *local) read(w *writer, args []string) codec.Reply {
	r := codec.NewReplies(bytes.NewReader(w.b))
	reply, err := r.Read()
	if err != nil {
		l.t.Fatalf("%s: the reply %q: %v", quote(args), w.b, err)
	}
	if more, err := r.Read(); err == nil {
		l.t.Fatalf("%s: a second reply %s", quote(args), show(more))
	}
	return reply
}

// undone runs a command in a transaction that is rolled back.
func (l *local) undone(args ...string) {
	cmd, err := l.find(args)
	if err != nil {
		return
	}
	tx, err := l.engine.Begin(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	defer tx.Rollback()
	w := &writer{proto: l.proto}
	if err := tx.Run(cmd, args, w); err != nil {
		l.t.Fatalf("%s: %v", quote(args), err)
	}
	l.read(w, args)
}

// replayed returns an engine that the log was replayed in.
func (l *local) replayed() *engine.Engine {
	e := l.another(nil)
	e.Replaying(true)
	for _, record := range l.log.List {
		if err := e.Replay(record); err != nil {
			l.t.Fatal(err)
		}
	}
	e.Replaying(false)
	return e
}

// restored returns an engine that has loaded a snapshot.
func (l *local) restored() *engine.Engine {
	e := l.another(nil)
	e.Replaying(true)
	err := l.engine.Snapshot(context.Background(), func() error { return nil }, func(block []byte) error { return e.Load(block) })
	if err != nil {
		l.t.Fatal(err)
	}
	e.Replaying(false)
	return e
}

// writer writes replies as a server sends them.
type writer struct {
	b     []byte
	proto int
}

func (w *writer) Proto() int        { return w.proto }
func (w *writer) Simple(s string)   { w.b = codec.AppendSimple(w.b, s) }
func (w *writer) Error(text string) { w.b = codec.AppendError(w.b, text) }
func (w *writer) Int(n int64)       { w.b = codec.AppendInt(w.b, n) }
func (w *writer) Bulk(s string)     { w.b = codec.AppendBulk(w.b, s) }
func (w *writer) Bytes(b []byte)    { w.b = codec.AppendBulk(w.b, b) }
func (w *writer) Null()             { w.b = codec.AppendNull(w.b, w.proto) }
func (w *writer) NullArray()        { w.b = codec.AppendNullArray(w.b, w.proto) }
func (w *writer) Double(f float64)  { w.b = codec.AppendDouble(w.b, w.proto, f) }
func (w *writer) Array(n int)       { w.b = codec.AppendArray(w.b, n) }
func (w *writer) Map(n int)         { w.b = codec.AppendMap(w.b, w.proto, n) }
func (w *writer) Set(n int)         { w.b = codec.AppendSet(w.b, w.proto, n) }
