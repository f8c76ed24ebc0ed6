package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/httppeer"
)

// An Option changes what Handler makes. Handler returns its error.
type Option func(*handler) error

// DefaultDrainTime is the default of DrainTime.
const DefaultDrainTime = 30 * time.Second

// Metrics serves h at /metrics. Without it there is no such path.
func Metrics(h http.Handler) Option {
	return func(a *handler) error {
		if h == nil {
			return errors.New("Metrics(nil): want a handler, or leave the option out")
		}
		a.metrics = h
		return nil
	}
}

// Authorize makes the handler ask f before each action. If f returns an error, the request gets status
// 403 with the text of the error, and the pool logs a warning.
func Authorize(f func(*http.Request) error) Option {
	return func(a *handler) error {
		if f == nil {
			return errors.New("Authorize(nil): want a func, or leave the option out")
		}
		a.mayAct = f
		return nil
	}
}

// AuthorizeAll makes the handler ask f before everything but /livez and /readyz, as Authorize does
// before actions. With both options, an action asks both.
func AuthorizeAll(f func(*http.Request) error) Option {
	return func(a *handler) error {
		if f == nil {
			return errors.New("AuthorizeAll(nil): want a func, or leave the option out")
		}
		a.mayLook = f
		return nil
	}
}

// Action has h serve POST at a path of its own, such as /api/v1/backup, as an action: see Authorize and ReadOnly. Pages of other
// origins cannot ask for it. Bodies and answers may be of any length.
func Action(path string, h http.Handler) Option {
	return func(a *handler) error {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " {}") || h == nil {
			return fmt.Errorf("Action(%q): want a path, and a handler", path)
		}
		a.more = append(a.more, more{path, h})
		return nil
	}
}

// more is an action that the package does not have.
type more struct {
	path    string
	handler http.Handler
}

// ReadOnly leaves the actions out.
func ReadOnly() Option {
	return func(a *handler) error {
		a.readOnly = true
		return nil
	}
}

// ShowValues shows the values of keys, up to 64 KiB of each. By default, only their sizes are shown.
func ShowValues() Option {
	return func(a *handler) error {
		a.showValues = true
		return nil
	}
}

// Hosts names the hosts by which this handler may be reached, beside IP addresses and names without a
// dot: "cache-admin.example.com", as behind a proxy. Requests for other hosts get status 403. Otherwise a
// web page whose own name resolves to the address of the handler could use it (DNS rebinding).
func Hosts(names ...string) Option {
	return func(a *handler) error {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, "/ ") {
				return fmt.Errorf("Hosts(%q): want the name of a host", name)
			}
			a.hosts = append(a.hosts, httppeer.HostName(name))
		}
		return nil
	}
}

// DrainTime bounds the action that drains the process: see the Shutdown of a pool. The default is
// DefaultDrainTime.
func DrainTime(d time.Duration) Option {
	return func(a *handler) error {
		if d <= 0 {
			return fmt.Errorf("DrainTime(%v): want more than 0", d)
		}
		a.drainTime = d
		return nil
	}
}
