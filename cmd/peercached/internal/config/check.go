package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

// check records what is wrong with the values, and with what they say together.
func (l *Loaded) check(kinds []string) {
	l.checkWords()
	l.Visit(&l.Config, l.checkOne)
	l.checkListeners()
	l.checkPeers()
	l.checkRoutes()
	l.checkGroups(kinds)
	l.checkData()
	l.checkDoors()
	if t := l.Tracing; t != nil {
		if u, err := url.Parse(t.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			l.Fail("tracing.endpoint", "%q: want a URL, such as http://127.0.0.1:4318", t.Endpoint)
		}
		if t.Ratio < 0 || t.Ratio > 1 {
			l.Fail("tracing.ratio", "%v: want 0 to 1", t.Ratio)
		}
	}
}

// checkWords checks the values that are one of a few words.
func (l *Loaded) checkWords() {
	words := func(path, value string, known ...string) {
		if slices.Contains(known, value) {
			return
		}
		text := fmt.Sprintf("%q: want one of %s", value, strings.Join(known, ", "))
		if near := conf.Nearest(value, known); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		l.Fail(path, "%s", text)
	}
	words("log.level", l.Log.Level, "debug", "info", "warn", "error")
	words("log.format", l.Log.Format, "text", "json")
	for _, g := range l.Groups {
		words("groups."+g.Name+".store", g.Store, "adaptive", "lru")
	}
	if d := l.Data; d != nil {
		words("data.driver", d.Driver, dataDrivers...)
		words("data.evict", d.Evict, "noeviction", "allkeys-lru", "allkeys-random", "volatile-ttl")
		if d.Log != nil {
			words("data.log.fsync", d.Log.Fsync, "always", "interval", "never")
		}
		for i, one := range d.Plugins {
			at := fmt.Sprintf("data.plugins[%d]", i)
			words(at+".plugin", one.Plugin, pluginNames()...)
			for _, event := range one.Events {
				words(at+".events", event, "written", "expired", "evicted", "removed", "all")
			}
		}
	}
	for _, m := range l.Members() {
		words(m.Path+".transport", m.Transport, "http", "grpc")
		if g := m.Discovery.Gossip; g != nil {
			words(m.Path+".discovery.gossip.profile", g.Profile, "lan", "wan", "local")
		}
		for i, rule := range m.Access {
			at := fmt.Sprintf("%s.access[%d]", m.Path, i)
			for _, one := range rule.Allow {
				words(at+".allow", one, operations...)
			}
			for _, one := range rule.Deny {
				words(at+".deny", one, operations...)
			}
			if len(rule.Allow)+len(rule.Deny) == 0 {
				l.Fail(at, "a rule that neither allows nor denies: want allow or deny")
			}
		}
	}
}

// checkOne checks one key by itself: files exist, secrets can be read.
func (l *Loaded) checkOne(path string, v reflect.Value, tag reflect.StructTag) {
	if what := tag.Get("exists"); what != "" && v.String() != "" {
		info, err := os.Stat(v.String())
		switch {
		case err != nil && os.IsNotExist(err):
			l.Fail(path, "%s: there is no such %s", v.String(), what)
		case err != nil:
			l.Fail(path, "%v", err)
		case info.IsDir():
			l.Fail(path, "%s: a directory: want a file", v.String())
		}
	}
	if s, ok := v.Interface().(Secret); ok && s.IsSet() {
		if _, err := s.Read(); err != nil && !os.IsNotExist(err) {
			l.Fail(path, "%v", err)
		}
		if name := variable(s.Value); name != "" {
			l.Fail(path, "variables in a text are not replaced: want {env: %s}", name)
		}
	}
	if v.Type() == reflect.TypeFor[ServerTLS]() || v.Type() == reflect.TypeFor[PeerTLS]() {
		for _, name := range []string{"Cert", "Key", "CA"} {
			if f := v.FieldByName(name); f.IsValid() && f.String() == "" {
				l.Fail(path, "no %s: want a PEM file", strings.ToLower(name))
			}
		}
	}
}

// Listener is an address at which the node listens, by its name.
type Listener struct{ Name, Listen string }

// Listeners returns where the node listens. The names are those of systemd's FileDescriptorName as well.
func (c *Config) Listeners() []Listener {
	all := []Listener{{Own, c.Peers.Listen}, {"admin", c.Admin.Listen}}
	for _, m := range c.Members()[1:] {
		all = append(all, Listener{m.Path, m.Listen})
	}
	if c.HTTP != nil {
		all = append(all, Listener{"http", c.HTTP.Listen})
	}
	if c.GRPC != nil {
		all = append(all, Listener{"grpc", c.GRPC.Listen})
	}
	if c.RESP != nil {
		all = append(all, Listener{"resp", c.RESP.Listen})
	}
	return all
}

