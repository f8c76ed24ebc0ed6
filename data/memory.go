package data

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/peercache/peercache/data/internal/aof"
	"github.com/peercache/peercache/data/internal/bridge"
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/engine"
)

// Memory is the driver that keeps data in the memory of this process. It is made by NewMemory.
type Memory struct {
	engine      *engine.Engine
	opts        memoryOptions
	subscribers subscribers
	log         *aof.Log // nil: there is none
	listeners   listeners
	snapshots   chan struct{} // has a token while one is taken or restored; with a log, that sees to it
}

// MemoryOption changes what a Memory does.
type MemoryOption func(*memoryOptions) error

type memoryOptions struct {
	bytes    int64
	eviction Eviction
	commands []engine.Command
	notify   string // as SetNotifications takes it
	logDir   string
	disk     func() (disk.Disk, error) // has the log
	log      *aof.Options              // nil: there is no log
}

// WithBytes bounds the memory that data takes: keys, values and what belongs to them. Beyond it commands that add something fail with
// ErrFull. A command that finds room may go beyond n by what it adds itself; without WithEviction, one that makes much of little (SETRANGE, SETBIT,
// BITOP, COPY) does so by no more than 1 MiB. The default is no bound.
func WithBytes(n int64) MemoryOption {
	return func(o *memoryOptions) error {
		if n <= 0 {
			return fmt.Errorf("WithBytes(%d): want more than zero", n)
		}
		o.bytes = n
		return nil
	}
}

// WithNotifications publishes what happens to keys, in the channels __keyspace@0__:KEY and __keyevent@0__:EVENT. flags say what, as
// Redis' notify-keyspace-events does: KEA is all. Without it that is nothing, until a client says so by CONFIG SET. Go programs use Subscribe.
func WithNotifications(flags string) MemoryOption {
	return func(o *memoryOptions) error {
		if err := new(engine.Engine).SetNotifications(flags); err != nil {
			return fmt.Errorf("WithNotifications(%q): %w", flags, err)
		}
		o.notify = flags
		return nil
	}
}

// NewMemory makes a Memory.
func NewMemory(opts ...MemoryOption) (*Memory, error) {
	m := &Memory{snapshots: make(chan struct{}, 1)}
	for _, opt := range opts {
		if err := opt(&m.opts); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	table, err := engine.NewTable(append(builtin.Commands(), m.opts.commands)...)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	cfg := engine.Config{Commands: table, Kinds: builtin.Kinds(), Bytes: m.opts.bytes, Evict: engine.Eviction(m.opts.eviction)}
	if m.opts.log != nil {
		if err := m.openLog(); err != nil {
			return nil, fmt.Errorf("data: the log in %s: %w", m.opts.logDir, err)
		}
		cfg.Log, cfg.ReadsWait = m.log, m.opts.log.Sync == aof.Always
	}
	m.engine, err = engine.New(cfg)
	if err == nil && m.log != nil {
		err = m.recover()
	}
	if err == nil && m.opts.notify != "" { // what the log has is no news
		err = m.engine.SetNotifications(m.opts.notify)
	}
	if err != nil {
		return nil, errors.Join(err, m.closeLog())
	}
	m.engine.Start()
	return m, nil
}

func init() { bridge.EngineOf = func(memory any) *engine.Engine { return memory.(*Memory).engine } }

// Close implements Driver. What was written is in the log then, on the disk. Commands that wait end with ErrClosed, and so do those that come later.
func (m *Memory) Close() error {
	m.engine.Close()
	m.subscribers.close(m.engine)
	m.listeners.close()
	return m.closeLog()
}

func (m *Memory) closeLog() error {
	if m.log == nil {
		return nil
	}
	return m.log.Close()
}

// Do implements Driver.
func (m *Memory) Do(ctx context.Context, cmds ...Cmd) ([]Reply, error) {
	replies := make([]Reply, len(cmds))
	r := requests.Get().(*request)
	defer r.free()
	for i := range cmds {
		if err := m.run(ctx, r, r.argsOf(&cmds[i]), &replies[i]); err != nil {
			return replies[:i], err
		}
	}
	return replies, nil
}

// do runs one command. Its reply may be an ErrorReply.
func (m *Memory) do(ctx context.Context, args []string) (reply Reply, err error) {
	r := requests.Get().(*request)
	defer r.free()
	err = m.run(ctx, r, args, &r.reply)
	return r.reply, err
}

// run runs one command, whose reply it puts into to. If there is an error, what is there means nothing.
func (m *Memory) run(ctx context.Context, r *request, args []string, to *Reply) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.cmd == nil || args[0] != r.name || !r.cmd.Fits(len(args)) {
		cmd, err := m.find(args)
		if err != nil {
			*to = Reply{Kind: ErrorReply, Str: err.Error()}
			return nil
		}
		r.name, r.cmd = args[0], cmd
	}
	r.to = to
	return ofEngine(m.engine.Run(ctx, r.cmd, args, &r.builder))
}

