package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// fileFlag is the flag that names the configuration.
type fileFlag struct {
	Config string `short:"c" name:"config" placeholder:"FILE" env:"PEERCACHED_CONFIG" help:"The configuration. Without it, flags and variables say everything."`
}

// ownVariables are those that are no keys of the configuration.
var ownVariables = []string{"PEERCACHED_CONFIG", "PEERCACHED_HTTP_URL", "PEERCACHED_ADMIN_URL", "PEERCACHED_TOKEN"}

type serveCommand struct{ fileFlag }

func (c *serveCommand) Run(p *program) error { return p.serve(c.Config, false) }

type gatewayCommand struct{ fileFlag }

func (c *gatewayCommand) Run(p *program) error { return p.serve(c.Config, true) }

// gatewayFlag says for whom a configuration is.
type gatewayFlag struct {
	Gateway bool `name:"gateway" help:"As peercached gateway reads it: a node that owns nothing."`
}

type checkCommand struct {
	fileFlag
	gatewayFlag
}

func (c *checkCommand) Run(p *program) error {
	l, err := p.load(c.Config, c.Gateway)
	if err != nil {
		return err
	}
	if err := p.verify(l); err != nil {
		return err
	}
	for _, w := range l.Warnings {
		fmt.Fprintln(p.stderr, "warning:", w)
	}
	name := c.Config
	if name == "" {
		name = "the configuration"
	}
	fmt.Fprintf(p.stdout, "%s is right\n", name)
	return nil
}

// verify returns all that is wrong with a configuration. It opens the origins for that, and closes them.
func (p *program) verify(l *config.Loaded) error {
	getters := openOrigins(p.ctx, l, p.origins, slog.New(slog.DiscardHandler))
	defer getters.close()
	l.CheckFiles()
	return l.Finish()
}

type configCommand struct {
	fileFlag
	gatewayFlag
}

func (c *configCommand) Run(p *program) error {
	l, err := p.load(c.Config, c.Gateway)
	if err != nil {
		return err
	}
	if err := p.verify(l); err != nil {
		return err
	}
	return conf.Print(p.stdout, &l.Config)
}

type versionCommand struct{}

// Version is what peercached version prints. A build sets it by -ldflags "-X …/node.Version=v1.2.3".
var Version = ""

func (versionCommand) Run(p *program) error {
	version, revision := Version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	fmt.Fprintf(p.stdout, "peercached %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// serve runs a node until a signal, and ends it gracefully.
func (p *program) serve(path string, gateway bool) error {
	l, err := p.load(path, gateway)
	if err != nil {
		return err
	}
	log, level := loggerOf(&l.Log, p.stderr)
	ctx, stop := signals(p.ctx, log)
	defer stop()
	hup, stopHup := hangUps()
	defer stopHup()
	getters := openOrigins(ctx, l, p.origins, log)
	l.CheckFiles()
	if err := l.Finish(); err != nil {
		getters.close()
		return err
	}
	for _, w := range l.Warnings {
		log.Warn(w)
	}
	n, err := newNode(l, getters, log, level)
	if err != nil {
		getters.close()
		return err
	}
	on, err := listen(&l.Config)
	if err != nil {
		getters.close()
		return errors.Join(err, n.closeData())
	}
	systemd := notifier{log}
	background, cancel := context.WithCancel(context.Background())
	defer cancel()
	go systemd.watchdog(background, func() { n.pool.Peers() })
	context.AfterFunc(ctx, systemd.stopping)
	return n.run(ctx, on, func() {
		systemd.ready()
		go p.follow(ctx, n, hup, systemd, func() (*config.Loaded, error) { return p.load(path, gateway) })
	})
}

// signals returns a context that ends with the first signal that ends a process. The second one ends the
// process at once. stop gives the signals back.
func signals(parent context.Context, log *slog.Logger) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	come := make(chan os.Signal, 2)
	signal.Notify(come, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-come:
			log.Info("told to end", "signal", s)
			cancel()
		case <-ctx.Done():
		}
		if s, ok := <-come; ok {
			log.Error("a second signal: the node ends at once", "signal", s)
			os.Exit(ExitSecond)
		}
	}()
	return ctx, func() {
		signal.Stop(come)
		cancel()
		close(come)
	}
}
