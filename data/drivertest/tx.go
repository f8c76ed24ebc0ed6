package drivertest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/peercache/peercache/data"
)

var errEnough = errors.New("enough")

// txDo runs a command of a transaction that must not fail.
func (s *suite) txDo(tx data.Transaction, name string, args ...string) data.Reply {
	s.Helper()
	r, err := tx.Do(data.Command(name, args...))
	if err != nil || r.Kind == data.ErrorReply {
		s.Errorf("%s %q: %v, %v", name, args, r, err)
	}
	return r
}

// txWhole checks that all of a transaction happens, and that it reads what was there.
func (s *suite) txWhole() {
	s.do("SET", a, "1")
	s.do("RPUSH", "{test}list", "x")
	err := s.driver.Tx(s.Context(), func(tx data.Transaction) error {
		if r := s.txDo(tx, "GET", a); r.Str != "1" {
			s.Errorf("it reads %v", r)
		}
		if r, err := tx.Do(data.Command("GET", "{test}list")); err != nil || r.Kind != data.ErrorReply {
			s.Errorf("GET of a list: %v, %v, want an error that ends nothing", r, err)
		}
		if r, err := tx.Do(data.Command("SET", a)); err != nil || r.Kind != data.ErrorReply {
			s.Errorf("SET without a value: %v, %v, want an error that ends nothing", r, err)
		}
		s.txDo(tx, "SET", a, "2")
		s.txDo(tx, "SET", b, "3", "EX", "100")
		s.txDo(tx, "RPUSH", "{test}list", "y", "z")
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	s.is(a, "2")
	s.is(b, "3")
	if n := s.do("LLEN", "{test}list").Int; n != 3 {
		s.Errorf("the list has %d elements", n)
	}
}

// txNotAtAll checks that nothing of a transaction happens that fails, or panics.
func (s *suite) txNotAtAll() {
	s.do("SET", a, "1", "EX", "100")
	s.do("HSET", "{test}hash", "f", "1")
	change := func(tx data.Transaction) {
		s.txDo(tx, "SET", a, "2")
		s.txDo(tx, "SET", b, "2")
		s.txDo(tx, "HSET", "{test}hash", "f", "2", "g", "2")
		s.txDo(tx, "DEL", "{test}hash")
	}
	err := s.driver.Tx(s.Context(), func(tx data.Transaction) error {
		change(tx)
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		s.Errorf("%v, want that of the function", err)
	}
	func() {
		defer func() {
			if r := recover(); r != "enough" {
				s.Errorf("recovered %v", r)
			}
		}()
		_ = s.driver.Tx(s.Context(), func(tx data.Transaction) error {
			change(tx)
			panic("enough")
		})
	}()
	s.is(a, "1")
	s.is(b, "")
	if got := flat(s.do("HGETALL", "{test}hash")); got != "[f 1]" {
		s.Errorf("the hash is %s", got)
	}
	if ttl := s.do("TTL", a).Int; ttl < 90 {
		s.Errorf("TTL %d", ttl)
	}
	s.do("SET", a, "3") // nothing is locked, or watched
	s.is(a, "3")
}

// txSavepoints checks that a transaction goes back as far as it is told, ends of keys included.
func (s *suite) txSavepoints() {
	s.do("SET", a, "1", "EX", "100")
	err := s.driver.Tx(s.Context(), func(tx data.Transaction) error {
		first := tx.Savepoint()
		s.txDo(tx, "APPEND", a, "2")
		second := tx.Savepoint()
		s.txDo(tx, "PERSIST", a)
		s.txDo(tx, "SET", b, "x")
		if err := tx.RollbackTo(second); err != nil {
			s.Error(err)
		}
		s.txDo(tx, "APPEND", a, "3")
		if err := tx.RollbackTo(second + 100); err == nil {
			s.Error("it goes to a place that it has never been to")
		}
		third := tx.Savepoint()
		if err := tx.RollbackTo(first); err != nil {
			s.Error(err)
		}
		s.txDo(tx, "APPEND", a, "x")
		s.txDo(tx, "APPEND", a, "x") // as many commands as there were at second and third
		s.txDo(tx, "SET", b, "x")
		for _, gone := range []data.Savepoint{second, third, 0} {
			if err := tx.RollbackTo(gone); !errors.Is(err, data.ErrNoSavepoint) {
				s.Errorf("to a savepoint that was undone, or is none: %v", err)
			}
		}
		fourth := tx.Savepoint()
		if err := tx.UndoLast(); err != nil {
			s.Error(err)
		}
		s.txDo(tx, "SET", b, "x")
		if err := tx.RollbackTo(fourth); !errors.Is(err, data.ErrNoSavepoint) {
			s.Errorf("to a savepoint after a command that was undone: %v", err)
		}
		for range 2 {
			if err := tx.RollbackTo(first); err != nil {
				s.Error(err)
			}
		}
		s.txDo(tx, "APPEND", a, "4")
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	s.is(a, "14")
	s.is(b, "")
	if ttl := s.do("TTL", a).Int; ttl < 90 {
		s.Errorf("TTL %d", ttl)
	}
}

// txUndoLast checks that single commands are undone, the last one first, and that those which read do not count.
func (s *suite) txUndoLast() {
	s.do("SET", "{test}other", "x", "EX", "100")
	err := s.driver.Tx(s.Context(), func(tx data.Transaction) error {
		s.txDo(tx, "APPEND", a, "1")
		s.txDo(tx, "APPEND", a, "2")
		s.txDo(tx, "SET", b, "x")
		s.txDo(tx, "PERSIST", "{test}other")
		s.txDo(tx, "GET", "{test}none")
		for range 3 {
			if err := tx.UndoLast(); err != nil {
				s.Error(err)
			}
		}
		s.txDo(tx, "APPEND", a, "3")
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	s.is(a, "13")
	s.is(b, "")
	if ttl := s.do("TTL", "{test}other").Int; ttl < 90 {
		s.Errorf("TTL %d", ttl)
	}
	err = s.driver.Tx(s.Context(), func(tx data.Transaction) error {
		s.txDo(tx, "GET", a)
		if err := tx.UndoLast(); !errors.Is(err, data.ErrNothingToUndo) {
			s.Errorf("%v, want that there is nothing to undo", err)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
}

// txAfterEnd checks that a transaction does nothing after its end.
func (s *suite) txAfterEnd() {
	var kept data.Transaction
	if err := s.driver.Tx(s.Context(), func(tx data.Transaction) error { kept = tx; return nil }); err != nil {
		s.Error(err)
	}
	if _, err := kept.Do(data.Command("SET", a, "1")); err == nil {
		s.Error("no error after the end")
	}
	s.is(a, "")
}

// txSeenWhole checks that nobody sees a part of a transaction.
func (s *suite) txSeenWhole() {
	ctx, cancel := context.WithCancel(s.Context())
	var all sync.WaitGroup
	all.Go(func() {
		defer cancel()
		for i := range 200 {
			value := strconv.Itoa(i)
			err := s.c.Tx(s.Context(), func(tx *data.Tx) error {
				return errors.Join(tx.Strings().Set(s.Context(), a, value), tx.Strings().Set(s.Context(), b, value))
			})
			if err != nil {
				s.Error(err)
			}
		}
	})
	for ctx.Err() == nil {
		values, err := s.c.Strings().MGet(s.Context(), a, b)
		if err != nil || len(values) != 2 || values[0] != values[1] {
			s.Errorf("%v, %v", values, err)
			break
		}
	}
	all.Wait()
}

// txNoLostUpdate checks that of transactions that read and write one key each counts.
func (s *suite) txNoLostUpdate() {
	const workers, each = 4, 25
	s.countUp(workers, each, func(f func(tx *data.Tx) error) error { return s.c.Tx(s.Context(), f) })
}

func (s *suite) countUp(workers, each int, tx func(f func(tx *data.Tx) error) error) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				err := tx(func(tx *data.Tx) error {
					text, err := tx.Strings().Get(s.Context(), a)
					if err != nil && !errors.Is(err, data.ErrNil) {
						return err
					}
					n, _ := strconv.Atoi(text)
					return tx.Strings().Set(s.Context(), a, strconv.Itoa(n+1))
				})
				if err != nil {
					s.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.is(a, strconv.Itoa(workers*each))
}

// watcher returns the driver, if it has optimistic transactions.
func (s *suite) watcher() data.Watcher {
	w, ok := s.driver.(data.Watcher)
	if !ok {
		s.Skip("it is no data.Watcher")
	}
	return w
}

// watch checks that an optimistic transaction fails if what it watches was changed.
func (s *suite) watch() {
	w := s.watcher()
	for name, change := range map[string]func(){
		"watched": func() { s.do("SET", a, "other") },
		"read":    func() { s.do("SET", b, "other") },
		"removed": func() { s.do("DEL", a) },
		"nothing": nil,
	} {
		s.Run(name, func(t *testing.T) {
			s.do("MSET", a, "1", b, "1", "{test}c", "1")
			err := w.Watch(t.Context(), []string{a}, func(tx data.Transaction) error {
				s.txDo(tx, "GET", b)
				s.txDo(tx, "SET", "{test}c", "2")
				if change != nil {
					change()
				}
				return nil
			})
			want := "1"
			if change == nil {
				want = "2"
			}
			if errors.Is(err, data.ErrConflict) != (change != nil) || err != nil && change == nil {
				t.Errorf("%v", err)
			}
			s.is("{test}c", want)
		})
	}
	s.do("DEL", a)
	s.countUp(4, 10, func(f func(tx *data.Tx) error) error { return s.c.Watch(s.Context(), []string{a}, f) })
}

// watchReads checks that an optimistic transaction cannot read what it has written.
func (s *suite) watchReads() {
	w := s.watcher()
	err := w.Watch(s.Context(), nil, func(tx data.Transaction) error {
		place := tx.Savepoint()
		if r := s.txDo(tx, "SET", a, "1"); r.Kind != data.QueuedReply {
			s.Errorf("%v, want a QueuedReply", r)
		}
		if _, err := tx.Do(data.Command("GET", a)); !errors.Is(err, data.ErrUnread) {
			s.Errorf("%v, want ErrUnread", err)
		}
		if r := s.txDo(tx, "PUBLISH", "channel", "text"); r.Kind != data.QueuedReply {
			s.Errorf("%v, want that the message is sent at the end", r)
		}
		if err := tx.RollbackTo(place); err != nil {
			s.Error(err)
		}
		s.txDo(tx, "GET", a) // which it has not written any more
		s.txDo(tx, "SET", b, "2")
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	s.is(a, "")
	s.is(b, "2")
}
