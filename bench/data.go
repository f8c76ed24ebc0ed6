package main

import (
	"fmt"
	"io"
)

var dataBench = command{
	name:  "data",
	about: "strings, hashes, lists, sets and sorted sets: in process, by RESP, in memory and on disk, beside Redis",
	run:   runData,
}

func runData(w io.Writer, m measuring) error {
	var all targets
	for _, run := range []func(io.Writer, measuring, *targets) error{
		runDataLocal, runDataPipeline, runDataMemory, runDataRESP, runDataLog,
	} {
		if err := run(w, m, &all); err != nil {
			return err
		}
	}
	if !m.quick {
		all.print(w, "Targets")
	}
	return nil
}

// wantNoError returns what a figure cannot be trusted for.
func wantNoError(name string, err error) {
	if err != nil {
		panic(fmt.Sprint(name, ": ", err))
	}
}
