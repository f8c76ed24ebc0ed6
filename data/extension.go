package data

import (
	"errors"
	"fmt"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
)

// CommandSpec is a command of the user's own, made of other commands. WithCommands gives it to a Memory, where it is like those that
// are built in: for Client.Do, in transactions, and through each front door.
type CommandSpec struct {
	// Name is in lower case, and no other command's.
	Name string
	// Arity is how many arguments it has, the name included; less than zero: that many at least.
	Arity int
	// Keys says which of the arguments are keys. It may use these keys alone: they are locked when it runs.
	Keys KeySpec
	// ReadOnly: it runs no command that writes.
	ReadOnly bool
	// NoGrowth: it takes no more memory, so it runs where there is none left.
	NoGrowth bool
	// Args and Summary are for documentation: what follows the name, and a sentence.
	Args, Summary string
	// Run runs it. What it does happens as one: others see all of it or nothing. If it returns an error, or panics, nothing
	// has happened, and the error is the reply; but ErrNil is no failure, and replies that there is no value. It must wait for nothing, and not use the Memory
	// but through the Call.
	Run func(c *Call) error
}

// KeySpec is the places of a command's keys among its arguments, in which the name is at 0: from First to Last, each
// Step-th. A Last less than zero counts from the end. The zero KeySpec is none.
type KeySpec struct{ First, Last, Step int }

// Call is one run of a command of the user's own. It is valid until Run returns.
type Call struct {
	// Args are the arguments, the name first. Those that are kept have to be cloned.
	Args []string

	call  *engine.Call
	reply Reply
}

// Do runs another command as a part of this one, on keys of this one. A command that would wait does not.
func (c *Call) Do(name string, args ...string) (Reply, error) {
	all := append([]string{name}, args...)
	cmd, err := find(c.call.Engine().Commands(), all)
	var reply Reply
	if err == nil {
		err = c.call.Do(&builder{to: &reply}, cmd, all...)
	}
	if err != nil {
		return Reply{}, CommandError(err.Error())
	}
	return checked(reply)
}

// Reply says what the command replies. Without it that is the status OK.
func (c *Call) Reply(r Reply) { c.reply = r }

// ReplyText has it reply a string.
func (c *Call) ReplyText(s string) { c.reply = Reply{Kind: StringReply, Str: s} }

// ReplyInt has it reply a number.
func (c *Call) ReplyInt(n int64) { c.reply = Reply{Kind: IntReply, Int: n} }

// ReplyList has it reply strings.
func (c *Call) ReplyList(list ...string) {
	c.reply = Reply{Kind: ListReply, List: make([]Reply, len(list))}
	for i, s := range list {
		c.reply.List[i] = Reply{Kind: StringReply, Str: s}
	}
}

// WithCommands adds commands of the user's own. A log that has what they did can be read without them: it has the commands that
// they are made of.
func WithCommands(specs ...CommandSpec) MemoryOption {
	return func(o *memoryOptions) error {
		for _, spec := range specs {
			if spec.Run == nil {
				return fmt.Errorf("WithCommands: the command %q has no function", spec.Name)
			}
			o.commands = append(o.commands, spec.command())
		}
		return nil
	}
}

// command returns what the engine knows of the command.
func (s CommandSpec) command() engine.Command {
	flags := engine.Compound
	switch {
	case s.ReadOnly:
		flags |= engine.ReadOnly
	case s.NoGrowth:
		flags |= engine.Write
	default:
		flags |= engine.Write | engine.Grows
	}
	return engine.Command{
		Name: s.Name, Arity: s.Arity, Flags: flags, Keys: engine.Keys{First: s.Keys.First, Last: s.Keys.Last, Step: max(s.Keys.Step, 1)},
		Group: "own", Args: s.Args, Summary: s.Summary,
		Run: func(call *engine.Call) error {
			c := &Call{Args: call.Args, call: call, reply: Reply{Kind: StatusReply, Str: "OK"}}
			if err := s.Run(c); errors.Is(err, ErrNil) {
				c.reply = Reply{}
			} else if err != nil {
				return replyOfError(err)
			}
			c.reply.writeTo(call.W)
			return nil
		},
	}
}

// replyOfError returns an error as commands reply it: in one line, whose first word says what kind it is.
func replyOfError(err error) engine.Error {
	var replied CommandError
	if errors.As(err, &replied) {
		return engine.Error(replied)
	}
	return engine.Error("ERR " + strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error()))
}

// writeTo writes a reply.
func (r Reply) writeTo(w engine.Writer) {
	switch r.Kind {
	case StringReply:
		w.Bulk(r.Str)
	case StatusReply:
		w.Simple(r.Str)
	case IntReply:
		w.Int(r.Int)
	case FloatReply:
		w.Double(r.Float)
	case ErrorReply:
		w.Error(r.Str)
	case NullListReply:
		w.NullArray()
	case ListReply, MapReply, SetReply:
		list := r.List
		switch r.Kind {
		case MapReply:
			list = list[:len(list)/2*2]
			w.Map(len(list) / 2)
		case SetReply:
			w.Set(len(list))
		default:
			w.Array(len(list))
		}
		for _, element := range list {
			element.writeTo(w)
		}
	default:
		w.Null()
	}
}
