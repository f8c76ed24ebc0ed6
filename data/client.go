package data

import (
	"context"
	"errors"
)

// Client has a method for each command, over any Driver. It is made by New, and may be used at the same time. The commands are
// methods of their kind (client.Strings().Get, client.Lists().BLPop), and Do runs any command by its name: Commands has them.
//
// What is not there is ErrNil where a method returns one thing: Strings.Get, Hashes.HGet, Lists.LPop. A method that returns
// many returns fewer, or none, or a Value for each that says whether it is there: Strings.MGet. A
// method whose question is whether something is so, or was done, returns a bool: Keys.Expire. ErrWrongType, ErrFull and others
// are found by errors.Is; any command may also fail because its context ends, or the driver cannot reach its data: one that
// writes may then have happened or not.
//
// Times to live are Durations, in whole milliseconds: a part of one counts as one. Zero means without end, but for Keys.Expire, which then
// removes the key.
type Client struct {
	Commands
	driver Driver
}

// New makes a client. Close closes the driver.
func New(driver Driver) *Client {
	c := &Client{driver: driver}
	if m, ok := driver.(*Memory); ok {
		c.doer = memoryDoer{m}
	} else {
		c.doer = driverDoer{driver}
	}
	c.getter, _ = driver.(StringGetter)
	return c
}

// Driver returns the driver of the client.
func (c *Client) Driver() Driver { return c.driver }

// Close closes the driver.
func (c *Client) Close() error { return c.driver.Close() }

// Commands are the commands of a Client, or of a Tx: what can do with either takes Commands, or only the kind that it needs, such
// as Strings.
type Commands struct {
	doer   doer
	getter StringGetter // may be nil
}

// Do runs a command by its name: one of the user's own, for example. What the command replies as an error is an error.
func (c Commands) Do(ctx context.Context, name string, args ...string) (Reply, error) {
	return c.doer.do(ctx, append([]string{name}, args...))
}

// Strings returns the commands of strings.
func (c Commands) Strings() Strings { return Strings{c} }

// Keys returns the commands of keys of any type.
func (c Commands) Keys() Keys { return Keys{c} }

// Value is a string that may not be there.
type Value struct {
	String string
	OK     bool // it is there
}

// single returns the error of a command that returns one thing.
func single(r Reply, err error) (Reply, error) {
	if err == nil && (r.Kind == NullReply || r.Kind == NullListReply) {
		err = ErrNil
	}
	return r, err
}

// done runs a command of whose reply only an error is of interest.
func (c Commands) done(ctx context.Context, args ...string) error {
	_, err := single(c.doer.do(ctx, args))
	return err
}

// text runs a command that returns a string.
func (c Commands) text(ctx context.Context, args ...string) (string, error) {
	r, err := single(c.doer.do(ctx, args))
	if err != nil || r.Kind == QueuedReply {
		return "", err
	}
	return r.Text()
}

// integer runs a command that returns an integer.
func (c Commands) integer(ctx context.Context, args ...string) (int64, error) {
	r, err := single(c.doer.do(ctx, args))
	if err != nil || r.Kind == QueuedReply {
		return 0, err
	}
	return r.Integer()
}

// flag runs a command that returns 1 for yes.
func (c Commands) flag(ctx context.Context, args ...string) (bool, error) {
	n, err := c.integer(ctx, args...)
	return n == 1, err
}

// number runs a command that returns a number.
func (c Commands) number(ctx context.Context, args ...string) (float64, error) {
	r, err := single(c.doer.do(ctx, args))
	if err != nil || r.Kind == QueuedReply {
		return 0, err
	}
	return r.Number()
}

// list runs a command that returns many replies, or nothing.
func (c Commands) list(ctx context.Context, args ...string) ([]Reply, error) {
	r, err := c.doer.do(ctx, args)
	if err != nil {
		return nil, err
	}
	return r.Elements()
}

// texts runs a command that returns strings.
func (c Commands) texts(ctx context.Context, args ...string) ([]string, error) {
	list, err := c.list(ctx, args...)
	if err != nil {
		return nil, err
	}
	return textsOf(list)
}

func textsOf(list []Reply) (texts []string, err error) {
	texts = make([]string, len(list))
	for i, r := range list {
		if texts[i], err = r.Text(); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// values runs a command that returns strings of which some may not be there.
func (c Commands) values(ctx context.Context, args ...string) ([]Value, error) {
	list, err := c.list(ctx, args...)
	if err != nil {
		return nil, err
	}
	values := make([]Value, len(list))
	for i, r := range list {
		switch s, err := r.Text(); {
		case err == nil:
			values[i] = Value{s, true}
		case !errors.Is(err, ErrNil):
			return nil, err
		}
	}
	return values, nil
}

// pairs runs a command that returns a string for each of some strings.
func (c Commands) pairs(ctx context.Context, args ...string) (map[string]string, error) {
	list, err := c.list(ctx, args...)
	if err != nil {
		return nil, err
	}
	texts, err := textsOf(list)
	if err != nil {
		return nil, err
	}
	pairs := make(map[string]string, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		pairs[texts[i]] = texts[i+1]
	}
	return pairs, nil
}
