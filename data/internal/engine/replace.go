package engine

// Stage returns an engine without data that replays, for Load to fill and Replace to take.
func (e *Engine) Stage() (*Engine, error) {
	cfg := e.cfg
	cfg.Log = nil
	stage, err := New(cfg)
	if err != nil {
		return nil, err
	}
	e.shards[0].mu.RLock()
	stage.mark = e.mark
	e.shards[0].mu.RUnlock()
	stage.replaying = true
	return stage, nil
}

// LoadStage loads a block into a stage, and returns ErrFull as soon as that has more than e may have.
func (e *Engine) LoadStage(stage *Engine, block []byte) error {
	if err := stage.Load(block); err != nil {
		return err
	}
	return e.hasRoomFor(stage)
}

func (e *Engine) hasRoomFor(stage *Engine) error {
	if e.cfg.Bytes > 0 && stage.Used() > e.cfg.Bytes && e.cfg.Evict == NoEviction {
		return ErrFull
	}
	return nil
}

// Replace puts what stage has in the place of all data, as one change. It calls begin while nobody can change anything, and does nothing if
// that returns an error. stage must not be used afterwards, and no snapshot be begun between Stage and Replace.
func (e *Engine) Replace(stage *Engine, begin func() error) error {
	if err := e.hasRoomFor(stage); err != nil {
		return err
	}
	held := e.lock(allShards, true)
	defer e.unlock(held, true)
	if err := begin(); err != nil {
		return err
	}
	e.markSeveral(held)
	defer e.markSeveral(held)
	t := e.begin(held)
	defer t.free()
	t.delta = stage.used.Load() - e.used.Load()
	for i := range e.shards {
		s, from := &e.shards[i], &stage.shards[i]
		for key := range s.watched {
			s.dirty(key, false)
		}
		e.keepForSnapshot(i)
		s.keys.Store(from.keys.Load())
		s.wheel = from.wheel
		s.volatile.Store(from.volatile.Load())
		s.volatileBytes = from.volatileBytes
		for key := range s.waiting {
			t.ready = append(t.ready, key)
		}
	}
	t.changed++
	t.flushed = true
	t.notify(EventFlushed, "flushdb", "")
	_, err := t.finish()
	return err
}
