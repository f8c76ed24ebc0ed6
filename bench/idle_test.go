package main

import "testing"

// TestIdle counts the goroutines of a process with 20 peers, to each of which it has a stream, and
// from each of which it has one: those that read and those that write, and no more.
func TestIdle(t *testing.T) {
	i, err := measureIdle(21, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if i.goroutines < 3.5 || i.goroutines > 4.5 {
		t.Errorf("%.1f goroutines a peer, want 4", i.goroutines)
	}
}
