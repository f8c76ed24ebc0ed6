package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A removal is a Remove.
type removal struct {
	node     *clusterNode // that was told
	key      *writtenKey
	at, ends time.Time
	pending  pendingPeers // whom its error names; none: it was nil
	err      error        // that it had no such answer
}

// A look is a Get of a key that is written to.
type look struct {
	at    time.Time
	stale bool // older than the last Remove that had returned nil before the Get began
	err   error
}

// watch looks for stale values while faults are done to a cluster: one writer a key changes
// the origin and then calls Remove at a random node, and readers ask random nodes.
type watch struct {
	cluster *cluster
	keys    []*writtenKey
	stop    func()
	all     sync.WaitGroup

	mu       sync.Mutex
	removals []removal // guarded by mu
	looks    []look    // guarded by mu
}

type writtenKey struct {
	name    string
	owner   string       // the node that loads it when all is well
	removed atomic.Int64 // the version that a Remove which returned nil came after
}

// startWatch has writers and readers at work until end is called.
func startWatch(f *cluster) (*watch, error) {
	w := &watch{cluster: f}
	for i := range f.scale.written {
		w.keys = append(w.keys, &writtenKey{name: fmt.Sprint(writtenPrefix, i)})
	}
	for _, k := range w.keys {
		if err := sweep(f.nodes, []string{k.name}); err != nil {
			return nil, err
		}
		k.owner = f.origin.by(k.name)[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	for _, k := range w.keys {
		w.all.Go(func() {
			for ctx.Err() == nil {
				w.write(k)
				pause(ctx, writerPause)
			}
		})
	}
	for range f.scale.callers {
		w.all.Go(func() {
			for ctx.Err() == nil {
				w.read(w.keys[rand.IntN(len(w.keys))])
				pause(ctx, callerPause)
			}
		})
	}
	return w, nil
}

// end has all of them leave. There may be none.
func (w *watch) end() {
	if w == nil {
		return
	}
	w.stop()
	w.all.Wait()
}

// write is called by the key's only writer.
func (w *watch) write(k *writtenKey) {
	version := w.cluster.origin.write(k.name)
	r := removal{key: k, at: time.Now(), err: errAllShut}
	w.cluster.atRandom(func(n *clusterNode) {
		// Its answer comes when the node's patience is at its end, or else never.
		ctx, cancel := context.WithTimeout(context.Background(), 2*w.cluster.scale.remove)
		defer cancel()
		r.node = n
		r.pending, r.err = n.remove(ctx, k.name)
	})
	r.ends = time.Now()
	if r.err == nil && len(r.pending) == 0 {
		k.removed.Store(version)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removals = append(w.removals, r)
}

func (w *watch) read(k *writtenKey) {
	least := k.removed.Load() // before the node is asked
	l := look{at: time.Now(), err: errAllShut}
	ctx, cancel := context.WithTimeout(context.Background(), w.cluster.scale.patience)
	defer cancel()
	w.cluster.atRandom(func(n *clusterNode) {
		var value []byte
		if value, _, l.err = n.get(ctx, k.name); l.err != nil {
			return
		}
		var version int64
		version, l.err = versionOf(value)
		l.stale = l.err == nil && version < least
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = append(w.looks, l)
}

// removalFigures are what came of Removes, and of reads, in some time.
type removalFigures struct {
	removes int
	nils    int
	named   int // errors that name peers which could not be reached, and nobody else
	tooMany int // errors that name others too
	wrong   int // that do not name the owner, although it could not be reached, or were no answer

	reads, failed, stale int
	firstError           error
}

// a split is who could not reach whom, for some time.
type split struct {
	from, to time.Time
	// lasting says that nobody could all the time, as opposed to some of it.
	lasting bool
	// cut returns those that a node could not reach, in the order of their names.
	cut func(n *clusterNode) []string
}

// within returns the figures of the Removes and reads that began in that time, of Removes
// only if they ended in it too.
func (w *watch) within(s split) (f removalFigures) {
	if w == nil {
		return f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.removals {
		if !r.at.Before(s.from) && r.ends.Before(s.to) {
			f.count(r, s)
		}
	}
	for _, l := range w.looks {
		if l.at.Before(s.from) || !l.at.Before(s.to) {
			continue
		}
		f.reads++
		switch {
		case l.err != nil:
			f.failed++
			f.firstError = l.err
		case l.stale:
			f.stale++
		}
	}
	return f
}

// count counts a Remove. Where it could not reach the owner it has to name that, because it
// cannot wait until the owner has nothing any more. Of others it may have outlasted what
// they had. It has no reason to name one that it could reach.
func (f *removalFigures) count(r removal, s split) {
	f.removes++
	cut := s.cut(r.node)
	strange := func(name string) bool { return !slices.Contains(cut, name) }
	switch {
	case r.err != nil:
		f.wrong++
		f.firstError = r.err
	case s.lasting && slices.Contains(cut, r.key.owner) && !slices.Contains(r.pending, r.key.owner):
		f.wrong++
		f.firstError = fmt.Errorf("a Remove at %s of a key of %s, which it could not reach, named %q",
			r.node.name, r.key.owner, r.pending)
	case slices.ContainsFunc(r.pending, strange):
		f.tooMany++
	case len(r.pending) == 0:
		f.nils++
	default:
		f.named++
	}
}

// awaitNil removes all keys at all nodes until that is nil, and returns an error if one of
// them does not become so.
func (w *watch) awaitNil() error {
	if w == nil {
		return nil
	}
	for _, k := range w.keys {
		for _, n := range w.cluster.nodes {
			if err := w.cluster.awaitNil(n, k.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *cluster) awaitNil(n *clusterNode, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), wholePatience)
	defer cancel()
	for {
		pending, err := n.remove(ctx, key)
		switch {
		case err != nil:
			return fmt.Errorf("a Remove at %s after the fault: %w", n.name, err)
		case len(pending) == 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("a Remove at %s after the fault still names %q", n.name, pending)
		}
		pause(ctx, writerPause)
	}
}

// broken returns an error if a promise was.
func (f removalFigures) broken(when string) error {
	switch {
	case f.stale > 0:
		return fmt.Errorf("%s: %d of %d reads were stale", when, f.stale, f.reads)
	case f.wrong > 0:
		return fmt.Errorf("%s: %d of %d Removes were wrong: %w", when, f.wrong, f.removes, f.firstError)
	case f.failed > 0:
		return fmt.Errorf("%s: %d of %d reads failed: %w", when, f.failed, f.reads, f.firstError)
	case f.reads == 0 || f.removes == 0:
		return fmt.Errorf("%s: nothing was read, or nothing removed", when)
	}
	return nil
}

func newRemovalTable() *table {
	return newTable("peercache", "Removes", "nil", "error", "names others too", "WRONG", "reads", "failed", "STALE")
}

func (f removalFigures) addTo(t *table, when string) {
	t.add(when, f.removes, f.nils, f.named, f.tooMany, f.wrong, f.reads, f.failed, f.stale)
}
