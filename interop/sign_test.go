package main

import (
	"net/http"
	"testing"
)

// TestSignOfLife: a process of either kind, served in whatever way, answers a GET of the base
// path. That is how peercache knows that a peer which loads slowly is there.
func TestSignOfLife(t *testing.T) {
	for _, kind := range []string{gc, pc} {
		for _, serving := range []string{onMux, onOldMux, alone} {
			t.Run(kind+" "+serving, func(t *testing.T) {
				open, urls := listeners(t, 1)
				p := startFleet(t, open, urls, []string{kind}, serving)[0]
				resp, err := p.client.Get(p.url + basePath)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("HTTP status %s, want 400", resp.Status)
				}
			})
		}
	}
}
