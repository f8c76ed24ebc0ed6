package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	clusterValueBytes = 1 << 10

	// writtenPrefix is what keys begin with that are written to. Their loads take up to
	// originTakes, so that a Remove meets some on their way; the others are answered at
	// once, so that what is measured is the cache and not the origin.
	writtenPrefix = "written-"
)

// clusterOrigin is what the nodes of a cluster load from. It knows who has loaded what.
type clusterOrigin struct {
	server *http.Server

	mu       sync.Mutex
	loaders  map[string][]string // guarded by mu; by key: the nodes' URLs, one for each load
	versions map[string]int64    // guarded by mu; of keys that were written to
}

// startClusterOrigin serves the origin on a Unix socket.
func startClusterOrigin(socket string) (*clusterOrigin, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	o := &clusterOrigin{loaders: make(map[string][]string), versions: make(map[string]int64)}
	o.server = &http.Server{Handler: o}
	go o.server.Serve(l)
	return o, nil
}

// ServeHTTP answers with the version of the key, and bytes to fill the value.
func (o *clusterOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Path[1:]
	version := o.loaded(key, r.Header.Get(loaderHeader))
	if strings.HasPrefix(key, writtenPrefix) {
		pause(r.Context(), originTakes)
	}
	fmt.Fprintf(w, "%-*d", clusterValueBytes, version)
}

// versionOf reads the version in a value.
func versionOf(value []byte) (int64, error) {
	if len(value) != clusterValueBytes {
		return 0, fmt.Errorf("a value of %d bytes, want %d", len(value), clusterValueBytes)
	}
	return strconv.ParseInt(strings.TrimRight(string(value), " "), 10, 64)
}

// loaded takes note of a load, and returns the version that the key has then.
func (o *clusterOrigin) loaded(key, loader string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loaders[key] = append(o.loaders[key], loader)
	return o.versions[key]
}

// write makes a new version of the key, and returns it.
func (o *clusterOrigin) write(key string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return o.versions[key]
}

// loads returns how often keys were loaded, all together.
func (o *clusterOrigin) loads(keys []string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		n += len(o.loaders[key])
	}
	return n
}

// by returns who has loaded key: the node's URL for each load.
func (o *clusterOrigin) by(key string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loaders[key][:len(o.loaders[key]):len(o.loaders[key])]
}
