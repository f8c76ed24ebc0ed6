package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
)

// virtualVariable has the orders of a process that is "virtual", as JSON.
const virtualVariable = "PEERCACHE_BENCH_VIRTUAL"

// virtually calls measure in a process of its own, in which time is virtual, and returns its
// result. measure is one of virtualMeasures. In virtual time a thousand peers are as punctual on
// one machine as on a thousand, whatever work they have: so they can be measured as they are by
// default. Processor time is real.
func virtually[T any](measure string, peers int) (result T, err error) {
	orders, err := json.Marshal(virtualOrders{measure, peers})
	if err != nil {
		return result, err
	}
	if err := os.Setenv(virtualVariable, string(orders)); err != nil {
		return result, err
	}
	n, err := startNode("virtual")
	if err != nil {
		return result, err
	}
	defer n.stop()
	if !n.stdout.Scan() {
		return result, errors.Join(fmt.Errorf("%s of %d peers: the process has ended", measure, peers), n.stdout.Err())
	}
	return result, json.Unmarshal(n.stdout.Bytes(), &result)
}

// virtualOrders say what to measure.
type virtualOrders struct {
	Measure string
	Peers   int
}

// virtualMeasures are what can be measured in virtual time.
var virtualMeasures = map[string]func(peers int) (any, error){
	"scale": func(peers int) (any, error) { return measureScale(peers) },
}

// runVirtual measures what it is ordered to, prints the result, and ends the process. Virtual
// time is package testing's, so the process runs a test.
func runVirtual(string) error {
	var o virtualOrders
	if err := json.Unmarshal([]byte(os.Getenv(virtualVariable)), &o); err != nil {
		return err
	}
	go func() { // none is left behind, however the bench ends
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	os.Args = os.Args[:1] // package testing reads flags of its own
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: o.Measure, F: func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			result, err := virtualMeasures[o.Measure](o.Peers)
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s of %d peers: %v\n", o.Measure, o.Peers, err)
				os.Exit(1)
			}
			if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
				t.Fatal(err)
			}
		})
	}}}, nil, nil)
	return nil
}
