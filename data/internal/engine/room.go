package engine

import "context"

// isFull reports whether a command finds no memory, with added, which is not counted yet.
func (e *Engine) isFull(cmd *Command, added int64) bool {
	return cmd.Flags&Grows != 0 && e.cfg.Bytes > 0 && !e.replaying && e.Used()+added > e.cfg.Bytes
}

// lockWithRoom locks the shards of a command when there is room for it. Others may have taken what there was while it waited
// for the locks: each command would go beyond the bound by itself. It returns ErrFull, or the error of ctx if that ends first.
func (e *Engine) lockWithRoom(ctx context.Context, cmd *Command, set shardSet, write bool) (held shardSet, err error) {
	for {
		held, err = e.lockWithin(ctx, set, write)
		if err != nil {
			return 0, err
		}
		if !e.isFull(cmd, 0) {
			return held, nil
		}
		e.unlock(held, write)
		if err := e.makeRoom(); err != nil {
			return 0, err
		}
	}
}

// makeRoom has keys of the shards that t holds leave until there is room.
func (t *txn) makeRoom() error {
	for t.e.Used()+t.delta > t.e.cfg.Bytes {
		if t.e.cfg.Evict == NoEviction || !t.evict() {
			return ErrFull
		}
	}
	return nil
}

// evict has a key of the shards that t holds leave, and returns false if there is none that may.
func (t *txn) evict() bool {
	return t.e.tryShards(func(i int) bool { return t.held&(1<<i) != 0 && t.evictFrom(i) })
}

// someRoom is how much a command may always add if there is any room.
const someRoom = 1 << 20

// Room returns ErrFull if a command cannot have n bytes more, because the bound is near. Those that may add much at one time ask
// before they make it: the bound is checked before a command otherwise, and would be passed by as much.
func (c *Call) Room(n int64) error {
	e := c.t.e
	if n <= someRoom || e.cfg.Bytes <= 0 || e.replaying {
		return nil
	}
	free := e.cfg.Bytes
	if e.cfg.Evict == NoEviction { // else the next command makes room
		free -= e.Used() + c.t.delta
	}
	if n > free {
		return ErrFull
	}
	return nil
}

// RoomFor is Room for another one of what a node is.
func (c *Call) RoomFor(n *Node) error { return c.Room(bytesOf(n)) }