// request is what a command needs while it runs, and what the next one may use again.
type request struct {
	builder
	args  []string
	reply Reply // of do
	name  string
	cmd   *engine.Command // has that name; nil: none was called yet
}

var requests = sync.Pool{New: func() any { return new(request) }}

// mostArgs is how many arguments may be kept room for.
const mostArgs = 64

// argsOf returns the arguments of a command, its name first, until the next call.
func (r *request) argsOf(cmd *Cmd) []string {
	clear(r.args) // the next ones may be fewer, and nothing of these must stay behind them
	r.args = append(append(r.args[:0], cmd.Name), cmd.Args...)
	return r.args
}

func (r *request) free() {
	clear(r.args)
	clear(r.open[:cap(r.open)])
	r.to, r.open, r.reply, r.name, r.cmd = nil, r.open[:0], Reply{}, "", nil
	if cap(r.args) > mostArgs {
		r.args = nil
	}
	requests.Put(r)
}

// GetString implements StringGetter. It takes no lock, and no memory, but where a change of several steps is under way, and with SyncAlways.
func (m *Memory) GetString(ctx context.Context, key string) (string, bool, error) {
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	if s, ok, clean := m.engine.GetString(key); clean {
		return s, ok, nil
	}
	reply, err := m.do(ctx, []string{"get", key})
	if err != nil || reply.Kind == NullReply {
		return "", false, err
	}
	s, err := reply.Text()
	return s, err == nil, err
}

// memoryDoer is the doer that stands on a Memory.
type memoryDoer struct{ m *Memory }

func (d memoryDoer) do(ctx context.Context, args []string) (Reply, error) {
	reply, err := d.m.do(ctx, args)
	if err != nil {
		return Reply{}, err
	}
	return checked(reply)
}

// find returns the command that args call, or why there is none.
func (m *Memory) find(args []string) (*engine.Command, error) { return find(m.engine.Commands(), args) }

func find(table engine.Table, args []string) (*engine.Command, error) {
	cmd := table.Find(args[0])
	switch {
	case cmd == nil:
		return nil, engine.Error(fmt.Sprintf("ERR unknown command '%.128s'", args[0]))
	case !cmd.Fits(len(args)):
		return nil, engine.Error("ERR wrong number of arguments for '" + cmd.Name + "' command")
	}
	return cmd, nil
}

// Run runs one command, whose name is args[0], and writes its reply to w, as it is made: for front doors, which need no Reply. Until Run
// returns, w may be used by other goroutines, and must not wait for anything. Arguments may change once Run has returned.
func (m *Memory) Run(ctx context.Context, w ReplyWriter, args ...string) error {
	cmd, err := m.find(args)
	if err != nil {
		w.Error(err.Error())
		return nil
	}
	return ofEngine(m.engine.Run(ctx, cmd, args, w))
}

// ReplyWriter takes the parts of a reply.
type ReplyWriter = engine.Writer
