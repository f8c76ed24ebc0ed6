package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readers       = 24
	versionedKeys = 20 // and as many writers

	writerPause = 20 * time.Millisecond // at most, between the writes of a key
	// originTakes is how long the origin may take to answer after it has looked. It
	// makes loads that a Remove meets on their way.
	originTakes = 2 * time.Millisecond
)

// staleBench looks for values that are older than the last Remove that had returned nil when
// they were asked for. All its clocks and counters are in this process, so that before and
// after mean what they say, whatever the process that did the work.
type staleBench struct {
	client *http.Client
	urls   []string // of the members' callers; a key is to be appended

	current [versionedKeys]atomic.Int64 // the versions that the origin has
	removed [versionedKeys]atomic.Int64 // the versions that a Remove which returned nil came after

	reads, writes, stale, readErrors, writeErrors atomic.Int64

	firstError error // guarded by once
	once       sync.Once
}

func newStaleBench() *staleBench {
	return &staleBench{client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: readers + versionedKeys},
		Timeout:   2 * removeTimeout, // a member that hangs is a failure, not the end of the bench
	}}
}

// runStale has processes tell each other of writes for some time, and returns an error if
// anybody has read a stale value.
func runStale(w io.Writer, m measuring) error {
	lasts := 30 * time.Second
	if m.quick {
		lasts = 2 * time.Second
	}
	fmt.Fprintf(w, `
Processes on one machine, over loopback; %d keys, %d readers, a writer a key, %v. A writer changes the origin, calls
Remove at a random process, and notes the version when it has returned nil. A reader looks at what was noted, asks a
random process, and finds it stale if it gets an older version. Of three processes each may keep any key as its
owner or in its place; of five, two can only hold copies.
`, versionedKeys, readers, lasts)
	t := newTable("", "3 processes", "a second", "5 processes", "a second")
	three, failedThree := staleAmong(3, lasts)
	five, failedFive := staleAmong(5, lasts)
	for i, what := range []string{
		"reads", "of these, answered by copies", "loads", "writes, each with a Remove",
		"reads that failed", "Removes that failed", "STALE reads",
	} {
		t.add(what, three[i], float64(three[i])/lasts.Seconds(), five[i], float64(five[i])/lasts.Seconds())
	}
	return errors.Join(t.print(w), failedThree, failedFive)
}

// staleAmong has so many processes at work, and returns what there was to count.
func staleAmong(members int, lasts time.Duration) (counts [7]int64, err error) {
	b := newStaleBench()
	origin, err := b.serveOrigin()
	if err != nil {
		return counts, err
	}
	defer origin.Close()
	nodes, stop, err := startMembers(members, "http://"+origin.Addr().String()+"/")
	if err != nil {
		return counts, err
	}
	defer stop()
	for _, n := range nodes {
		b.urls = append(b.urls, n.url+memberPath)
	}
	b.run(lasts)
	var copies, loads int64
	for _, n := range nodes {
		r, err := n.ask()
		if err != nil {
			return counts, err
		}
		copies, loads = copies+r.Stats.Hot.Hits, loads+r.Stats.Loads
	}
	return [7]int64{
		b.reads.Load(), copies, loads, b.writes.Load(),
		b.readErrors.Load(), b.writeErrors.Load(), b.stale.Load(),
	}, b.verdict()
}

// verdict is an error if a read was stale, or it was not looked.
func (b *staleBench) verdict() error {
	switch {
	case b.stale.Load() > 0:
		return fmt.Errorf("%d of %d reads were stale", b.stale.Load(), b.reads.Load())
	case b.reads.Load() == 0 || b.writes.Load() == 0:
		return errors.Join(errors.New("nothing was read, or nothing removed"), b.firstError)
	}
	return b.firstError
}

// serveOrigin answers members with the versions of keys, until the listener is closed.
func (b *staleBench) serveOrigin() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || i < 0 || i >= versionedKeys {
			http.NotFound(w, r)
			return
		}
		version := b.current[i].Load()
		pause(r.Context(), originTakes)
		fmt.Fprint(w, version)
	}))
	return l, nil
}

// run has all readers and writers at work for some time.
func (b *staleBench) run(lasts time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for ctx.Err() == nil {
				b.read(rand.IntN(versionedKeys))
			}
		})
	}
	for key := range versionedKeys {
		all.Go(func() {
			for ctx.Err() == nil {
				b.write(key)
				pause(ctx, writerPause)
			}
		})
	}
	all.Wait()
	b.client.CloseIdleConnections()
}

// at returns the URL of a key at a random member.
func (b *staleBench) at(key int) string {
	return b.urls[rand.IntN(len(b.urls))] + strconv.Itoa(key)
}

func (b *staleBench) read(key int) {
	least := b.removed[key].Load() // before the member is asked
	body, err := call(context.Background(), b.client, http.MethodGet, b.at(key))
	version, notNumber := strconv.ParseInt(string(body), 10, 64)
	switch {
	case err != nil || notNumber != nil:
		b.readErrors.Add(1)
		b.failed(errors.Join(err, notNumber))
		return
	case version < least:
		b.stale.Add(1)
	}
	b.reads.Add(1)
}

// write is called by the key's only writer.
func (b *staleBench) write(key int) {
	version := b.current[key].Add(1)
	if _, err := call(context.Background(), b.client, http.MethodDelete, b.at(key)); err != nil {
		b.writeErrors.Add(1)
		b.failed(err)
		return
	}
	b.writes.Add(1)
	b.removed[key].Store(version)
}

func (b *staleBench) failed(err error) { b.once.Do(func() { b.firstError = err }) }

// pause waits for a random time.
func pause(ctx context.Context, most time.Duration) {
	t := time.NewTimer(rand.N(most))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
