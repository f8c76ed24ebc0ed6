package resp

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/peercache/peercache/resp/codec"
)

// Settings are what CONFIG GET and CONFIG SET are about. Names are in lower case.
type Settings interface {
	Get() map[string]string
	// Set changes settings, all or none. It returns ErrNoSetting if there is none of that name; names says of which one an error is.
	Set(settings []Setting) (name string, err error)
	// ResetStat sets the figures of INFO to zero that CONFIG RESETSTAT is about.
	ResetStat()
}

// Setting is a setting with its value.
type Setting struct{ Name, Value string }

// ErrNoSetting says that there is no such setting, or none that can be changed.
var ErrNoSetting = errors.New("there is no such setting")

// tableMaxKeys is the setting of Limits.TrackedKeys.
const tableMaxKeys = "tracking-table-max-keys"

func cmdConfigGet(c *Conn, args [][]byte) {
	all := c.s.settings()
	var found []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.ContainsFunc(args[2:], func(pattern []byte) bool {
			if len(pattern) > 64 {
				return false
			}
			ok, err := path.Match(strings.ToLower(string(pattern)), name)
			return ok && err == nil
		}) {
			found = append(found, name)
		}
	}
	c.Map(len(found))
	for _, name := range found {
		c.Bulk(name)
		c.Bulk(all[name])
	}
}

func cmdConfigSet(c *Conn, args [][]byte) {
	f := c.s.opts.fallback
	if f == nil || f.Settings == nil {
		c.Error("ERR CONFIG SET is not possible: settings are those of the program that has started the server")
		return
	}
	if len(args)%2 != 0 {
		c.Error("ERR wrong number of arguments for 'config|set' command")
		return
	}
	var settings []Setting
	tracked := int64(-1)
	for i := 2; i < len(args); i += 2 {
		if isWord(args[i], tableMaxKeys) {
			n, ok := codec.Number(args[i+1])
			if !ok || n < 0 {
				c.Error("ERR CONFIG SET failed (possibly related to argument '" + tableMaxKeys + "') - argument couldn't be parsed into an integer")
				return
			}
			tracked = n
			continue
		}
		settings = append(settings, Setting{strings.ToLower(string(args[i])), string(args[i+1])})
	}
	name, err := f.Settings.Set(settings)
	if err == nil && tracked >= 0 {
		c.s.tracking.most.Store(tracked)
	}
	switch {
	case errors.Is(err, ErrNoSetting):
		c.Error(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", arg([]byte(name))))
	case err != nil:
		c.Error(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%s') - %v", arg([]byte(name)), err))
	default:
		c.OK()
	}
}

func cmdConfigResetStat(c *Conn, args [][]byte) {
	if f := c.s.opts.fallback; f != nil && f.Settings != nil {
		f.Settings.ResetStat()
	}
	c.OK()
}
