package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

const (
	// longestLine is how long a line may be: an inline command, or the header of an argument. It
	// is Redis' limit.
	longestLine = 64 << 10
	// firstBuffer is the size of a new buffer, unless one is given.
	firstBuffer = 16 << 10
	// keptArguments is for how many arguments memory is kept between commands.
	keptArguments = 256
)

// Limits are how much a client may send. There are no defaults: all fields are set.
type Limits struct {
	Arguments int // of one command, its name among them
	Bulk      int // bytes of one argument
	Query     int // bytes of one command, with what belongs to the protocol
}

// Stranger is what a client may send before it has said who it is. It is what Redis allows.
var Stranger = Limits{Arguments: 10, Bulk: 16 << 10, Query: 256 << 10}

// A ProtocolError says that a client does not speak RESP. Its text is the one that Redis replies.
// Nothing that comes after it can be understood.
type ProtocolError string

func (e ProtocolError) Error() string { return "ERR Protocol error: " + string(e) }

// ErrQueryLimit says that a command is longer than Limits.Query, or that there is no memory for it.
var ErrQueryLimit = errors.New("ERR the command is too long for the query buffer")

// Requests cuts bytes into commands. Read into Space, say so with Fed, and call Next until it has
// no more. Not a byte is looked at twice, however slowly they come, and memory is taken for what has
// come, not for what was announced.
type Requests struct {
	// Limits may be changed between commands.
	Limits Limits
	// Stranger has Stranger hold in addition to Limits.
	Stranger bool
	// Reserve, if set, is asked before the buffer grows by that many bytes, and told (less than
	// zero) of bytes that are given back.
	Reserve func(bytes int) bool

	buf        []byte
	start, end int // buf[start:end] is the command that was begun, and what comes after it
	pos        int // what is before it has been understood
	scanned    int // no line ends between pos and it
	open       int // arguments of the command that was begun; 0: none was
	bulk       int // the length of the next argument; less than 0: not known yet
	spans      []span
	args       [][]byte
}

// span is an argument, counted from the beginning of its command.
type span struct{ from, to int }

// Give has r use buf as its buffer. The former one, if any, must have been taken away.
func (r *Requests) Give(buf []byte) { r.buf = buf[:cap(buf)] }

// Take takes the buffer away, for somebody else, and returns nil if there is none or if it holds
// the beginning of a command. A buffer that has grown is not worth keeping.
func (r *Requests) Take() []byte {
	if r.buf == nil || r.Pending() > 0 || r.open > 0 {
		return nil
	}
	buf := r.buf
	r.buf, r.start, r.end, r.pos, r.scanned = nil, 0, 0, 0, 0
	r.spans, r.args = nil, nil
	if r.Reserve != nil && len(buf) > firstBuffer {
		r.Reserve(firstBuffer - len(buf))
	}
	return buf
}

// Drop gives back what was reserved. r is not used any more.
func (r *Requests) Drop() {
	if r.Reserve != nil && len(r.buf) > firstBuffer {
		r.Reserve(firstBuffer - len(r.buf))
	}
	*r = Requests{}
}

// Pending returns how many bytes have come that no command that Next returned had.
func (r *Requests) Pending() int {
	if r.open > 0 {
		return r.end - r.start
	}
	return r.end - r.pos
}

// Size returns the size of the buffer.
func (r *Requests) Size() int { return len(r.buf) }

// Space returns room for what comes next. The arguments that Next returned are not valid any more.
func (r *Requests) Space() ([]byte, error) {
	if r.open == 0 {
		r.start = r.pos
	}
	if r.start > 0 && (r.start == r.end || len(r.buf)-r.end < len(r.buf)/2) {
		copy(r.buf, r.buf[r.start:r.end])
		r.pos, r.end, r.scanned = r.pos-r.start, r.end-r.start, max(0, r.scanned-r.start)
		r.start = 0
	}
	if r.end == 0 && len(r.buf) > firstBuffer {
		r.shrink()
	}
	if r.end == len(r.buf) {
		if err := r.grow(); err != nil {
			return nil, err
		}
	}
	return r.buf[r.end:], nil
}

// shrink gives a large buffer back.
func (r *Requests) shrink() {
	if r.Reserve != nil {
		r.Reserve(firstBuffer - len(r.buf))
	}
	r.buf = make([]byte, firstBuffer)
}

func (r *Requests) grow() error {
	limit := r.Limits.Query
	if r.Stranger {
		limit = min(limit, Stranger.Query)
	}
	size := min(max(firstBuffer, 2*len(r.buf)), max(firstBuffer, limit))
	if size <= len(r.buf) {
		return ErrQueryLimit
	}
	if r.Reserve != nil && size > firstBuffer && !r.Reserve(size-max(firstBuffer, len(r.buf))) {
		return ErrQueryLimit
	}
	buf := make([]byte, size)
	copy(buf, r.buf[:r.end])
	r.buf = buf
	return nil
}

// Fed says that n bytes were read into what Space returned.
func (r *Requests) Fed(n int) { r.end += n }

