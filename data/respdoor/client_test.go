package respdoor

import (
	"bytes"
	"testing"
)

// A client keeps nothing of a command that is done: its memory may be large.
func TestClientKeepsNoArguments(t *testing.T) {
	var cl client
	for _, n := range []int{keptArgs + 1, 10, 2} {
		if args := cl.texts(bytes.Split(bytes.Repeat([]byte("x "), n-1), []byte(" "))); len(args) != n {
			t.Fatalf("%d arguments, want %d", len(args), n)
		}
		cl.forget()
		if cap(cl.args) > keptArgs {
			t.Errorf("memory for %d arguments is kept", cap(cl.args))
		}
		for i, arg := range cl.args[:cap(cl.args)] {
			if arg != "" {
				t.Errorf("%q is kept at %d", arg, i)
			}
		}
	}
}