// checkListeners checks the addresses.
func (l *Loaded) checkListeners() {
	seen := map[string]string{}
	for _, one := range l.Listeners() {
		path := one.Name + ".listen"
		host, port, err := net.SplitHostPort(one.Listen)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			l.Fail(path, "%q: want HOST:PORT, such as 127.0.0.1:8001, or :8001 for all interfaces", one.Listen)
			continue
		}
		for _, used := range []string{one.Listen, ":" + port, "0.0.0.0:" + port, "[::]:" + port} {
			if other := seen[used]; other != "" && port != "0" {
				l.Fail(path, "%s is the address of %s already (%s): want another port", one.Listen, other, used)
				break
			}
		}
		seen[one.Listen] = path
		if guards[one.Name] != "" && !isLoopback(host) && !l.Guarded(one.Name) {
			l.Fail(path, "%s", l.Open(one.Name, one.Listen, port))
		}
	}
}

// guards are the keys that say who is let in.
var guards = map[string]string{"admin": "admin.token", "http": "http.tokens", "grpc": "grpc.tokens", "resp": "resp.password"}

// Open says that a listener is open to strangers.
func (c *Config) Open(name, address, port string) string {
	what := "what is cached"
	if c.Data != nil && name != "http" {
		if what = "all data"; len(c.Groups) > 0 {
			what = "what is cached, and all data"
		}
	}
	return fmt.Sprintf("%s: whoever reaches that can read, change and clear %s: want a loopback address, such as 127.0.0.1:%s, or %s, or %s.expose: true",
		address, what, port, guards[name], name)
}

// Guarded reports whether a listener lets in only some, or everybody because the configuration says so.
func (c *Config) Guarded(name string) bool {
	door := Door{Expose: c.Admin.Expose, TLS: c.Admin.TLS}
	some := c.Admin.Token.IsSet()
	switch name {
	case "http":
		door, some = c.HTTP.Door, len(c.HTTP.Tokens) > 0
	case "grpc":
		door, some = c.GRPC.Door, len(c.GRPC.Tokens) > 0
	case "resp":
		door, some = c.RESP.Door, c.RESP.Password.IsSet() || len(c.RESP.Users) > 0
	}
	return some || door.Expose || door.TLS != nil && door.TLS.ClientCA != ""
}

// isLoopback reports whether a host is this machine alone.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkGroups checks the groups.
func (l *Loaded) checkGroups(kinds []string) {
	if len(l.Groups) == 0 && l.Data == nil {
		text := "no groups: want at least one, such as {name: files, bytes: 64MiB, origin: {files: {dir: ./data}}}"
		if l.Path == "" {
			text += ", in a file that -c names"
		}
		l.Fail("groups", "%s", text)
	}
	for i := range l.Groups {
		g := &l.Groups[i]
		path := "groups." + g.Name
		if g.Name == "" {
			path = fmt.Sprintf("groups[%d]", i)
			l.Fail(path, "no name: want one, such as name: files")
		} else if strings.Trim(g.Name, nameLetters) != "" {
			l.Fail(path+".name", "%q: want letters, digits, '-', '_' and '.' alone", g.Name)
		}
		if g.Bytes <= 0 && !l.has(path+".bytes") {
			l.Fail(path, "no bytes: want what the group may take of memory, such as bytes: 64MiB")
		}
		l.checkOrigin(g, path, kinds)
		l.checkTimes(g, path)
		for _, one := range l.groupOptions(g, path) {
			l.try(one.path, one.probe)
		}
	}
}

// nameLetters are those of a group's name.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// checkOrigin checks that a group has one origin, of a kind that there is.
func (l *Loaded) checkOrigin(g *Group, path string, kinds []string) {
	have := slices.Sorted(maps.Keys(g.Origin))
	switch len(have) {
	case 0:
		l.Fail(path+".origin", "no origin: want where values come from, such as origin: {files: {dir: ./data}}; kinds are %s", strings.Join(kinds, ", "))
	case 1:
		if !slices.Contains(kinds, have[0]) {
			text := "no such kind of origin: want one of " + strings.Join(kinds, ", ")
			if near := conf.Nearest(have[0], kinds); near != "" {
				text = "no such kind of origin: did you mean " + near + "?"
			}
			l.Fail(path+".origin."+have[0], "%s", text)
		}
	default:
		l.Fail(path+".origin", "%s: want one of them", strings.Join(have, " and "))
	}
}

// checkTimes checks what the times of a group say together.
func (l *Loaded) checkTimes(g *Group, path string) {
	if g.TTL > 0 && g.RefreshAhead >= g.TTL {
		l.Fail(path+".refresh_ahead", "%s is not shorter than ttl, %s, so that each Get would load: want a tenth of it or so", conf.FormatDuration(g.RefreshAhead), conf.FormatDuration(g.TTL))
	}
	if s := g.Snapshot; s != nil {
		if s.Path == "" {
			l.Fail(path+".snapshot", "no path: want a file")
		}
		if g.Consistency {
			l.Fail(path+".snapshot", "snapshot and consistency: want one of them, because a snapshot may hold what was changed meanwhile")
		}
	}
}

// has reports whether a key, or one below it, is set.
func (l *Loaded) has(path string) bool { return l.Has(path) }

// try records the error of f, which asks the library.
func (l *Loaded) try(path string, f func() error) {
	if err := f(); err != nil {
		l.Fail(path, "%s", WithoutGo(err))
	}
}