// Next returns the next command: its name and its arguments, which are valid until the next call
// of Next or Space. It returns nil if the command is not complete. An error is final.
func (r *Requests) Next() ([][]byte, error) {
	for {
		if r.open == 0 {
			r.start = r.pos
			if r.pos == r.end {
				return nil, nil
			}
			if r.buf[r.pos] != '*' {
				args, again, err := r.inline()
				if again {
					continue
				}
				return args, err
			}
			if ok, err := r.header(); !ok {
				return nil, err
			}
			continue
		}
		if ok, err := r.arguments(); !ok {
			return nil, err
		}
		r.open = 0
		return r.cut(), nil
	}
}

// header reads the number of arguments. It reports whether that has come.
func (r *Requests) header() (bool, error) {
	n, ok, err := r.length("too big mbulk count string")
	if !ok {
		return false, err
	}
	switch {
	case n == noLength || n > int64(r.Limits.Arguments):
		return false, ProtocolError("invalid multibulk length")
	case r.Stranger && n > int64(Stranger.Arguments):
		return false, ProtocolError("unauthenticated multibulk length")
	case n > 0:
		r.open, r.bulk, r.spans = int(n), -1, r.spans[:0]
	}
	return true, nil
}

// arguments reads the arguments. It reports whether all have come.
func (r *Requests) arguments() (bool, error) {
	for len(r.spans) < r.open {
		if r.bulk < 0 {
			if r.pos == r.end {
				return false, nil
			}
			if first := r.buf[r.pos]; first != '$' {
				return false, ProtocolError(fmt.Sprintf("expected '$', got '%s'", printable(first)))
			}
			n, ok, err := r.length("too big bulk count string")
			if !ok {
				return false, err
			}
			switch {
			case n < 0 || n > int64(r.Limits.Bulk):
				return false, ProtocolError("invalid bulk length")
			case r.Stranger && n > int64(Stranger.Bulk):
				return false, ProtocolError("unauthenticated bulk length")
			}
			r.bulk = int(n)
		}
		if r.end-r.pos < r.bulk+2 {
			return false, nil
		}
		r.spans = append(r.spans, span{r.pos - r.start, r.pos - r.start + r.bulk})
		r.pos += r.bulk + 2
		r.bulk = -1
	}
	return true, nil
}

// cut returns the arguments of the command that is complete.
func (r *Requests) cut() [][]byte {
	if cap(r.args) > keptArguments && len(r.spans) <= keptArguments {
		r.args = nil
	}
	r.args = r.args[:0]
	for _, s := range r.spans {
		r.args = append(r.args, r.buf[r.start+s.from:r.start+s.to:r.start+s.to])
	}
	if cap(r.spans) > keptArguments {
		r.spans = nil
	}
	return r.args
}

// noLength is what length returns of a line that is no number.
const noLength = math.MinInt64

// length reads a line that is a number behind its first character. ok is false if the line has no end yet.
func (r *Requests) length(tooBig string) (n int64, ok bool, err error) {
	// Nearly all have three digits at most.
	b := r.buf[r.pos:r.end]
	for i := 1; i+1 < len(b) && i <= 4; i++ {
		c := b[i]
		if c == '\r' && b[i+1] == '\n' && i > 1 {
			r.pos += i + 2
			return n, true, nil
		}
		if c < '0' || c > '9' || n == 0 && i > 1 {
			break
		}
		n = 10*n + int64(c-'0')
	}
	line, ok, err := r.line(tooBig)
	if !ok {
		return 0, false, err
	}
	if n, ok = number(line[1:]); !ok {
		n = noLength
	}
	return n, true, nil
}

// line returns the line at pos without its end, and puts pos behind it. ok is false if it has no
// end yet.
func (r *Requests) line(tooBig string) (line []byte, ok bool, err error) {
	from := max(r.pos, r.scanned)
	i := bytes.IndexByte(r.buf[from:r.end], '\n')
	if i < 0 {
		r.scanned = r.end
		if r.end-r.pos > longestLine {
			return nil, false, ProtocolError(tooBig)
		}
		return nil, false, nil
	}
	line = r.buf[r.pos : from+i]
	r.pos = from + i + 1
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > longestLine {
		return nil, false, ProtocolError(tooBig)
	}
	return line, true, nil
}

// inline reads a command that is a line of words, as one types it. again says that the line was
// empty.
func (r *Requests) inline() (args [][]byte, again bool, err error) {
	line, ok, err := r.line("too big inline request")
	if !ok {
		return nil, false, err
	}
	r.args = r.args[:0]
	if r.args, ok = words(r.args, line); !ok {
		return nil, false, ProtocolError("unbalanced quotes in request")
	}
	if len(r.args) == 0 {
		return nil, true, nil
	}
	if len(r.args) > r.Limits.Arguments || r.Stranger && len(r.args) > longestLine/2 {
		return nil, false, ProtocolError("too big inline request")
	}
	return r.args, false, nil
}

// number returns the number that b is, in the one way that Redis writes it.
func number(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits := b
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	if len(b) < 10 && digits[0] != '-' { // the usual case, without a copy
		n := int64(0)
		for _, d := range digits {
			if d < '0' || d > '9' {
				return 0, false
			}
			n = 10*n + int64(d-'0')
		}
		if len(digits) < len(b) {
			n = -n
		}
		return n, true
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// Number returns the number that b is, and whether it is one as Redis takes it: without signs,
// zeros or spaces before it.
func Number(b []byte) (int64, bool) { return number(b) }

// printable returns a byte from a client for an error, which is one line of text.
func printable(c byte) string {
	if c < ' ' || c > '~' {
		return "?"
	}
	return string(rune(c))
}
