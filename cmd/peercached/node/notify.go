package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd what the node does, if it is one of its services.
type notifier struct{ log *slog.Logger }

func (n notifier) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd could not be told", "state", state, "err", err)
	}
}

func (n notifier) ready() { n.tell(daemon.SdNotifyReady + "\nSTATUS=serving") }

func (n notifier) stopping() {
	n.tell(daemon.SdNotifyStopping + "\nSTATUS=answering what is in progress, and handing values over")
}

// reloading says that the configuration is being read again; ready says that this is over.
func (n notifier) reloading() {
	n.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// watchdog gives signs of life until ctx ends, as often as systemd wants them. alive blocks while the
// node hangs, so that systemd restarts it.
func (n notifier) watchdog(ctx context.Context, alive func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		alive()
		n.tell(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
