package node

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/peercache/peercache/discovery"
)

// A Source is a way to find the peers, for -discovery to choose.
type Source struct {
	// Name is what -discovery calls it, such as "etcd".
	Name string
	// Flags defines the flags that the source has for itself, and returns what
	// makes the Discovery of their values. That is called once, after they have
	// been parsed, if the source was chosen. Its error is printed, and says which
	// flag is wrong and what would be right.
	Flags func(f *flag.FlagSet) (open func(log *slog.Logger) (discovery.Discovery, error))
}

// static is the way to find the peers by -peers. It is no Source: without peers,
// or with lists on standard input, there is nothing to discover.
const static = "static"

// ownSources are those of every example.
var ownSources = []Source{
	{Name: "file", Flags: fileFlags},
	{Name: "dns", Flags: dnsFlags},
}

func fileFlags(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
	path := f.String("peers-file", "", "-discovery file: the `path` of a list of the base URLs of all processes, one a line,\n"+
		"which is read again every second")
	return func(log *slog.Logger) (discovery.Discovery, error) {
		if *path == "" {
			return nil, errors.New("-discovery file: want -peers-file as well")
		}
		return discovery.File(*path, discovery.WithLogger(log))
	}
}

func dnsFlags(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
	pattern := f.String("dns", "", "-discovery dns: the base `URL` of every process, with a name in place of the address,\n"+
		"such as http://peers.example:8001; -self must have the address")
	srv := f.String("srv", "", "-discovery dns: the same `URL` with a name that has SRV records, and without a port,\n"+
		"such as http://_peers._tcp.example; -self must have the name and the port of a record")
	return func(log *slog.Logger) (discovery.Discovery, error) {
		switch {
		case (*pattern == "") == (*srv == ""):
			return nil, errors.New("-discovery dns: want one of -dns and -srv as well")
		case *srv != "":
			return discovery.SRV(*srv, discovery.WithLogger(log))
		}
		return discovery.DNS(*pattern, discovery.WithLogger(log))
	}
}

// sourceNames returns what -discovery takes.
func sourceNames(sources []Source) []string {
	names := []string{static}
	for _, s := range sources {
		names = append(names, s.Name)
	}
	return names
}

// definedSource is a Source with its flags defined.
type definedSource struct {
	Source
	flags []string // their names
	open  func(*slog.Logger) (discovery.Discovery, error)
}

// defineFlags defines the flags of all sources on f.
func defineFlags(f *flag.FlagSet, sources []Source) []definedSource {
	defined := make([]definedSource, len(sources))
	seen := make(map[string]bool)
	f.VisitAll(func(f *flag.Flag) { seen[f.Name] = true })
	for i, s := range sources {
		d := definedSource{Source: s, open: s.Flags(f)}
		f.VisitAll(func(f *flag.Flag) {
			if !seen[f.Name] {
				d.flags = append(d.flags, f.Name)
			}
			seen[f.Name] = true
		})
		defined[i] = d
	}
	return defined
}

// choose returns what makes the discovery of that name, nil for static. It is an
// error if a flag is given that only another one has, or if static lacks its own.
func choose(name string, sources []definedSource, given map[string]bool) (open func(*slog.Logger) (discovery.Discovery, error), err error) {
	for _, s := range sources {
		if s.Name == name {
			open = s.open
			continue
		}
		for _, flag := range s.flags {
			if given[flag] {
				return nil, fmt.Errorf("-%s is for -discovery %s: want that as well, or neither", flag, s.Name)
			}
		}
	}
	switch {
	case name != static && open == nil:
		return nil, fmt.Errorf("-discovery %q: want one of those that -h lists", name)
	case name != static && given["peers"]:
		return nil, fmt.Errorf("-peers is for -discovery static, not %s: want one of the two", name)
	case name == static && given["discovery"] && !given["peers"]:
		return nil, errors.New("-discovery static: want -peers as well")
	}
	return open, nil
}
