package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"
)

const profiled = 3 * time.Second

// profile writes where the time of our side goes under a load, and that of the
// first owner, to files of that name.
func (b *peersBench) profile(name string, of valueKind, l load) error {
	if b.m.profile == "" {
		return nil
	}
	file := func(who string) (*os.File, error) {
		return os.Create(filepath.Join(b.m.profile, name+"-"+who+".pprof"))
	}
	m := *b
	m.m.turn = profiled
	ours, err := file("asker")
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := file("owner")
	if err != nil {
		return err
	}
	defer theirs.Close()

	var both errgroup.Group
	both.Go(func() error {
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", b.nodes[0].url, profiled/time.Second)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(theirs, resp.Body)
		return err
	})
	if err := pprof.StartCPUProfile(ours); err != nil {
		return err
	}
	_, err = m.measure(b.fetchers[byDefault], of, l.ordered(len(b.keys[of])))
	pprof.StopCPUProfile()
	if err == nil {
		err = both.Wait()
	}
	return err
}
