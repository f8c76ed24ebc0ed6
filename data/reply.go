package data

import (
	"errors"
	"fmt"
	"strconv"
)

// ReplyKind is what a Reply is. A driver may reply a StringReply for a status and a ListReply for a set: use Text and Elements, not Kind.
type ReplyKind uint8

// The kinds of replies.
const (
	NullReply   ReplyKind = iota // there is none: no such key, no such element
	StringReply                  // Str
	StatusReply                  // Str: OK, or another word
	IntReply                     // Int
	FloatReply                   // Float
	ErrorReply                   // Str: the first word says what kind of error it is
	ListReply                    // List
	MapReply                     // List: each key before its value
	SetReply                     // List
	NullListReply
	QueuedReply // the command runs at the end of its transaction
)

// Reply is what a command replies. Strings in it never change.
type Reply struct {
	Kind  ReplyKind
	Int   int64
	Float float64
	Str   string
	List  []Reply
}

// Err returns the error that the reply is: a CommandError, or ErrNil if there is no value.
func (r Reply) Err() error {
	switch r.Kind {
	case ErrorReply:
		return CommandError(r.Str)
	case NullReply, NullListReply:
		return ErrNil
	}
	return nil
}

// Text returns the string that the reply is, or the number as a string.
func (r Reply) Text() (string, error) {
	switch r.Kind {
	case StringReply, StatusReply:
		return r.Str, nil
	case IntReply:
		return strconv.FormatInt(r.Int, 10), nil
	case FloatReply:
		return strconv.FormatFloat(r.Float, 'g', -1, 64), nil
	}
	return "", r.not("a string")
}

// Integer returns the integer that the reply is, also as a string.
func (r Reply) Integer() (int64, error) {
	switch r.Kind {
	case IntReply:
		return r.Int, nil
	case StringReply:
		if n, err := strconv.ParseInt(r.Str, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, r.not("an integer")
}

// Number returns the number that the reply is, also as a string.
func (r Reply) Number() (float64, error) {
	switch r.Kind {
	case FloatReply:
		return r.Float, nil
	case IntReply:
		return float64(r.Int), nil
	case StringReply:
		if f, err := strconv.ParseFloat(r.Str, 64); err == nil {
			return f, nil
		}
	}
	return 0, r.not("a number")
}

// Elements returns the replies that the reply is made of: none if it is nothing.
func (r Reply) Elements() ([]Reply, error) {
	switch r.Kind {
	case ListReply, MapReply, SetReply:
		return r.List, nil
	case NullReply, NullListReply, QueuedReply:
		return nil, nil
	}
	return nil, r.not("a list")
}

// not returns why the reply is not what was wanted.
func (r Reply) not(what string) error {
	if err := r.Err(); err != nil {
		return err
	}
	return fmt.Errorf("data: the reply is %v, not %s", r.Kind, what)
}

var kindNames = [...]string{"nothing", "a string", "a status", "an integer", "a number", "an error", "a list", "a map", "a set", "no list", "not there before the end of the transaction"}

func (k ReplyKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// ErrNil says that there is no such key, field, member or element, or that a command has waited in vain. It is an answer, not a
// failure: ask for it by errors.Is.
var ErrNil = errors.New("data: nothing is there, or came in time")

// CommandError is an error that a command replies: WRONGTYPE …, ERR …
type CommandError string

func (e CommandError) Error() string { return "data: " + string(e) }

// Is has errors.Is compare the first word: every CommandError that begins with WRONGTYPE is ErrWrongType.
func (e CommandError) Is(target error) bool {
	t, ok := target.(CommandError)
	return ok && (e == t || t.code() == e.code() && t.code() != "ERR")
}

func (e CommandError) code() string {
	for i := range len(e) {
		if e[i] == ' ' {
			return string(e[:i])
		}
	}
	return string(e)
}
