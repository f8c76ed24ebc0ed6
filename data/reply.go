package data

import (
	"errors"
	"fmt"
	"strconv"
)

// ReplyKind is what a Reply is.
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

// not returns why the reply is not what was wanted.
func (r Reply) not(what string) error {
	if err := r.Err(); err != nil {
		return err
	}
	return fmt.Errorf("data: the reply is %v, not %s", r.Kind, what)
}

var kindNames = [...]string{"nothing", "a string", "a status", "an integer", "a number", "an error", "a list", "a map", "a set", "no list"}

func (k ReplyKind) String() string { return kindNames[k] }

// ErrNil says that there is no such key, field, member or element. It is no failure.
var ErrNil = errors.New("data: nil")

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
