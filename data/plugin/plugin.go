// Package plugin binds pieces of code to the events of a data.Memory by configuration:
//
//	set, err := plugin.Start(memory, []plugin.Config{
//		{Plugin: "log", Events: []string{"removed", "evicted"}},
//		{Plugin: "webhook", Keys: "order:*", Events: []string{"written"}, Settings: map[string]string{"url": "https://example.com/hook"}},
//		{Plugin: "backup", Settings: map[string]string{"dir": "/var/backups", "every": "1h"}},
//	})
//	defer set.Close()
//
// Built in are log, webhook, metrics, monitor and backup; With adds one's own. No command ever waits for a plugin: each has a buffer of
// events, and what does not fit is dropped and counted. A plugin that panics is told of the next event as if nothing had happened; panics
// are counted as well.
package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/peercache/peercache/data"
)

// Plugin is code that handles events. Name and Describe are called before Init. Handle is called by one goroutine at a time; what Host.Go
// runs is concurrent with it.
type Plugin interface {
	// Name is what Config.Plugin says.
	Name() string
	// Describe says in a sentence what it does, and which settings it has.
	Describe() string
	// Init is called once, before Handle. An error has Start fail.
	Init(host *Host) error
	// Handle is told of an event that its Config asks for. An error is logged and counted. ctx ends when the Set is closed.
	Handle(ctx context.Context, ev data.Event) error
}

// Maker makes a Plugin, for each Config that names it.
type Maker func() Plugin

// Config binds a plugin to events.
type Config struct {
	// Plugin is its name.
	Plugin string
	// Keys is a pattern of keys, as KEYS has it; "" is all keys.
	Keys string
	// Events are the kinds of events: written, expired, evicted, removed; or all. None is no events, as it is right for plugins that
	// are about something else, such as monitor and backup.
	Events []string
	// Buffer is how many events may wait, 1024 if it is 0.
	Buffer int
	// Settings are those of the plugin. One that it does not know has Start fail.
	Settings map[string]string
}

// filter returns which events the plugin is told of.
func (c *Config) filter() (data.EventFilter, error) {
	f := data.EventFilter{Keys: c.Keys, Buffer: c.Buffer}
	for _, name := range c.Events {
		if name == "all" {
			f.Kinds |= data.EventWritten | data.EventExpired | data.EventEvicted | data.EventRemoved
			continue
		}
		kind, err := data.ParseEventKind(name)
		if err != nil {
			return f, err
		}
		f.Kinds |= kind
	}
	return f, nil
}

// Host is what a plugin may use.
type Host struct {
	// Memory is whose events the plugin is told of. Handle may use it; what it changes is an event as well.
	Memory *data.Memory
	Log    *slog.Logger

	settings map[string]string
	used     map[string]bool
	checking bool // Init is to return when it has looked at the settings
	bound    *bound
	ctx      context.Context
}

// Setting returns a setting, or what it is if there is none.
func (h *Host) Setting(name, otherwise string) string {
	h.used[name] = true
	if s, ok := h.settings[name]; ok {
		return s
	}
	return otherwise
}

// Duration is Setting for a duration, of at least so long.
func (h *Host) Duration(name string, otherwise, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(h.Setting(name, otherwise.String()))
	if err == nil && d < least {
		err = fmt.Errorf("want at least %v", least)
	}
	if err != nil {
		return 0, fmt.Errorf("the setting %s: %w", name, err)
	}
	return d, nil
}

// Int is Setting for a number, of at least so much.
func (h *Host) Int(name string, otherwise, least int) (int, error) {
	n, err := strconv.Atoi(h.Setting(name, strconv.Itoa(otherwise)))
	if err == nil && n < least {
		err = fmt.Errorf("want at least %d", least)
	}
	if err != nil {
		return 0, fmt.Errorf("the setting %s: %w", name, err)
	}
	return n, nil
}

// Go has f run until its context ends, when the Set is closed. An error is logged and counted, as one of Handle is, and a panic contained.
func (h *Host) Go(f func(ctx context.Context) error) {
	h.bound.group.Go(func() { h.bound.contain(func() error { return f(h.ctx) }) })
}

// Fail logs and counts an error, for what was started by Go and goes on.
func (h *Host) Fail(err error) { h.bound.contain(func() error { return err }) }

// OnClose has f be called when the Set is closed.
func (h *Host) OnClose(f func()) { h.bound.closing = append(h.bound.closing, f) }
