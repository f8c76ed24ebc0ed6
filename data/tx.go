package data

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Tx is a transaction of a Client: it has the same commands. It is for one goroutine, and until the function returns that got it.
//
// Over a Memory each command replies as it does elsewhere. Over Redis, and in Client.Watch, a transaction is optimistic: commands that read
// run at once, and commands that write, or send a message, when the function has returned. So a command that writes returns the zero value of
// what it returns elsewhere, and to read a key after it was written is ErrUnread. What reads first, and writes then, does the same over each.
type Tx struct {
	Commands
	tx Transaction
}

// txDoer is a doer that stands on a Transaction.
type txDoer struct{ tx Transaction }

func (d txDoer) do(ctx context.Context, args []string) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	r, err := d.tx.Do(Cmd{args[0], args[1:]})
	if err != nil {
		return Reply{}, err
	}
	return checked(r)
}

// Savepoint returns a place to which RollbackTo can go back.
func (t *Tx) Savepoint() Savepoint { return t.tx.Savepoint() }

// RollbackTo undoes the commands since a savepoint, ends of keys included. Savepoints after it are gone.
func (t *Tx) RollbackTo(s Savepoint) error { return t.tx.RollbackTo(s) }

// UndoLast undoes the last command that may write, or sends a message, did not fail, and was not undone. Called again, it undoes that before.
func (t *Tx) UndoLast() error { return t.tx.UndoLast() }

// Tx runs f, and what f does by its Tx happens whole, or, if f returns an error or panics, not at all. A command that fails
// ends nothing, unless f returns its error. Over Redis a command may also fail when f has returned: that undoes none of the
// others, and is the error of Tx. f must not use the client. Over a Memory others wait for it: see Memory.Tx.
//
// Where another client changes meanwhile what f has read, which cannot be over a Memory, f is called again, as long as ctx lasts,
// up to 100 times: then the error is ErrConflict. So f must have no other effects, or such as may happen again.
// Over Redis, commands that write return zero values in f: it has to decide by what it has read before (see the type Tx).
func (c *Client) Tx(ctx context.Context, f func(tx *Tx) error) error {
	return retried(ctx, func() error {
		return c.driver.Tx(ctx, func(tx Transaction) error { return f(newTx(tx)) })
	})
}

// Watch runs f in an optimistic transaction, which makes nobody wait. f runs again if another client has changed one of keys, or a key that
// f has read, before f's writes are applied: up to 100 times, then the error is ErrConflict. It is an error if the driver is no Watcher.
func (c *Client) Watch(ctx context.Context, keys []string, f func(tx *Tx) error) error {
	w, ok := c.driver.(Watcher)
	if !ok {
		return fmt.Errorf("data: Watch: the driver %T has no optimistic transactions: use Tx", c.driver)
	}
	return retried(ctx, func() error {
		return w.Watch(ctx, keys, func(tx Transaction) error { return f(newTx(tx)) })
	})
}

func newTx(tx Transaction) *Tx { return &Tx{Commands{doer: txDoer{tx}}, tx} }

// mostTries is how often a transaction is tried.
const mostTries = 100

// retried calls try again as long as it conflicts.
func retried(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if !errors.Is(err, ErrConflict) || n == mostTries-1 {
			return err
		}
		pause := time.NewTimer(rand.N(min(time.Millisecond<<min(n, 6), 50*time.Millisecond)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}
