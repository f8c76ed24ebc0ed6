package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/data"
)

// Set is plugins that are bound to a Memory.
type Set struct {
	cancel context.CancelFunc
	bound  []*bound
	once   sync.Once
}

// Option changes what Start does.
type Option func(*options)

type options struct {
	makers []Maker
	log    *slog.Logger
}

// With adds plugins of one's own to those that are built in. One of the same name replaces that.
func With(makers ...Maker) Option { return func(o *options) { o.makers = append(o.makers, makers...) } }

// WithLogger has plugins, and what is said of them, log to l, and not to slog.Default().
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// bound is a plugin that is bound.
type bound struct {
	plugin  Plugin
	name    string // that of the plugin, and what it says of itself: asked for before Init
	about   string
	log     *slog.Logger
	events  *data.Subscription // nil: it is told of none
	closing []func()
	group   sync.WaitGroup

	handled, failed, panics atomic.Int64
}

// Builtin returns the plugins that are built in.
func Builtin() []Maker {
	return []Maker{newLog, newWebhook, newMetrics, newMonitor, newBackup}
}

// Start binds plugins to a Memory until the Set is closed, which has to be before the Memory is. It fails, and has bound none, if there is no such
// plugin, or one does not like its settings.
func Start(memory *data.Memory, configs []Config, opts ...Option) (*Set, error) {
	o := options{makers: Builtin(), log: slog.Default()}
	for _, opt := range opts {
		opt(&o)
	}
	makers := makersOf(o.makers)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Set{cancel: cancel}
	for i, config := range configs {
		if err := s.bind(ctx, memory, config, makers[config.Plugin], o.log); err != nil {
			s.Close()
			return nil, fmt.Errorf("data/plugin: configs[%d], %q: %w", i, config.Plugin, err)
		}
	}
	for _, b := range s.bound {
		b.listen(ctx)
	}
	return s, nil
}

func (s *Set) bind(ctx context.Context, memory *data.Memory, config Config, maker Maker, log *slog.Logger) error {
	if maker == nil {
		return errNoPlugin
	}
	filter, err := config.filter()
	if err != nil {
		return err
	}
	p := maker()
	b := &bound{plugin: p, name: p.Name(), about: p.Describe(), log: log.With("plugin", config.Plugin)}
	s.bound = append(s.bound, b)
	if err := b.init(&Host{Memory: memory, settings: config.Settings, ctx: ctx}); err != nil {
		return err
	}
	if filter.Kinds != 0 {
		b.events = memory.Subscribe(ctx, filter)
	}
	return nil
}

// init calls Init, and returns what is wrong with the settings.
func (b *bound) init(host *Host) (err error) {
	host.Log, host.used, host.bound = b.log, make(map[string]bool), b
	b.contain(func() error { err = b.plugin.Init(host); return nil })
	if b.panics.Load() > 0 {
		return errors.New("it panicked")
	}
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(host.settings)) {
		switch {
		case host.used[name]:
		case len(host.used) == 0:
			return fmt.Errorf("it has no setting %q, and no other ones", name)
		default:
			return fmt.Errorf("it has no setting %q: want some of %s", name, strings.Join(slices.Sorted(maps.Keys(host.used)), ", "))
		}
	}
	return nil
}

// Check returns what is wrong with the Config of a plugin that is built in. It starts nothing, and changes nothing.
func Check(config Config) error {
	maker := makersOf(Builtin())[config.Plugin]
	if maker == nil {
		return errNoPlugin
	}
	if _, err := config.filter(); err != nil {
		return err
	}
	b := &bound{plugin: maker(), log: slog.New(slog.DiscardHandler)}
	return b.init(&Host{settings: config.Settings, ctx: context.Background(), checking: true})
}

var errNoPlugin = errors.New("there is no such plugin")

func makersOf(list []Maker) map[string]Maker {
	makers := make(map[string]Maker)
	for _, m := range list {
		makers[m().Name()] = m
	}
	return makers
}

// listen has a plugin be told of events.
func (b *bound) listen(ctx context.Context) {
	if b.events == nil {
		return
	}
	b.group.Go(func() {
		for ev := range b.events.C() {
			if ctx.Err() != nil {
				return
			}
			b.contain(func() error { return b.plugin.Handle(ctx, ev) })
			b.handled.Add(1)
		}
	})
}

// contain runs f, and logs and counts how it fails.
func (b *bound) contain(f func() error) {
	defer func() {
		if r := recover(); r != nil {
			b.panics.Add(1)
			b.log.Error("data: a plugin panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	if err := f(); err != nil && !errors.Is(err, context.Canceled) {
		b.failed.Add(1)
		b.log.Warn("data: a plugin failed", "err", err)
	}
}

// Close ends all plugins, and returns when they have. Events that wait are not handled any more.
func (s *Set) Close() {
	s.once.Do(func() {
		s.cancel()
		for _, b := range s.bound {
			for _, f := range slices.Backward(b.closing) {
				f()
			}
			b.group.Wait()
		}
	})
}

// Stats are figures of a plugin.
type Stats struct {
	Plugin   string
	Handled  int64 // events that it was told of
	Dropped  int64 // events that had no room in its buffer
	Failed   int64 // errors
	Panics   int64
	Describe string
}

// Stats returns the figures of the plugins, in the order of their Configs.
func (s *Set) Stats() (list []Stats) {
	for _, b := range s.bound {
		st := Stats{Plugin: b.name, Describe: b.about, Handled: b.handled.Load(), Failed: b.failed.Load(), Panics: b.panics.Load()}
		if b.events != nil {
			st.Dropped = b.events.Dropped()
		}
		list = append(list, st)
	}
	return list
}

// Plugins returns the plugins, in the order of their Configs.
func (s *Set) Plugins() (list []Plugin) {
	for _, b := range s.bound {
		list = append(list, b.plugin)
	}
	return list
}
