package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/golang/groupcache"
	"github.com/redis/rueidis"

	"github.com/peercache/peercache"
)

// valueKind is a kind of values: of one size, in a group of their own.
type valueKind int

const (
	small valueKind = iota
	medium
	tiny
	batch // fetched many at once
	large // for a quick run
	huge
)

var valueKinds = []struct {
	name  string
	bytes int
	keys  int
}{
	small:  {"small", 1 << 10, 20_000},
	medium: {"medium", 16 << 10, 1024},
	tiny:   {"tiny", 100, 512},
	batch:  {"batch", 1 << 10, batchCallers * batchesEach * batchKeys},
	large:  {"large", 4 << 20, 1},
	huge:   {"huge", 64 << 20, 1},
}

// value makes a value.
func (k valueKind) value() []byte { return bytes.Repeat([]byte{'v'}, valueKinds[k].bytes) }

// ownerBytes is room for all values of a kind. What is not used costs nothing.
const ownerBytes = 512 << 20

// fetcher is a way to get values from another process.
type fetcher struct {
	name string
	// foreign: the other process is not ours, and the cost of it not known.
	foreign bool
	get     func(of valueKind, key string) error
	// getAll gets keys of the kind batch. It is nil where there are no batches.
	getAll  func(keys []string) error
	nameAll string
	// put stores a value, where values are not loaded when they are asked for. It
	// may be nil.
	put func(of valueKind, key string) error
	// mostBytes is the largest value, or 0.
	mostBytes int
	// closeIdle closes connections that are not in use. It is nil where there are few.
	closeIdle func()
	dials     *dials
}

// rest is called when f has been used for a while.
func (f *fetcher) rest() {
	if f.closeIdle != nil {
		f.closeIdle()
	}
}

// takes reports whether values of a kind are possible.
func (f *fetcher) takes(of valueKind) bool {
	return f.mostBytes == 0 || valueKinds[of].bytes < f.mostBytes
}

// check returns an error if what was got is no value of the kind.
func check(of valueKind, n int, err error) error {
	if err == nil && n != valueKinds[of].bytes {
		err = fmt.Errorf("a value of %d bytes, want %d", n, valueKinds[of].bytes)
	}
	return err
}

// errAsked is the error of the asker's getters.
var errAsked = errors.New("the asker was to load what another process owns")

func (b *peersBench) addPeercache() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.asker = "http://" + l.Addr().String()
	d := new(dials)
	t := newTransport(d, manyConns)
	if b.pool, err = peercache.NewHTTPPool(b.asker, peercache.WithTransport(t)); err != nil {
		l.Close()
		return err
	}
	server := &http.Server{Handler: b.pool} // nobody asks it for keys, but the owners tell it of their view
	go server.Serve(l)
	b.closers = append(b.closers, func() {
		b.pool.Shutdown(context.Background())
		server.Close()
	})
	groups, err := b.askersGroups("")
	if err != nil {
		return err
	}
	withoutCopies, err := b.askersGroups(withoutCopiesName, peercache.WithHotShare(0))
	if err != nil {
		return err
	}
	view := func(v peercache.ByteView) int { return v.Len() }
	copied := func(v peercache.ByteView) int { return len(v.ByteSlice()) }
	b.addAsker("peercache", groups, view, t, d)
	b.addAsker("ours, copied out", groups, copied, t, d)
	b.addAsker("ours, WithHotShare(0)", withoutCopies, view, t, d)
	return nil
}

// askerBytes is what each group of the asker may take.
const askerBytes = 8 << 20

// withoutCopiesName ends the names of the groups whose asker makes no copies.
const withoutCopiesName = ", without copies"

