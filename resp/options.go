package resp

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp/codec"
)

// Option changes what a Server does.
type Option func(*options) error

type options struct {
	users    []User
	insecure bool
	readOnly bool
	prefixes map[string]string // to names of groups; nil: NAME: for each
	other    string            // the group of keys without a prefix; empty: none
	limits   Limits
	log      *slog.Logger
	commands []Command
	fallback *Fallback

	errorText func(error) string // nil: clients are told the kind of an error
}

// A User may use the server. Who does not say a name is the user "default".
type User struct {
	Name, Password string
	// ReadOnly refuses commands that change something, PUBLISH and CONFIG SET among them.
	ReadOnly bool
}

// WithUsers has clients say who they are, by AUTH or HELLO, before they may do anything else.
func WithUsers(users ...User) Option {
	return func(o *options) error {
		for _, u := range users {
			if u.Name == "" || u.Password == "" {
				return fmt.Errorf("the user %q has no name or no password", u.Name)
			}
			for _, other := range o.users {
				if other.Name == u.Name {
					return fmt.Errorf("there are two users %q", u.Name)
				}
			}
			o.users = append(o.users, u)
		}
		return nil
	}
}

// WithPassword is WithUsers with one user, "default": AUTH needs no name.
func WithPassword(password string) Option {
	return WithUsers(User{Name: defaultUser, Password: password})
}

// WithInsecure lets in everybody, though the server may listen where others than this machine reach
// it. It is for a network that lets in nobody else, and for listeners that check who connects, by
// the certificates of clients.
func WithInsecure() Option {
	return func(o *options) error { o.insecure = true; return nil }
}

// WithReadOnly refuses commands that change something, whoever sends them.
func WithReadOnly() Option {
	return func(o *options) error { o.readOnly = true; return nil }
}

// WithPrefixes says how keys name their group: a key that begins with a prefix is one of that
// group, without the prefix. If several fit, the longest counts. Without it, the prefix of each
// group is its name and a colon.
func WithPrefixes(groups map[string]string) Option {
	return func(o *options) error {
		o.prefixes = make(map[string]string, len(groups))
		for prefix, group := range groups {
			if prefix == "" {
				return errors.New("a prefix is empty: want WithDefaultGroup")
			}
			o.prefixes[prefix] = group
		}
		return nil
	}
}

// WithDefaultGroup names the group of keys that have no group's prefix. Without it, such keys are
// refused.
func WithDefaultGroup(name string) Option {
	return func(o *options) error { o.other = name; return nil }
}

// WithErrorText has clients told what tell returns for an error of a getter. By default they learn
// nothing of it but that the origin failed, because it may have secrets in it; it is logged.
func WithErrorText(tell func(error) string) Option {
	return func(o *options) error {
		if tell == nil {
			return errors.New("WithErrorText(nil): want a function, or leave the option out")
		}
		o.errorText = tell
		return nil
	}
}

// WithLogger has the server log to log, instead of nowhere.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) error { o.log = log; return nil }
}

// WithLimits sets limits. A field that is zero keeps its default.
func WithLimits(l Limits) Option {
	return func(o *options) error { o.limits = l; return nil }
}

// Limits are what clients may cost.
type Limits struct {
	// Clients is how many may be connected. Default: 10,000.
	Clients int
	// Arguments is how many arguments a command may have. Default: 65,536.
	Arguments int
	// BulkBytes is how long an argument may be: a value, that is. Default: 64 MiB.
	BulkBytes int
	// QueryBytes is how long a command may be, what MULTI may queue, and what the subscriptions of a client and the keys that it
	// watches may take. Default: 128 MiB.
	QueryBytes int
	// OutputBytes is how much may wait to be read by one client, which is disconnected if there
	// is more. Default: 128 MiB.
	OutputBytes int
	// ClientBytes is what all clients together may take for long commands, for what MULTI has queued, for subscriptions and
	// watched keys, and for replies and messages that are not read. Whose command, or whose reply, does not fit is
	// disconnected. Default: 512 MiB.
	ClientBytes int64
	// TrackedKeys is how many keys are followed for clients that cache them (CLIENT TRACKING).
	// If there are more, clients are told to drop some. Default: 1,000,000.
	TrackedKeys int
	// IdleTimeout is how long a client may send nothing. Default: none. A client that has not said
	// who it is, where it must, has at most a minute.
	IdleTimeout time.Duration
	// QueryTimeout is how long a command may take to arrive. Default: 1 minute.
	QueryTimeout time.Duration
	// WriteTimeout is how long a client may not read its replies. Default: 1 minute.
	WriteTimeout time.Duration
	// MessageBytes is how much may wait to be read by one client of what was published to its channels. If there is
	// more, the client is disconnected. Default: 32 MiB.
	MessageBytes int
	// PushTimeout is how long a change of a group waits, at most, for a client that caches one of
	// its keys to take the message. Then the client is disconnected. Default: 1 second.
	PushTimeout time.Duration
}

// setDefault sets a field that is zero.
func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (l *Limits) check() error {
	setDefault(&l.Clients, 10_000)
	setDefault(&l.Arguments, 64<<10)
	setDefault(&l.BulkBytes, 64<<20)
	setDefault(&l.QueryBytes, 128<<20)
	setDefault(&l.OutputBytes, 128<<20)
	setDefault(&l.MessageBytes, 32<<20)
	setDefault(&l.ClientBytes, 512<<20)
	setDefault(&l.TrackedKeys, 1_000_000)
	setDefault(&l.IdleTimeout, math.MaxInt64)
	setDefault(&l.QueryTimeout, time.Minute)
	setDefault(&l.WriteTimeout, time.Minute)
	setDefault(&l.PushTimeout, time.Second)
	if min(l.Clients, l.Arguments, l.BulkBytes, l.QueryBytes, l.OutputBytes, l.MessageBytes, l.TrackedKeys) < 0 || l.ClientBytes < 0 ||
		min(l.IdleTimeout, l.QueryTimeout, l.WriteTimeout, l.PushTimeout) < 0 {
		return errors.New("a limit is less than zero")
	}
	return nil
}

// codec returns what one client may send.
func (l *Limits) codec() codec.Limits {
	return codec.Limits{Arguments: l.Arguments, Bulk: l.BulkBytes, Query: l.QueryBytes}
}

// WithCommands adds commands, or puts them in the place of those that the package has.
func WithCommands(commands ...Command) Option {
	return func(o *options) error { o.commands = append(o.commands, commands...); return nil }
}

// WithFallback has f serve the keys that belong to no group. It excludes WithDefaultGroup.
func WithFallback(f Fallback) Option {
	return func(o *options) error { o.fallback = &f; return nil }
}

func (o *options) check(caches []door.Cache) error {
	switch {
	case o.insecure && len(o.users) > 0:
		return errors.New("WithInsecure and WithUsers: want one of them: WithInsecure lets in everybody")
	case o.fallback != nil && o.other != "":
		return errors.New("WithFallback and WithDefaultGroup: want one of them: both are for keys that have no group's prefix")
	case len(caches) == 0 && o.fallback == nil:
		return errors.New("there is nothing to serve: no groups")
	}
	return o.limits.check()
}
