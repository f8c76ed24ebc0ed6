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

// hangups returns a channel of SIGHUPs. From then on none ends the process, also while the node starts.
func hangups() (hup chan os.Signal, stop func()) {
	hup = make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return hup, func() { signal.Stop(hup) }
}

// follow has the node take over a new configuration at each SIGHUP, and when the file has changed, until
// ctx ends.
func (p *program) follow(ctx context.Context, n *node, systemd notifier, hup <-chan os.Signal, load func() (*config.Loaded, error)) {
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

// problemsOf returns each problem of a configuration in a line of its own.
func problemsOf(err error) []string {
	if problems, ok := errors.AsType[conf.Problems](err); ok {
		return strings.Split(problems.Error(), "\n")
	}
	return []string{err.Error()}
}

// staysGuarded returns an error if a listener that asks who comes would let in everybody. l was checked
// for its own addresses, and the node still has those of before, until it is started again.
func (n *node) staysGuarded(l *config.Loaded) error {
	var open []string
	if n.cfg.Admin.Token.IsSet() && !l.Admin.Token.IsSet() {
		open = append(open, "admin.token")
	}
	if l.HTTP != nil && n.cfg.HTTP != nil && len(n.cfg.HTTP.Tokens) > 0 && len(l.HTTP.Tokens) == 0 {
		open = append(open, "http.tokens")
	}
	if l.GRPC != nil && n.cfg.GRPC != nil && len(n.cfg.GRPC.Tokens) > 0 && len(l.GRPC.Tokens) == 0 {
		open = append(open, "grpc.tokens")
	}
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("without %s everybody would be let in, at the address of before: this needs a restart", strings.Join(open, " and "))
}

// reload takes over what can change while the node runs, and says what cannot. l was checked; what can
// still fail is the pool, which is asked first, and a file of a secret that is gone since.
func (n *node) reload(l *config.Loaded) error {
	if err := n.staysGuarded(l); err != nil {
		return err
	}
	var later, now []string
	for _, c := range conf.Diff(&n.cfg.Config, &l.Config) {
		if c.Reload && (c.Path != "peers.discovery.static" || len(n.cfg.Peers.Discovery.Static) > 0) {
			now = append(now, c.Path)
		} else {
			later = append(later, c.Path)
		}
	}
	if static := l.Peers.Discovery.Static; len(static) > 0 && len(n.cfg.Peers.Discovery.Static) > 0 && l.Peers.Self == n.cfg.Peers.Self {
		if err := n.pool.Set(static...); err != nil {
			return err
		}
		n.cfg.Peers.Discovery.Static = static
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
