package codec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	deepest   = 16       // replies in replies in replies
	mostParts = 1 << 20  // of a reply, those of its parts among them
	longest   = 64 << 20 // bytes of a string
	shortRead = 64 << 10 // what is read of a string before more memory is taken
)

// ErrReply says that a server does not speak RESP, or sends more than anybody should take.
var ErrReply = errors.New("resp: not a reply, or one that is too large")

// A Reply is what a server sends.
type Reply struct {
	// Kind is the first byte of the reply: + - : $ * _ # , ( ! = % ~ > or |.
	Kind byte
	Text string  // of + - $ ! = , and (
	Int  int64   // of : and #, where 1 is true
	Null bool    // of $ and * that are null, and _
	List []Reply // of * ~ >, and of % and |: each key before its value
}

// Replies reads the replies of a server.
type Replies struct{ r *bufio.Reader }

// NewReplies returns a reader of what comes from r.
func NewReplies(r io.Reader) *Replies { return &Replies{bufio.NewReaderSize(r, shortRead)} }

// Read returns the next reply.
func (r *Replies) Read() (Reply, error) {
	parts := mostParts
	return r.read(deepest, &parts)
}

func (r *Replies) read(depth int, parts *int) (Reply, error) {
	if *parts--; *parts < 0 || depth == 0 {
		return Reply{}, ErrReply
	}
	line, err := r.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = ErrReply
		}
		return Reply{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return Reply{}, fmt.Errorf("%w: a line %q", ErrReply, line)
	}
	v, text := Reply{Kind: line[0]}, line[1:len(line)-2]
	switch v.Kind {
	case '+', '-', ',', '(':
		v.Text = string(text)
	case ':':
		v.Int, err = strconv.ParseInt(string(text), 10, 64)
	case '_':
		v.Null = true
	case '#':
		if v.Int = 0; string(text) == "t" {
			v.Int = 1
		}
	case '$', '!', '=':
		err = r.bulk(&v, text)
	case '*', '~', '>', '%', '|':
		err = r.list(&v, text, depth, parts)
	default:
		err = fmt.Errorf("%w: a line %q", ErrReply, line)
	}
	return v, err
}

// length returns the length in the head of a reply, and false if that is null.
func (v *Reply) length(text []byte, most int) (int, bool, error) {
	n, ok := number(text)
	if ok && n == -1 {
		v.Null = true
		return 0, false, nil
	}
	if !ok || n < 0 || n > int64(most) {
		return 0, false, fmt.Errorf("%w: a length of %q", ErrReply, text)
	}
	return int(n), true, nil
}

func (r *Replies) bulk(v *Reply, text []byte) error {
	n, ok, err := v.length(text, longest)
	if !ok {
		return err
	}
	b := make([]byte, 0, min(n+2, shortRead))
	for len(b) < n+2 {
		from := len(b)
		to := min(n+2, max(2*from, shortRead))
		b = append(b, make([]byte, to-from)...)
		if _, err := io.ReadFull(r.r, b[from:to]); err != nil {
			return err
		}
	}
	if string(b[n:]) != "\r\n" {
		return fmt.Errorf("%w: a string without an end", ErrReply)
	}
	v.Text = string(b[:n])
	return nil
}

func (r *Replies) list(v *Reply, text []byte, depth int, parts *int) error {
	n, ok, err := v.length(text, mostParts)
	if !ok {
		return err
	}
	if v.Kind == '%' || v.Kind == '|' {
		n *= 2
	}
	v.List = make([]Reply, 0, min(n, 64))
	for range n {
		part, err := r.read(depth-1, parts)
		if err != nil {
			return err
		}
		v.List = append(v.List, part)
	}
	return nil
}
