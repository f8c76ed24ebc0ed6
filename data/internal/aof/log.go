package aof

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data/internal/disk"
)

// Policy says when what was appended is synced.
type Policy uint8

// The policies.
const (
	Interval Policy = iota // at intervals
	Always                 // before Wait returns
	Never                  // when the operating system likes to, and when a segment or the log ends
)

// Options are those of a Log.
type Options struct {
	Sync Policy
	// Interval is the time from one sync to the next, if Sync is Interval.
	Interval time.Duration
	// The log is rewritten when it and the snapshot have at least RewriteLeast bytes, and the log has RewriteGrowth per cent of the
	// bytes of the snapshot. A RewriteGrowth of 0 means never.
	RewriteGrowth int
	RewriteLeast  int64
	Logger        *slog.Logger
}

// Store is what is logged.
type Store interface {
	Replaying(bool)
	Load(block []byte) error
	Replay(record string) error
	// ShardOf returns the only shard of a record, if there is only one. Records of different shards are replayed at the same time.
	ShardOf(record string) (shard int, ok bool)
	Snapshot(ctx context.Context, begin func() error, write func(block []byte) error) error
}

const (
	// bufferMost is how many bytes are collected before Append waits for the disk.
	bufferMost = 64 << 20
	// bufferMuch is how many bytes are written without waiting for more.
	bufferMuch = 1 << 20
	// bufferKeep is the capacity of a buffer that is used again.
	bufferKeep = 4 << 20
)

// The errors of a Log that is no more.
var (
	ErrClosed  = errors.New("the log is closed")
	ErrTooLong = errors.New("a record is longer than the log can have it")
)

// fullError says that the disk is full. It is the only failure that may end.
type fullError struct{ err error }

func (e *fullError) Error() string {
	return "the disk of the log is full, and it is tried again: " + e.err.Error()
}
func (e *fullError) Unwrap() error { return e.err }

// Log is the log. It implements engine.Log.
type Log struct {
	disk  disk.Disk
	opts  Options
	store Store
	lock  io.Closer

	durable  atomic.Uint64 // position up to which all is durable
	position atomic.Uint64 // of the last record; changed with mu held
	failure  atomic.Pointer[error]

	mu       sync.Mutex
	buf      []byte     // frames that are not in queue, after room for a mark
	spare    []byte     // the next buf
	seed     uint32     // of the segment that buf is for
	queue    []batch    // what is to be written before
	buffered int        // bytes in buf, queue and unwritten
	late     bool       // a sync takes too long: Append waits
	room     *sync.Cond // late ends, or buffered shrinks
	taken    uint64     // position up to which the flush that is under way goes
	current  *group     // waits for that flush
	next     *group     // waits for the one after it
	expect   int        // how many of next are expected: so many have waited before
	tail     []extent   // segments of which recovery needs the records
	base     int64      // size of the snapshot that counts
	closed   bool

	// The flush that is under way has the rest, by flushing.
	flushing  sync.Mutex
	unwritten []batch
	segment   *segment
	written   uint64 // position up to which all is written

	wake    chan struct{} // there is something to write
	hurry   chan struct{} // there is much, or all who are expected wait
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	// rewriting is filled by who takes a snapshot, or replaces the data.
	rewriting chan struct{}
	copying   sync.Mutex // blocks that are restored
	last      uint64     // the number of the last segment that was made
	manifest  manifest
	stats     counters
}

// batch is frames that are written at once, after a mark. The first markSize bytes are room for it.
type batch struct {
	frames []byte
	end    uint64 // position
	marked bool
	next   *segment // what follows goes there
}

// group is some who wait for the same sync.
type group struct {
	done  chan struct{}
	count int
	err   error // when done is closed
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// extent is a segment with its size.
type extent struct {
	number uint64
	size   int64
}

// New returns the log of a directory, which it locks. Nothing may be appended before Recover.
func New(d disk.Disk, opts Options) (*Log, error) {
	lock, err := d.Lock()
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	l := &Log{disk: d, opts: opts, lock: lock, next: newGroup(), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		rewriting: make(chan struct{}, 1), buf: make([]byte, markSize)}
	l.room = sync.NewCond(&l.mu)
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.position.Store(1) // engine.Log has 0 stand for none
	l.durable.Store(1)
	l.written = 1
	return l, nil
}

// Append implements engine.Log. It waits for the disk if the disk is far behind.
func (l *Log) Append(record []byte) (uint64, error) {
	if uint64(len(record)) > longest {
		l.fail(ErrTooLong)
	}
	sum := frameSum(uint32(len(record)), record)
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.buffered >= bufferMost || l.late) && l.Err() == nil {
		l.stats.stalls.Add(1)
		l.room.Wait()
	}
	position := l.position.Add(uint64(frameSize + len(record)))
	if err := l.lost(); err != nil {
		return position, err // which will never be durable, so that nobody waits for it in vain
	}
	if len(l.buf) == markSize {
		poke(l.wake)
	}
	l.buf = appendFrame(l.buf, uint32(len(record)), sum^l.seed, record)
	l.buffered += frameSize + len(record)
	if l.buffered > bufferMuch && l.opts.Sync != Always {
		poke(l.hurry)
	}
	return position, nil
}

