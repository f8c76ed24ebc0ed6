// Package enginetest has what tests of commands need: an engine with all commands, Writers and a Log that keep what they get,
// and checks and a benchmark that commands of several types share.
package enginetest

import (
	"context"
	"strconv"
	"testing"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// New makes an engine of cfg, with all commands.
func New(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	var err error
	if cfg.Commands, err = engine.NewTable(builtin.Commands()...); err != nil {
		t.Fatal(err)
	}
	cfg.Kinds = builtin.Kinds()
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Run runs a command, and returns the words of its reply.
func Run(t testing.TB, e *engine.Engine, args ...string) []string {
	t.Helper()
	var w Words
	if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, &w); err != nil {
		t.Fatal(err)
	}
	return w.List
}

// Nowhere is a Writer that keeps nothing.
type Nowhere struct{}

func (Nowhere) Proto() int     { return 3 }
func (Nowhere) Simple(string)  {}
func (Nowhere) Error(string)   {}
func (Nowhere) Int(int64)      {}
func (Nowhere) Bulk(string)    {}
func (Nowhere) Bytes([]byte)   {}
func (Nowhere) Null()          {}
func (Nowhere) NullArray()     {}
func (Nowhere) Double(float64) {}
func (Nowhere) Array(int)      {}
func (Nowhere) Map(int)        {}
func (Nowhere) Set(int)        {}

// Words is a Writer that keeps the strings, integers and errors of replies.
type Words struct {
	Nowhere
	List []string
}

func (w *Words) Bulk(s string)     { w.List = append(w.List, s) }
func (w *Words) Bytes(b []byte)    { w.List = append(w.List, string(b)) }
func (w *Words) Int(n int64)       { w.List = append(w.List, strconv.FormatInt(n, 10)) }
func (w *Words) Error(text string) { w.List = append(w.List, text) }

// Failed is a Writer that keeps the last error.
type Failed struct {
	Nowhere
	Text string
}

func (f *Failed) Error(text string) { f.Text = text }

// Records is a Log that keeps records.
type Records struct{ List []string }

// Append implements engine.Log.
func (r *Records) Append(record []byte) (uint64, error) {
	r.List = append(r.List, string(record))
	return uint64(len(r.List)), nil
}

// Wait implements engine.Log.
func (r *Records) Wait(context.Context, uint64) error { return nil }

// Position implements engine.Log.
func (r *Records) Position() uint64 { return uint64(len(r.List)) }

// Err implements engine.Log.
func (r *Records) Err() error { return nil }
