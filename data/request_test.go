package data

import (
	"slices"
	"testing"
)

// Nothing of a command stays in a request that the next one does not overwrite.
func TestRequestKeepsNoArguments(t *testing.T) {
	var r request
	long, short := Command("MSET", slices.Repeat([]string{"x"}, 40)...), Command("GET", "y")
	r.argsOf(&long)
	if args := r.argsOf(&short); !slices.Equal(args, []string{"GET", "y"}) {
		t.Errorf("%q", args)
	}
	for i, arg := range r.args[:cap(r.args)][2:] {
		if arg != "" {
			t.Errorf("%q is kept at %d", arg, i+2)
		}
	}
}