// askersGroups makes a group for each kind of values, whose names end as given.
func (b *peersBench) askersGroups(suffix string, opts ...peercache.GroupOption) (groups []*peercache.Group, err error) {
	fail := func(context.Context, string) ([]byte, error) { return nil, errAsked }
	for _, k := range valueKinds {
		g, err := peercache.NewGroup(k.name+suffix, askerBytes, peercache.GetterFunc(fail), append(opts, peercache.WithPeers(b.pool))...)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// addAsker adds a way to use groups of peercache. use looks at a value, and returns its length.
func (b *peersBench) addAsker(name string, groups []*peercache.Group, use func(peercache.ByteView) int, t *http.Transport, d *dials) {
	ctx := context.Background()
	b.fetchers = append(b.fetchers, &fetcher{
		name: name,
		get: func(of valueKind, key string) error {
			view, err := groups[of].Get(ctx, key)
			return check(of, use(view), err)
		},
		nameAll: name + ", GetMulti",
		getAll: func(keys []string) error {
			for _, r := range groups[batch].GetMulti(ctx, keys) {
				if err := check(batch, use(r.View), r.Err); err != nil {
					return err
				}
			}
			return nil
		},
		closeIdle: t.CloseIdleConnections, // of large values
		dials:     d,
	})
}

// nobody is the URL that stands for this process with groupcache, which is not asked.
const nobody = "http://127.0.0.1:1"

// groupcachePool is the one that a process can have: the registry is global.
var groupcachePool = sync.OnceValues(func() (*groupcache.HTTPPool, []*groupcache.Group) {
	var groups []*groupcache.Group
	pool := groupcache.NewHTTPPoolOpts(nobody, nil)
	for _, k := range valueKinds {
		fail := func(context.Context, string, groupcache.Sink) error { return errAsked }
		groups = append(groups, groupcache.NewGroup(k.name, 0, groupcache.GetterFunc(fail)))
	}
	return pool, groups
})

// transportKey finds in a context the transport that groupcache is to use.
type transportKey struct{}

func (b *peersBench) addGroupcache() error {
	pool, groups := groupcachePool()
	b.groupcache = pool
	getBy := func(t http.RoundTripper) func(of valueKind, key string) error {
		ctx := context.WithValue(context.Background(), transportKey{}, t)
		return func(of valueKind, key string) error {
			var view groupcache.ByteView
			err := groups[of].Get(ctx, key, groupcache.ByteViewSink(&view))
			return check(of, view.Len(), err)
		}
	}
	pool.Transport = func(ctx context.Context) http.RoundTripper {
		return ctx.Value(transportKey{}).(http.RoundTripper)
	}
	add := func(name, nameAll string, idle int) {
		d := new(dials)
		t := newTransport(d, idle)
		get := getBy(t)
		b.fetchers = append(b.fetchers, &fetcher{name: name, get: get, nameAll: nameAll, closeIdle: t.CloseIdleConnections, dials: d, getAll: func(keys []string) error {
			return oneByOne(keys, func(key string) error { return get(batch, key) })
		}})
	}
	add("golang/groupcache Group.Get", "golang/groupcache Group.Get, 64 goroutines a call", http.DefaultMaxIdleConnsPerHost)
	add("golang/groupcache, tuned", "golang/groupcache, tuned, the same", manyConns)
	return nil
}

// oneByOne gets keys where there is no call for many, by 64 goroutines.
func oneByOne(keys []string, get func(key string) error) error {
	errs := make(chan error, 64)
	for worker := range cap(errs) {
		go func() {
			var err error
			for i := worker; i < len(keys) && err == nil; i += cap(errs) {
				err = get(keys[i])
			}
			errs <- err
		}()
	}
	var all error
	for range cap(errs) {
		all = errors.Join(all, <-errs)
	}
	return all
}

// manyConns is more connections than there are goroutines.
const manyConns = 1024

// newTransport keeps so many connections to a server that are not in use.
func newTransport(d *dials, idle int) *http.Transport {
	return &http.Transport{DialContext: d.dial, MaxIdleConnsPerHost: idle, DisableCompression: true}
}

// addPlain adds net/http without anything around it.
func (b *peersBench) addPlain() error {
	d := new(dials)
	t := newTransport(d, manyConns)
	b.fetchers = append(b.fetchers, &fetcher{name: "bare net/http GET", closeIdle: t.CloseIdleConnections, dials: d, get: func(of valueKind, key string) error {
		req, err := http.NewRequest(http.MethodGet, b.nodes[0].url+"/plain/"+valueKinds[of].name+"/"+key, nil)
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		buf := bytes.NewBuffer(make([]byte, 0, valueKinds[of].bytes+bytes.MinRead))
		n, err := buf.ReadFrom(resp.Body)
		return check(of, int(n), err)
	}})
	return nil
}

const redisName = "Redis, rueidis"

func (b *peersBench) addRedis() error {
	addr, stop, err := startRedis(b.w)
	if err != nil || addr == "" {
		return err
	}
	b.closers = append(b.closers, stop)
	d := new(dials)
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:  []string{addr},
		DisableCache: true,
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.dial(ctx, "tcp", addr)
		},
	})
	if err != nil {
		return err
	}
	b.closers = append(b.closers, client.Close)
	ctx := context.Background()
	b.fetchers = append(b.fetchers, &fetcher{
		name:    redisName,
		foreign: true,
		dials:   d,
		get: func(of valueKind, key string) error {
			value, err := client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
			return check(of, len(value), err)
		},
		nameAll: "Redis MGET, rueidis",
		getAll: func(keys []string) error {
			values, err := client.Do(ctx, client.B().Mget().Key(keys...).Build()).ToArray()
			if err != nil || len(values) != len(keys) {
				return fmt.Errorf("%d values for %d keys: %w", len(values), len(keys), err)
			}
			for _, v := range values {
				value, err := v.ToString()
				if err := check(batch, len(value), err); err != nil {
					return err
				}
			}
			return nil
		},
		put: func(of valueKind, key string) error {
			return client.Do(ctx, client.B().Set().Key(key).Value(rueidis.BinaryString(of.value())).Build()).Error()
		},
	})
	return nil
}

func (b *peersBench) addMemcached() error {
	addr, stop, err := startServer(b.w, "memcached", "-l", "127.0.0.1", "-p", portArg, "-U", "0", "-m", "256", "-c", "4096", "-u", "nobody")
	if err != nil || addr == "" {
		return err
	}
	b.closers = append(b.closers, stop)
	d := new(dials)
	client := memcache.New(addr)
	client.MaxIdleConns, client.Timeout, client.DialContext = manyConns, 5*time.Second, d.dial
	b.closers = append(b.closers, func() { client.Close() })
	b.fetchers = append(b.fetchers, &fetcher{
		name:    "memcached, gomemcache",
		foreign: true,
		dials:   d,
		get: func(of valueKind, key string) error {
			item, err := client.Get(key)
			if err != nil {
				return err
			}
			return check(of, len(item.Value), nil)
		},
		put: func(of valueKind, key string) error {
			return client.Set(&memcache.Item{Key: key, Value: of.value()})
		},
		mostBytes: 1 << 20,
		closeIdle: func() { client.Close() }, // it goes on with new ones
	})
	return nil
}