// poke sends to a channel that has room for one, if there is room.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Position implements engine.Log.
func (l *Log) Position() uint64 { return l.position.Load() }

// Durable returns the position up to which all is on the disk.
func (l *Log) Durable() uint64 { return l.durable.Load() }

// Wait implements engine.Log. If nothing else is to be waited for, it returns at once.
func (l *Log) Wait(ctx context.Context, position uint64) error {
	if l.opts.Sync != Always {
		return nil
	}
	for l.durable.Load() < position {
		l.mu.Lock()
		if l.durable.Load() >= position {
			l.mu.Unlock()
			return nil
		}
		if err := l.Err(); err != nil {
			l.mu.Unlock()
			return err
		}
		g := l.next
		if position <= l.taken && l.current != nil {
			g = l.current
		}
		if g.count++; g == l.next && g.count == l.expect {
			poke(l.hurry)
		}
		l.mu.Unlock()
		select {
		case <-g.done:
			if g.err != nil {
				return g.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Err implements engine.Log.
func (l *Log) Err() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// lost returns Err, if it will not end.
func (l *Log) lost() error {
	err := l.Err()
	if _, full := err.(*fullError); full {
		return nil
	}
	return err
}

// fail notes that nothing can be appended. Only a full disk gets well again: after any other error nothing is known of what is
// on the disk, and a restart, which reads it, is the way out.
func (l *Log) fail(err error) {
	if disk.Full(err) {
		err = &fullError{err}
	} else if err != ErrClosed {
		err = fmt.Errorf("the process has to be started anew: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost() != nil {
		return
	}
	if l.Err() == nil && err != ErrClosed {
		l.opts.Logger.Error("data: nothing can be written", "err", err)
	}
	l.failure.Store(&err)
	l.room.Broadcast()
	if l.lost() != nil {
		l.next.err = err
		close(l.next.done)
		l.next = newGroup()
	}
}

// wellAgain notes that a full disk has room again.
func (l *Log) wellAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Err() != nil && l.lost() == nil {
		l.failure.Store(nil)
		l.opts.Logger.Info("data: the disk of the log has room again")
	}
}

// segment is a file that is written.
type segment struct {
	header
	file   disk.File
	size   int64
	synced int64 // how much of it is durable
}

// mark writes a mark into the room for it, which says how much is durable.
func (s *segment) mark(b *batch) {
	if b.marked {
		return
	}
	s.appendNote(b.frames[:0], markLength, uint64(s.size), uint64(s.synced))
	b.marked = true
}

// createSegment makes a segment, with a header, whose name is durable: also where a file of that name is there, whose name a sync may have failed to
// make durable.
func (l *Log) createSegment(number uint64) (*segment, error) {
	h := newHeader(segmentMagic, number)
	name := segmentName(number)
	f, err := l.disk.Create(name + temporaryExt)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(h.append(nil), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.disk.Rename(name+temporaryExt, name)
	}
	if err == nil {
		err = l.disk.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.last = max(l.last, number)
	return &segment{header: h, file: f, size: headerSize, synced: headerSize}, nil
}

// isMark reports whether a mark begins at offset at of b, and what it says.
func (h header) isMark(b []byte, at int64) (synced int64, ok bool) {
	if len(b) < markSize || binary.LittleEndian.Uint32(b) != markLength {
		return 0, false
	}
	payload := b[frameSize:markSize]
	nonce, offset, y := parseNote(payload)
	ok = nonce == h.nonce && offset == uint64(at) && frameSum(markLength, payload)^h.seed() == binary.LittleEndian.Uint32(b[4:])
	return int64(y), ok
}
