package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/peercache/peercache/data/internal/dict"
)

// snapshot is one that is being taken: the state of a moment. Who changes a key afterwards that the snapshot does not have
// yet appends it first.
type snapshot struct {
	mu    sync.Mutex
	block []byte // entries that are not written
	// removed are the tables that were there when the snapshot began, of shards of which all keys were removed since. The locks of the shards guard
	// them.
	removed [shardCount]*dict.Dict[Entry]
}

// ErrSnapshot says that a snapshot is taken already.
var ErrSnapshot = errors.New("data: another snapshot is being taken")

// snapshotBlock is how many bytes are collected before they are written.
const snapshotBlock = 256 << 10

// Snapshot calls begin while nobody can change anything, and then write with blocks of all entries of that moment, while others
// go on. A block is good for Load. write may keep no block.
func (e *Engine) Snapshot(ctx context.Context, begin func() error, write func(block []byte) error) error {
	held := e.lock(allShards, true)
	if e.snap != nil {
		e.unlock(held, true)
		return ErrSnapshot
	}
	snap := &snapshot{}
	err := begin()
	if err == nil {
		e.snap = snap
		e.nextMark()
	}
	e.unlock(held, true)
	if err != nil {
		return err
	}
	err = e.writeSnapshot(ctx, snap, write)
	held = e.lock(allShards, true)
	e.snap = nil
	e.unlock(held, true)
	return err
}

// nextMark takes the next mark, which no node has. All shards are locked.
func (e *Engine) nextMark() {
	if e.mark++; e.mark != 0 {
		return
	}
	for i := range e.shards { // what a snapshot of long ago did not come to must not look as if this one had it
		e.shards[i].keys.Load().All(func(n *Node) bool {
			n.Value.mark = 0
			return true
		})
	}
	e.mark = 1
}

// writeSnapshot walks through all shards.
func (e *Engine) writeSnapshot(ctx context.Context, snap *snapshot, write func(block []byte) error) error {
	var spare []byte
	flush := func(least int) error {
		snap.mu.Lock()
		if len(snap.block) <= least {
			snap.mu.Unlock()
			return nil
		}
		block := snap.block
		snap.block = spare[:0]
		snap.mu.Unlock()
		spare = block
		return write(block)
	}
	for i := range e.shards {
		s := &e.shards[i]
		place := uint64(i) << (64 - shardBits)
		for first := true; first || place != 0; first = false {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.mu.Lock()
			keys := s.keys.Load()
			if snap.removed[i] != nil {
				keys = snap.removed[i]
			}
			place = keys.Scan(place, snapshotNode(e, snap))
			s.mu.Unlock()
			if err := flush(snapshotBlock); err != nil {
				return err
			}
		}
	}
	return flush(0)
}

func snapshotNode(e *Engine, snap *snapshot) func(n *Node) {
	return func(n *Node) {
		if n.Value.mark != e.mark {
			n.Value.mark = e.mark
			snap.append(n)
		}
	}
}

// before has a snapshot that is being taken get a node before it changes.
func (t *txn) before(n *Node) {
	if snap := t.e.snap; snap != nil && n.Value.mark != t.e.mark {
		n.Value.mark = t.e.mark
		snap.append(n)
	}
}

// keepForSnapshot has a snapshot that is being taken keep the table of a shard that gets another one. The shard is locked.
func (e *Engine) keepForSnapshot(i int) {
	if e.snap != nil && e.snap.removed[i] == nil {
		e.snap.removed[i] = e.shards[i].keys.Load()
	}
}

// An entry of a snapshot is the ID of its kind, its expiry, the length of its key, the key, the length of what
// follows, and that: the string, or what the object's AppendTo has written.
func (s *snapshot) append(n *Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block = AppendEntry(s.block, n)
}

// AppendEntry appends an entry as blocks of snapshots have them.
func AppendEntry(b []byte, n *Node) []byte {
	b = append(b, n.Value.Kind().ID)
	b = binary.AppendVarint(b, n.Value.Expire)
	b = binary.AppendUvarint(b, uint64(len(n.Key)))
	b = append(b, n.Key...)
	if n.Value.Object == nil {
		b = binary.AppendUvarint(b, uint64(len(n.Value.Str)))
		return append(b, n.Value.Str...)
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0)
	b = n.Value.Object.AppendTo(b)
	putUvarint5(b[at:], uint64(len(b)-at-5))
	return b
}

// putUvarint5 writes a number of up to 35 bits in 5 bytes.
func putUvarint5(b []byte, n uint64) {
	for i := range 4 {
		b[i] = byte(n>>(7*i)) | 0x80
	}
	b[4] = byte(n >> 28)
}

// Entries calls do with each entry of a block.
func (e *Engine) Entries(block []byte, do func(key string, entry *Entry) error) error {
	for len(block) > 0 {
		id := block[0]
		expire, n := binary.Varint(block[1:])
		if n <= 0 {
			return errors.New("an entry of a snapshot ends early")
		}
		key, rest, ok := cutText(block[1+n:])
		if !ok {
			return errors.New("an entry of a snapshot ends early")
		}
		value, rest, ok := cutText(rest)
		if !ok {
			return fmt.Errorf("the value of the key %q ends early", key)
		}
		kind := e.kinds[id]
		if kind == nil {
			return fmt.Errorf("the key %q has a kind %d, which there is not", key, id)
		}
		entry := Entry{Expire: expire}
		if kind == String {
			entry.Str = string(value)
		} else {
			object, err := kind.Decode(value)
			if err == nil && object.Len() == 0 {
				err = errors.New("it is empty")
			}
			if err != nil {
				return fmt.Errorf("the %s of the key %q: %w", kind.Name, key, err)
			}
			entry.Object = object
		}
		if err := do(string(key), &entry); err != nil {
			return err
		}
		block = rest
	}
	return nil
}

// Load puts the entries of a block into an engine that replays. Blocks may be loaded at the same time.
func (e *Engine) Load(block []byte) error {
	t := e.begin(0)
	defer t.free()
	err := e.Entries(block, func(key string, entry *Entry) error {
		n := &Node{Key: key, Value: Entry{Str: entry.Str, Object: entry.Object, Expire: entry.Expire}}
		n.Value.used.Store(e.seconds.Load())
		t.held = e.lock(setOf(key), true)
		defer e.unlock(t.held, true)
		s, hash := t.shard(key)
		t.swap(s, hash, s.keys.Load().GetHashed(key, hash), n)
		return nil
	})
	e.used.Add(t.delta)
	return err
}

func cutText(b []byte) (text, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}
