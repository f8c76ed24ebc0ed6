package aof

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// replayBatch is how many bytes of records are handed over at once.
	replayBatch = 64 << 10
	// replayAhead is how many batches a worker is behind at most.
	replayAhead = 8
)

// replayer replays records: those of one shard in their order, and those of several when all before are done, and before all that follow.
type replayer struct {
	store   Store
	workers []chan *records
	filling []*records // by worker
	pending sync.WaitGroup
	running sync.WaitGroup
	spare   sync.Pool
	failed  atomic.Pointer[error]
}

// records are records of one segment, one behind the other.
type records struct {
	bytes []byte
	ends  []recordEnd
}

// recordEnd is the end of a record in records, and its place in the segment.
type recordEnd struct {
	end int
	at  int64
}

func newReplayer(s Store) *replayer {
	r := &replayer{store: s, workers: make([]chan *records, runtime.GOMAXPROCS(0))}
	r.filling = make([]*records, len(r.workers))
	r.spare.New = func() any { return new(records) }
	for i := range r.workers {
		r.workers[i] = make(chan *records, replayAhead)
		r.running.Go(func() {
			for batch := range r.workers[i] {
				r.run(batch)
			}
		})
	}
	return r
}

// add has a record replayed, which is at that offset. It keeps nothing of it.
func (r *replayer) add(at int64, record []byte) error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	shard, ok := r.store.ShardOf(text(record))
	if !ok {
		if err := r.wait(); err != nil {
			return err
		}
		return r.replay(at, record)
	}
	i := shard % len(r.workers)
	batch := r.filling[i]
	if batch == nil {
		batch = r.spare.Get().(*records)
		r.filling[i] = batch
	}
	batch.bytes = append(batch.bytes, record...)
	batch.ends = append(batch.ends, recordEnd{len(batch.bytes), at})
	if len(batch.bytes) >= replayBatch {
		r.send(i)
	}
	return nil
}

// text returns b as a string, which is valid as long as b.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (r *replayer) replay(at int64, record []byte) error {
	if err := r.store.Replay(text(record)); err != nil {
		return fmt.Errorf("the record at offset %d: %w", at, err)
	}
	return nil
}

func (r *replayer) send(i int) {
	r.pending.Add(1)
	r.workers[i] <- r.filling[i]
	r.filling[i] = nil
}

func (r *replayer) run(batch *records) {
	defer r.pending.Done()
	begin := 0
	for _, e := range batch.ends {
		if r.failed.Load() != nil {
			break
		}
		if err := r.replay(e.at, batch.bytes[begin:e.end]); err != nil {
			r.failed.CompareAndSwap(nil, &err)
		}
		begin = e.end
	}
	if cap(batch.bytes) <= 4*replayBatch {
		batch.bytes, batch.ends = batch.bytes[:0], batch.ends[:0]
		r.spare.Put(batch)
	}
}

// wait returns when all records were replayed.
func (r *replayer) wait() error {
	for i, batch := range r.filling {
		if batch != nil {
			r.send(i)
		}
	}
	r.pending.Wait()
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// close ends the workers.
func (r *replayer) close() {
	for _, c := range r.workers {
		close(c)
	}
	r.running.Wait()
}
