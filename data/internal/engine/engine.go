package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/pubsub"
)

// Config is what an Engine is made of.
type Config struct {
	Commands Table
	// Kinds are those of the Objects that the commands make.
	Kinds []*Kind
	// Bytes is the memory that data may take. 0: no bound.
	Bytes int64
	// Evict has keys leave where there is no room, instead of having commands fail.
	Evict Eviction
	// Now returns the time, in milliseconds since 1970. nil: the clock of the machine.
	Now func() int64
	// Log gets what changes. nil: nobody.
	Log Log
	// ReadsWait has commands that only read wait for the log as those that write do: what they reply is then as safe.
	ReadsWait bool
}

// Engine keeps data.
type Engine struct {
	cfg    Config
	kinds  map[byte]*Kind
	shards [shardCount]shard

	// gate is shared by who locks several shards, and had alone by a Tx. It is locked before shards are.
	gate sync.RWMutex
	txs  chan struct{} // has a token while there is a Tx

	used    atomic.Int64  // bytes of all keys, and of the tables
	seconds atomic.Uint32 // the clock of Entry.used
	waiting atomic.Int64  // commands
	events  events

	// snap is the snapshot that is being taken. It is changed with all shards locked, and read with one locked.
	snap *snapshot
	mark uint16 // of the last snapshot, as snap

	broken atomic.Pointer[panicked] // why nothing may be written any more; nil: it may
	panics atomic.Int64

	replaying bool // nothing expires, nothing is logged: set before there is anybody else

	Evicted, Expired atomic.Int64 // keys
	Blocked          atomic.Int64 // commands that wait now

	// Messages is the channels of PUBLISH.
	Messages pubsub.Hub
	changed  hooks[func(keys []string, all bool)]
	slow     hooks[slowHook] // while there are none, commands take no time

	stop    chan struct{}
	closed  atomic.Bool // stop is closed
	stopped sync.WaitGroup
	closing sync.Once
}

// New makes an Engine. Start has to be called when what was stored is loaded.
func New(cfg Config) (*Engine, error) {
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixMilli() }
	}
	e := &Engine{cfg: cfg, kinds: make(map[byte]*Kind), stop: make(chan struct{}), txs: make(chan struct{}, 1)}
	for _, k := range append([]*Kind{String}, cfg.Kinds...) {
		if e.kinds[k.ID] != nil {
			return nil, errors.New("data: two kinds of values have one number")
		}
		e.kinds[k.ID] = k
	}
	for i := range e.shards {
		e.shards[i].keys.Store(dict.New[Entry](shardBits))
	}
	e.seconds.Store(uint32(cfg.Now() / 1000))
	return e, nil
}

// Start begins to remove what has expired.
func (e *Engine) Start() { e.stopped.Go(e.sweepUntilStopped) }

// ErrClosed is what commands return when the engine is closed.
var ErrClosed = errors.New("data: closed")

// Close ends what Start has begun. Commands that wait end with ErrClosed, and so do those that come later.
func (e *Engine) Close() {
	e.closing.Do(func() {
		e.closed.Store(true)
		close(e.stop)
	})
	e.stopped.Wait()
}

// OnChange has f be told of the keys that a command or a transaction has changed, until stop is called, with locks held: it must not wait. all means all keys.
// What is read after OnChange has returned is what it was before a change that f is told of, or later.
func (e *Engine) OnChange(f func(keys []string, all bool)) (stop func()) { return e.changed.add(&f) }

// Commands returns the commands.
func (e *Engine) Commands() Table { return e.cfg.Commands }

// Used returns the memory that the data takes.
func (e *Engine) Used() int64 { return e.used.Load() }

// Logged reports whether what changes goes to a log.
func (e *Engine) Logged() bool { return e.cfg.Log != nil }

// Eviction returns which keys leave where there is no room.
func (e *Engine) Eviction() Eviction { return e.cfg.Evict }

// Limit returns the memory that the data may take, or 0.
func (e *Engine) Limit() int64 { return e.cfg.Bytes }

// Len returns the number of keys, those among them that have expired and were not looked at since.
func (e *Engine) Len() (n int) {
	for i := range e.shards {
		n += e.shards[i].keys.Load().Len()
	}
	return n
}

// Volatile returns how many keys expire.
func (e *Engine) Volatile() (n int) {
	for i := range e.shards {
		n += int(e.shards[i].volatile.Load())
	}
	return n
}
