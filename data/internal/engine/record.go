package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A record of the log is commands, one after the other, which have happened as one. A command is the number of its
// arguments, and each argument with its length before it; numbers are as in encoding/binary's Uvarint.

func appendCommand(b []byte, args []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(args)))
	for _, arg := range args {
		b = binary.AppendUvarint(b, uint64(len(arg)))
		b = append(b, arg...)
	}
	return b
}

// Log has the log get another command in the place of this one, if it has changed something: one that does the same at any
// time, and at each time again. It may be called more than once.
func (c *Call) Log(args ...string) {
	c.logged = true
	if c.t.e.logs() {
		c.t.record = appendCommand(c.t.record, args)
	}
}

// errRecord says that a record is none.
var errRecord = errors.New("not a record of commands")

// Commands calls do with each command of a record. Arguments share the memory of record.
func Commands(record string, do func(args []string) error) error {
	var args []string
	for len(record) > 0 {
		n, rest, err := uvarint(record)
		if err != nil || n == 0 || n > uint64(len(rest)) {
			return errRecord
		}
		args = args[:0]
		for range n {
			size, text, err := uvarint(rest)
			if err != nil || size > uint64(len(text)) {
				return errRecord
			}
			args, rest = append(args, text[:size]), text[size:]
		}
		if err := do(args); err != nil {
			return err
		}
		record = rest
	}
	return nil
}

func uvarint(s string) (n uint64, rest string, err error) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], nil
		}
	}
	return 0, "", errRecord
}

// Replaying says that records are replayed, until it is called with false: nothing expires meanwhile, and nothing is
// logged. It must be called when nobody else uses the engine.
func (e *Engine) Replaying(replaying bool) { e.replaying = replaying }

// Replay runs the commands of a record.
func (e *Engine) Replay(record string) error {
	return Commands(record, func(args []string) error {
		cmd := e.cfg.Commands.Find(args[0])
		if cmd == nil {
			return fmt.Errorf("the record has a command %q, which there is not", args[0])
		}
		if !cmd.Fits(len(args)) {
			return fmt.Errorf("the record has a command %q with %d arguments", args[0], len(args))
		}
		var failed firstError
		if err := e.Run(context.Background(), cmd, args, &failed); err != nil {
			return err
		}
		if failed.text != "" {
			return fmt.Errorf("the record has a command %q, which failed: %s", args[0], failed.text)
		}
		return nil
	})
}

// firstError is a Writer that keeps nothing but an error.
type firstError struct{ text string }

func (f *firstError) Proto() int    { return 3 }
func (f *firstError) Simple(string) {}
func (f *firstError) Error(text string) {
	if f.text == "" {
		f.text = text
	}
}
func (f *firstError) Int(int64)      {}
func (f *firstError) Bulk(string)    {}
func (f *firstError) Bytes([]byte)   {}
func (f *firstError) Null()          {}
func (f *firstError) NullArray()     {}
func (f *firstError) Double(float64) {}
func (f *firstError) Array(int)      {}
func (f *firstError) Map(int)        {}
func (f *firstError) Set(int)        {}

// ShardOf returns the shard of all keys of a record, if it is one: records of different shards may be replayed at the same time.
func (e *Engine) ShardOf(record string) (shard int, ok bool) {
	var set shardSet
	err := Commands(record, func(args []string) error {
		cmd := e.cfg.Commands.Find(args[0])
		if cmd == nil || !cmd.Fits(len(args)) || cmd.Flags&(All|Steps) != 0 {
			return errRecord
		}
		s, _ := e.shardsOf(cmd, args)
		set |= s
		return nil
	})
	if err != nil || set == 0 || set.several() {
		return 0, false
	}
	return bits.TrailingZeros64(uint64(set)), true
}
