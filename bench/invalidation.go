package main

import "io"

var invalidation = command{
	name:  "invalidation",
	about: "what a Remove promises, what it costs, and what that costs who only reads",
	run:   runInvalidation,
}

func runInvalidation(w io.Writer, m measuring) error {
	for _, run := range []func(io.Writer, measuring) error{runStale, runMessages, runHits} {
		if err := run(w, m); err != nil {
			return err
		}
	}
	return nil
}
