// Package command is an origin that runs a program for each load.
//
// The program gets the key as an argument or on its standard input, and writes the value to its
// standard output. There is no shell: nothing in a key is taken for more than text. The value ends
// when all processes that have the output open have closed it, as in a pipe, and the program has
// exited with status 0.
//
// At the end of the timeout, or if it writes too much, the program is killed, and on Unix with it
// all processes of its process group. On other systems only the program itself is.
//
// A node runs programs only if its configuration allows that: see origin.Env.
package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/origin"
)

// The defaults of a Config.
const (
	DefaultTimeout   = 10 * time.Second
	DefaultMaxBytes  = peercache.DefaultMaxValueBytes
	DefaultProcesses = 16
)

// Config is the section "command" of an origin.
type Config struct {
	// Run is the program and its arguments, in which {key} stands for the key. It is required. The
	// program is looked up in PATH if its name has no slash. If an argument begins with {key}, and
	// no argument before it is "--", keys that begin with "-" are refused: the program would take
	// them for options.
	Run []string `yaml:"run" help:"the program and its arguments; {key} stands for the key"`
	// Stdin says that the program gets the key on its standard input, and nothing after it.
	Stdin bool `yaml:"stdin" help:"write the key to the standard input (default false)"`
	// Dir is the directory in which the program runs. Empty means that of this process.
	Dir string `yaml:"dir" help:"the directory in which the program runs (default: that of the node)"`
	// Env are the environment variables of the program. Besides them it has those that Inherit names.
	Env map[string]string `yaml:"env" help:"environment variables of the program, NAME: value"`
	// Inherit names the variables of this process that the program has as well. Nil means PATH, HOME,
	// LANG, TZ and TMPDIR, and on Windows SYSTEMROOT, TEMP and USERPROFILE. It is a list so that the program
	// does not get the secrets of the node.
	Inherit []string `yaml:"inherit" help:"environment variables taken over from the node (default PATH, HOME, LANG, TZ, TMPDIR)"`
	// NotFound is the exit status that means that there is no such key, from 1 to 255. Zero means that
	// there is none: each status but 0 is an error.
	NotFound int `yaml:"not_found" help:"the exit status that means that there is no such key (default: none)"`
	// Timeout is how long the program may run. Zero means 10s. The load timeout of the group holds too.
	Timeout time.Duration `yaml:"timeout" help:"how long the program may run (default 10s)"`
	// MaxBytes is how much the program may write. More is an error. Zero means 64 MiB.
	MaxBytes origin.Bytes `yaml:"max_bytes" help:"more output is an error (default 64MiB)"`
	// Processes is how many programs run at one time. Other loads wait. Zero means 16.
	Processes int `yaml:"processes" help:"how many programs run at one time (default 16)"`
	// TrimNewline takes one newline away from the end of the value.
	TrimNewline bool `yaml:"trim_newline" help:"take one newline away from the end of the value (default false)"`
	// TTL is how long a value may be served from the cache. Zero means the TTL of the group.
	TTL time.Duration `yaml:"ttl" help:"how long a value may be served from the cache (default: the group's ttl)"`
	// Log gets what programs write to their standard error when they succeed, at level debug. Nil means that
	// nothing is logged.
	Log *slog.Logger `yaml:"-"`
}

// Origin runs a program. It is made by New, and is safe for concurrent use.
type Origin struct {
	Config
	path    string // of the program
	env     []string
	options bool // a key that begins with "-" would be an option
	slots   chan struct{}
}

// placeholder stands for the key in an argument.
const placeholder = "{key}"

// Factory makes the origin of a node's group: see origin.Factory.
func Factory(_ context.Context, env origin.Env, decode func(section any) error) (peercache.Getter, error) {
	if !env.AllowCommands {
		return nil, errors.New("command: programs are not allowed to run: want origins: {allow_commands: true} in the configuration of the node")
	}
	return origin.Make(Config{Log: env.Log}, decode, New)
}

// New returns an error if c cannot be right.
func New(c Config) (*Origin, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	// As the program is looked up from here, so is it run from Dir.
	path, err := exec.LookPath(c.Run[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("command: run: %w", err)
	}
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil {
			return nil, fmt.Errorf("command: dir: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("command: dir is %s, which is a file: want a directory", quote.Key(c.Dir))
		}
	}
	c.Run = slices.Clone(c.Run)
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Processes == 0 {
		c.Processes = DefaultProcesses
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Origin{Config: c, path: path, env: c.environment(), options: c.mayBeOption(), slots: make(chan struct{}, c.Processes)}, nil
}

func (c *Config) check() error {
	switch {
	case len(c.Run) == 0 || c.Run[0] == "":
		return errors.New("run is missing: want a program and its arguments, such as [getuser, --, '{key}']")
	case strings.Contains(c.Run[0], placeholder):
		return fmt.Errorf("run begins with %q: want a fixed program, with {key} in its arguments only", c.Run[0])
	case !c.Stdin && !slices.ContainsFunc(c.Run, func(arg string) bool { return strings.Contains(arg, placeholder) }):
		return errors.New("the program does not get the key: want {key} in an argument, or stdin: true")
	case slices.ContainsFunc(c.Run, func(arg string) bool { return strings.IndexByte(arg, 0) >= 0 }):
		return errors.New("run has a NUL byte, which no argument can have")
	case c.NotFound < 0 || c.NotFound > 255:
		return fmt.Errorf("not_found is %d: want an exit status from 1 to 255", c.NotFound)
	case c.Timeout < 0:
		return fmt.Errorf("timeout is %v: want a positive duration, such as 5s", c.Timeout)
	case c.TTL < 0:
		return fmt.Errorf("ttl is %v: want a positive duration, such as 1m", c.TTL)
	case c.MaxBytes < 0:
		return fmt.Errorf("max_bytes is %v: want a size, such as 1MiB", c.MaxBytes)
	case c.Processes < 0 || c.Processes > 10000:
		return fmt.Errorf("processes is %d: want a number from 1 to 10000", c.Processes)
	}
	for name, value := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.IndexByte(value, 0) >= 0 {
			return fmt.Errorf("env has %q: want a name without \"=\", and no NUL bytes", name)
		}
	}
	return nil
}

func (c *Config) environment() []string {
	names := c.Inherit
	if names == nil {
		names = []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SYSTEMROOT", "TEMP", "USERPROFILE"}
	}
	var env []string
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range c.Env { // the last one of a name counts
		env = append(env, name+"="+value)
	}
	return env
}

// mayBeOption reports whether the program could take a key for an option.
func (c *Config) mayBeOption() bool {
	for _, arg := range c.Run[1:] {
		switch {
		case arg == "--":
			return false
		case strings.HasPrefix(arg, placeholder):
			return true
		}
	}
	return false
}

// arguments returns those of the program for a key.
func (o *Origin) arguments(key string) ([]string, error) {
	if o.options && strings.HasPrefix(key, "-") {
		return nil, fmt.Errorf("command: the key %s would be an option of %s: want \"--\" before {key} in run, if the program knows it", quote.Key(key), o.Run[0])
	}
	args := slices.Clone(o.Run)
	for i, arg := range args[1:] {
		if args[i+1] = strings.ReplaceAll(arg, placeholder, key); strings.IndexByte(args[i+1], 0) >= 0 {
			return nil, fmt.Errorf("command: %s cannot be an argument, it has a NUL byte: %w", quote.Key(key), peercache.ErrNotFound)
		}
	}
	return args, nil
}
