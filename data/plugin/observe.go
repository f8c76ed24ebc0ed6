package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data"
)

// logPlugin logs events.
type logPlugin struct {
	log   *slog.Logger
	level slog.Level
}

func newLog() Plugin { return &logPlugin{} }

func (*logPlugin) Name() string { return "log" }

func (*logPlugin) Describe() string { return "Logs each event. Settings: level (info)." }

func (p *logPlugin) Init(h *Host) error {
	p.log = h.Log
	return p.level.UnmarshalText([]byte(h.Setting("level", "info")))
}

func (p *logPlugin) Handle(ctx context.Context, ev data.Event) error {
	p.log.Log(ctx, p.level, "data: event", "kind", ev.Kind.String(), "event", ev.Name, "key", ev.Key)
	return nil
}

// Metrics is the plugin metrics: it counts events by kind. It is an expvar.Var.
type Metrics struct{ written, expired, evicted, removed atomic.Int64 }

func newMetrics() Plugin { return &Metrics{} }

// Name implements Plugin.
func (*Metrics) Name() string { return "metrics" }

// Describe implements Plugin.
func (*Metrics) Describe() string {
	return "Counts events by their kind, for expvar.Publish and the like."
}

// Init implements Plugin.
func (*Metrics) Init(*Host) error { return nil }

// Handle implements Plugin.
func (m *Metrics) Handle(_ context.Context, ev data.Event) error {
	switch ev.Kind {
	case data.EventWritten:
		m.written.Add(1)
	case data.EventExpired:
		m.expired.Add(1)
	case data.EventEvicted:
		m.evicted.Add(1)
	case data.EventRemoved:
		m.removed.Add(1)
	}
	return nil
}

// Counts returns how many events there were, by the name of their kind.
func (m *Metrics) Counts() map[string]int64 {
	return map[string]int64{
		data.EventWritten.String(): m.written.Load(), data.EventExpired.String(): m.expired.Load(),
		data.EventEvicted.String(): m.evicted.Load(), data.EventRemoved.String(): m.removed.Load(),
	}
}

// String returns Counts in JSON.
func (m *Metrics) String() string {
	b, err := json.Marshal(m.Counts())
	if err != nil {
		return "{}"
	}
	return string(b)
}

// monitor logs slow commands.
type monitor struct{ dropped atomic.Int64 }

func newMonitor() Plugin { return &monitor{} }

func (*monitor) Name() string { return "monitor" }

func (*monitor) Describe() string {
	return "Logs commands that take long to run, with the beginning of their arguments. Settings: threshold (10ms)."
}

// slowBuffer is how many slow commands may wait to be logged.
const slowBuffer = 128

func (p *monitor) Init(h *Host) error {
	threshold, err := h.Duration("threshold", 10*time.Millisecond, time.Microsecond)
	if err != nil {
		return err
	}
	if h.checking {
		return nil
	}
	slow := make(chan data.SlowCommand, slowBuffer)
	h.OnClose(h.Memory.OnSlow(threshold, func(s data.SlowCommand) {
		select {
		case slow <- s:
		default:
			p.dropped.Add(1)
		}
	}))
	h.Go(func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case s := <-slow:
				h.Log.Warn("data: a slow command", "took", s.Took, "args", s.Args, "dropped", p.dropped.Load())
			}
		}
	})
	return nil
}

func (*monitor) Handle(context.Context, data.Event) error { return nil }
