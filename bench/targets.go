package main

import (
	"fmt"
	"io"
)

// targets are figures with what they should be, to be printed in the end.
type targets []string

// add takes note of how got compares with want: at least that, or at most.
func (t *targets) add(what string, got float64, atMost bool, want float64) {
	sign, reached := "≥", got >= want
	if atMost {
		sign, reached = "≤", got <= want
	}
	verdict := "reached"
	if !reached {
		verdict = "NOT REACHED"
	}
	*t = append(*t, fmt.Sprintf("- %s: %s (target %s %s): %s", what, short(got), sign, short(want), verdict))
}

func (t targets) print(w io.Writer, title string) {
	fmt.Fprintf(w, "\n%s:\n\n", title)
	for _, line := range t {
		fmt.Fprintln(w, line)
	}
}
