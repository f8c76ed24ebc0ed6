package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// hangUps returns the SIGHUPs of this process, until stop. They are taken from before the node serves until
// it has ended: one that nobody takes would end it, at once.
func hangUps() (hup chan os.Signal, stop func()) {
	hup = make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return hup, func() { signal.Stop(hup) }
}

// follow has the node take over a new configuration at each SIGHUP, and when the file has changed, until
// ctx ends.
func (p *program) follow(ctx context.Context, n *node, hup <-chan os.Signal, systemd notifier, load func() (*config.Loaded, error)) {
	var look <-chan time.Time
	if every := n.cfg.Reload.Every; every > 0 && n.cfg.Path != "" {
		tick := time.NewTicker(every)
		defer tick.Stop()
		look = tick.C
	}
	seen := n.cfg.Content
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-look:
			content, err := os.ReadFile(n.cfg.Path)
			if err != nil || bytes.Equal(content, seen) {
				continue // a file that is away is perhaps being replaced
			}
			seen = content
		}
		systemd.reloading()
		l, err := load()
		if err == nil {
			seen = l.Content
			err = p.verify(l)
		}
		if err == nil {
			err = n.reload(l)
		}
		if err != nil {
			n.log.Error("the new configuration is wrong, and the one before stays in force")
			for _, one := range problemsOf(err) {
				n.log.Error("the new configuration: " + one)
			}
		}
		systemd.ready()
	}
}

// memberOf returns the member whose section is at path, nil if there is none.
func memberOf(l *config.Loaded, path string) *config.Member {
	for _, m := range l.Members() {
		if m.Path == path {
			return &m
		}
	}
	return nil
}

// cannotList reports whether a key is the list of a cluster that had none before, or is a new one.
func (n *node) cannotList(path string, l *config.Loaded) bool {
	section, ok := strings.CutSuffix(path, ".discovery.static")
	before := memberOf(n.cfg, section)
	return ok && (before == nil || len(before.Discovery.Static) == 0 || memberOf(l, section) == nil)
}

// problemsOf returns each problem of a configuration in a line of its own.
func problemsOf(err error) []string {
	if problems, ok := errors.AsType[conf.Problems](err); ok {
		return strings.Split(problems.Error(), "\n")
	}
	return []string{err.Error()}
}

// unlocked returns an error if a new configuration lets in everybody where the old one wants a token. Only a
// restart does that: by a file that is half written, or a mistake, no door opens.
func unlocked(before, after *config.Config) error {
	const text = "%s: no token is wanted any more: want a restart for that, so that it is no mistake"
	switch {
	case before.Admin.Token.IsSet() && !after.Admin.Token.IsSet():
		return fmt.Errorf(text, "admin.token")
	case before.HTTP != nil && after.HTTP != nil && len(before.HTTP.Tokens) > 0 && len(after.HTTP.Tokens) == 0:
		return fmt.Errorf(text, "http.tokens")
	case before.GRPC != nil && after.GRPC != nil && len(before.GRPC.Tokens) > 0 && len(after.GRPC.Tokens) == 0:
		return fmt.Errorf(text, "grpc.tokens")
	}
	return nil
}

// reload takes over what can change while the node runs, and says what cannot. l was checked; what can
// still fail is the pool, which is asked first, and a file of a secret that is gone since.
func (n *node) reload(l *config.Loaded) error {
	if err := unlocked(&n.cfg.Config, &l.Config); err != nil {
		return err
	}
	var later, now []string
	for _, c := range conf.Diff(&n.cfg.Config, &l.Config) {
		if c.Reload && !n.cannotList(c.Path, l) {
			now = append(now, c.Path)
		} else {
			later = append(later, c.Path)
		}
	}
	for _, m := range n.members {
		after := memberOf(l, m.Path)
		if after == nil || len(after.Discovery.Static) == 0 || len(m.Discovery.Static) == 0 || after.Self != m.Self {
			continue
		}
		if err := m.pool.Set(after.Discovery.Static...); err != nil {
			return err
		}
		m.Discovery.Static = after.Discovery.Static
	}
	// Files of secrets may have changed though no key has: all of them were read to check the configuration.
	if err := n.admin.setToken(l.Admin.Token.Read()); err != nil {
		return err
	}
	n.cfg.Admin.Token = l.Admin.Token
	if l.HTTP != nil && n.cfg.HTTP != nil {
		if err := setTokens(&n.httpTokens, l.HTTP.Tokens); err != nil {
			return err
		}
		n.cfg.HTTP.Tokens = l.HTTP.Tokens
	}
	if l.GRPC != nil && n.cfg.GRPC != nil {
		if err := setTokens(&n.grpcTokens, l.GRPC.Tokens); err != nil {
			return err
		}
		n.cfg.GRPC.Tokens = l.GRPC.Tokens
	}
	setLevel(n.level, l.Log.Level)
	n.cfg.Log.Level = l.Log.Level
	for _, w := range l.Warnings {
		n.log.Warn(w)
	}
	if len(later) > 0 {
		n.log.Warn("keys have changed that need a restart", "keys", strings.Join(later, " "))
	}
	n.log.Info("the configuration was read again", "changed", strings.Join(now, " "))
	return nil
}
