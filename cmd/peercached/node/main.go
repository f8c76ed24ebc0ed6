package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// What Main returns.
const (
	ExitOK         = 0   // the node has ended gracefully; a command has done its work
	ExitFailed     = 1   // the node, or a command, has failed
	ExitUsage      = 2   // the configuration or the command line is wrong
	ExitIncomplete = 3   // the node had to end before everything was answered and handed over
	ExitNotFound   = 4   // get: there is no such key
	ExitSecond     = 130 // a second signal ended the node at once
)

// program is one run of Main.
type program struct {
	ctx     context.Context
	origins Origins
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	keys    map[string]string // flags that are keys of the configuration
}

// commands is the command line.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run a node."`
	Gateway gatewayCommand `cmd:"" help:"Run a node that owns nothing: it asks the nodes of its cluster for all keys."`
	Check   checkCommand   `cmd:"" help:"Check a configuration, and say all that is wrong with it."`
	Config  configCommand  `cmd:"" help:"Print the whole configuration as it counts, with what each key is for."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Get   getCommand   `cmd:"" group:"Clients of a node" help:"Print the value of a key."`
	Set   setCommand   `cmd:"" group:"Clients of a node" help:"Set the value of a key in the cache, not at the origin."`
	Rm    rmCommand    `cmd:"" group:"Clients of a node" help:"Have all nodes forget keys, after the origin has changed."`
	Clear clearCommand `cmd:"" group:"Clients of a node" help:"Have all nodes forget a group."`
	Stats statsCommand `cmd:"" group:"Clients of a node" help:"Print the figures of groups in one node."`
	Ring  ringCommand  `cmd:"" group:"Clients of a node" help:"Print the nodes of the cluster, and what part of the keys each owns."`
	Top   topCommand   `cmd:"" group:"Clients of a node" help:"Show figures of a node, again and again."`
	Where whereCommand `cmd:"" group:"Clients of a node" help:"Print who owns a key, and what the node has of it, as JSON."`
	Ready readyCommand `cmd:"" group:"Clients of a node" help:"Ask whether a node is ready; exit status 1 if it is not."`

	Backup  backupCommand  `cmd:"" group:"Data" help:"Copy all data of a node to a file, while it is in use."`
	Restore restoreCommand `cmd:"" group:"Data" help:"Replace all data of a node by a backup, while it is in use."`
	Log     logCommands    `cmd:"" group:"Data" help:"Look at a log of data that no node uses: check, repair, dump, restore."`
}

// Main is the program peercached: it reads args, which begin after the program's name, and returns the
// exit status when the command has ended. origins are kinds of origins besides those that come with it;
// they may replace some of these.
func Main(ctx context.Context, args []string, origins Origins) int {
	p := &program{ctx: ctx, origins: origins.with(builtin), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	return p.main(args)
}

func (p *program) main(args []string) (status int) {
	rest, keys, err := splitArgs(args)
	if err != nil {
		return p.fail(err)
	}
	p.keys = keys
	var cli commands
	exited := -1
	parser, err := kong.New(&cli, kong.Name("peercached"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(p.stdout, p.stderr), kong.Bind(p), kong.Help(p.help),
		kong.Exit(func(code int) { exited = code; panic(kongExit{}) }))
	if err != nil {
		panic(err) // the struct above is wrong
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(kongExit); !ok {
				panic(r)
			}
			status = exited
		}
	}()
	switch {
	case len(rest) == 0:
		rest = []string{"--help"}
	case rest[0] == "help":
		rest = append(slices.Clip(rest[1:]), "--help")
	case rest[0] == "--version":
		rest[0] = "version"
	}
	run, err := parser.Parse(rest)
	if err != nil {
		fmt.Fprintf(p.stderr, "peercached: %v\n%s\n", err, hint(rest))
		return ExitUsage
	}
	if len(p.keys) > 0 && !slices.Contains(withKeys, run.Command()) {
		return p.fail(usageError("keys of the configuration are flags of " + strings.Join(withKeys, ", ") + " alone"))
	}
	if err := run.Run(p); err != nil {
		return p.fail(err)
	}
	return ExitOK
}

// hint returns what may help somebody whose command line cannot be read.
func hint(args []string) string {
	if len(args) > 1 && slices.Contains(withKeys, args[0]) {
		if file := args[len(args)-1]; strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml") {
			return "a configuration is named by -c: peercached " + args[0] + " -c " + file
		}
	}
	for _, command := range args[:1] {
		if !strings.HasPrefix(command, "-") {
			return "peercached " + command + " --help says what it takes, and peercached --help lists the commands"
		}
	}
	return "peercached --help lists the commands"
}

// kongExit is how kong ends the program.
type kongExit struct{}

// usageError is an error of whoever typed the command.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	error
}

func (e exitError) Unwrap() error { return e.error }

// fail prints an error, and returns the exit status.
func (p *program) fail(err error) int {
	if problems, ok := errors.AsType[conf.Problems](err); ok {
		for _, one := range problems {
			fmt.Fprintln(p.stderr, one)
		}
		return ExitUsage
	}
	fmt.Fprintf(p.stderr, "peercached: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return ExitUsage
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.status
	}
	if errors.Is(err, errIncomplete) {
		return ExitIncomplete
	}
	return ExitFailed
}

// withKeys are the commands whose flags are the keys of the configuration.
var withKeys = []string{"serve", "gateway", "check", "config"}

// load reads a configuration, and what is laid over it.
func (p *program) load(path string, gateway bool) (*config.Loaded, error) {
	env := map[string]string{}
	for _, one := range p.environ {
		if name, value, ok := strings.Cut(one, "="); ok && strings.HasPrefix(name, conf.Prefix) && !slices.Contains(ownVariables, name) {
			env[name] = value
		}
	}
	return config.Load(path, config.Options{
		Overrides: conf.Overrides{Flags: p.keys, Env: env}, Gateway: gateway, Kinds: p.origins.kinds(),
	})
}

// splitArgs takes the keys of the configuration out of the arguments: --peers.listen=ADDRESS, or two
// arguments.
func splitArgs(args []string) (rest []string, keys map[string]string, err error) {
	keys = map[string]string{}
	all := conf.Keys(defaultConfig())
	ofNode := len(args) > 0 && slices.Contains(withKeys, args[0]) // others have flags of the names of sections
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(rest, args[i:]...), keys, nil
		}
		name, ok := strings.CutPrefix(args[i], "--")
		name, value, given := strings.Cut(name, "=")
		if !ok || !strings.Contains(name, ".") && !(ofNode && isSection(name, all)) {
			rest = append(rest, args[i])
			continue
		}
		switch {
		case given:
		case isSwitch(name, all):
			value = "true"
		case i+1 < len(args):
			i++
			value = args[i]
		default:
			return nil, nil, usageError("--" + name + ": a value is missing: want --" + name + "=VALUE")
		}
		if before, twice := keys[name]; twice && before != value {
			return nil, nil, usageError("--" + name + " is given twice: want it once; lists have commas: --" + name + "=" + before + "," + value)
		}
		keys[name] = value
	}
	return rest, keys, nil
}

// isSection reports whether a flag is a section of the configuration as a whole, such as --groups.
func isSection(name string, all []conf.Key) bool {
	return slices.ContainsFunc(all, func(k conf.Key) bool { return k.Path == name })
}

// isSwitch reports whether a key is true or false, so that its flag needs no value.
func isSwitch(name string, all []conf.Key) bool {
	for _, k := range all {
		if k.Want != "true or false" {
			continue
		}
		before, after, named := strings.Cut(k.Path, "NAME")
		if k.Path == name || named && strings.HasPrefix(name, before) && strings.HasSuffix(name, after) {
			return true
		}
	}
	return false
}

// defaultConfig returns the configuration of an empty file.
func defaultConfig() *config.Config {
	c := new(config.Config)
	c.SetDefaults()
	return c
}
