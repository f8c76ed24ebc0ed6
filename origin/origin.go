// Package origin says how a node makes the getter of a group from a few lines of its configuration.
// The packages below it are the kinds of origins that come with a node.
package origin

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// Factory makes the getter of a group from the section of its origin.
//
// decode writes the section to a struct whose fields have `yaml` tags, and fails with line and column
// if a key is unknown or a value is of the wrong kind. Durations are time.Duration ("1m30s"), and
// sizes are Bytes ("64MiB"). Factory fails if the origin cannot be right: it does not fail because
// the origin is down. If the getter is an io.Closer, it is closed at the end of the node.
type Factory func(ctx context.Context, env Env, decode func(section any) error) (peercache.Getter, error)

// Make does what a Factory does, with what a kind of origin has: its configuration, with the defaults
// that depend on the node, and the function that makes it.
func Make[C any, O peercache.Getter](c C, decode func(section any) error, make func(C) (O, error)) (peercache.Getter, error) {
	if err := decode(&c); err != nil {
		return nil, err
	}
	o, err := make(c)
	if err != nil {
		return nil, err // and no O that is nil, in an interface that is not
	}
	return o, nil
}

// Env is what a Factory may use of its node.
type Env struct {
	Group string       // the name of the group
	Log   *slog.Logger // never nil
	// AllowCommands says that the configuration allows origins that run programs.
	AllowCommands bool
	// StaleWhileRevalidate and StaleIfError are the options of the group with these names. An origin whose
	// values must not be served for so long after they have expired gives them a shorter TTL.
	StaleWhileRevalidate, StaleIfError time.Duration
}

// Bytes is a size, as "64MiB", "1GB" or "4096".
type Bytes int64

var units = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*u.size > math.MaxInt64/2 || math.IsNaN(n) {
			break
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is no size: want a number and a unit, such as 64MiB, 1GB or 4096", s)
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String returns b in the largest unit in which it is a whole number.
func (b Bytes) String() string {
	for _, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		for _, v := range units {
			if size := Bytes(v.size); v.name == u && b != 0 && b%size == 0 {
				return strconv.FormatInt(int64(b/size), 10) + u
			}
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
