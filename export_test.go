package peercache

import (
	"context"
	"log/slog"
	"runtime"

	"github.com/peercache/peercache/internal/cluster"
)

// Forget drops what a process has of a key that it owns, as if it had been evicted.
func (g *Group) Forget(key string) { g.main.Remove(key) }

// Cached returns what the main cache has.
func (g *Group) Cached() map[string]string {
	all := make(map[string]string)
	g.main.Range(func(key string, e Entry) bool {
		all[key] = e.View.String()
		return true
	})
	return all
}

// Agree waits until the peers of a pool have its view.
func (p *HTTPPool) Agree(ctx context.Context) { p.cluster.Agree(ctx) }

// Epoch counts how often peers were heard to begin to have another view.
func (p *HTTPPool) Epoch() uint64 { return p.cluster.Agreement().Epoch }

// BytesOf returns the bytes of v where they are.
func BytesOf(v ByteView) []byte { return v.bytes() }

// OnForgotten has f called when nothing in memory holds a peer any more.
func OnForgotten(p Peer, f func()) {
	runtime.AddCleanup(p.(*cluster.Member), func(struct{}) { f() }, struct{}{})
}

// OrInsecure is WithInsecure without its warning, unless another option lets in peers alone. It
// comes last.
func OrInsecure(o *poolOptions) error {
	o.insecure = o.letsIn() == ""
	o.cluster.Log = slog.New(exceptOpen{o.cluster.Log.Handler()})
	return nil
}

// exceptOpen leaves out the warning of a WithInsecure.
type exceptOpen struct{ slog.Handler }

func (h exceptOpen) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == openWarning {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// Digest is what a peer that has a value sends when it renews its lease.
func Digest(v ByteView) string { return digest(v) }
