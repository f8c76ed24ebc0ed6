package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/peercache/peercache"
)

const (
	memberBytes = 8 << 20
	memberPath  = "/value/" // where a member's callers are: GET is a Get, DELETE a Remove

	// memberStandIn is for how long after the members have met a Remove goes to all of
	// them. It is the shortest there is, so that the rest of the time is the settled one.
	memberStandIn = time.Second
	removeTimeout = 20 * time.Second
)

// joining is the first line that a member is sent.
type joining struct {
	Origin string // what a URL is that a key is appended to
	Peers  []string
}

// runMember is one process of a cluster, which does for callers over HTTP what they would do
// in the process.
func runMember() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + l.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(report{URL: url}); err != nil {
		return err
	}
	orders := bufio.NewScanner(os.Stdin)
	if !orders.Scan() {
		return nil
	}
	var j joining
	if err := json.Unmarshal(orders.Bytes(), &j); err != nil {
		return err
	}
	pool, err := peercache.NewHTTPPool(url)
	if err != nil {
		return err
	}
	group, err := peercache.NewGroup("versions", memberBytes, peercache.GetterFunc(originAt(j.Origin)),
		peercache.WithPeers(pool), peercache.WithStandIn(memberStandIn))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(pool.BasePath(), pool)
	mux.HandleFunc("GET "+memberPath+"{key}", func(w http.ResponseWriter, r *http.Request) {
		view, err := group.Get(r.Context(), r.PathValue("key"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		view.WriteTo(w)
	})
	mux.HandleFunc("DELETE "+memberPath+"{key}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), removeTimeout)
		defer cancel()
		if err := group.Remove(ctx, r.PathValue("key")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	go http.Serve(l, mux)
	if err := pool.Set(j.Peers...); err != nil {
		return err
	}
	for {
		if err := json.NewEncoder(os.Stdout).Encode(report{URL: url, CPU: cpuTime(), Stats: group.Stats()}); err != nil {
			return err
		}
		if !orders.Scan() {
			return nil
		}
	}
}

// originAt returns a getter that asks an origin over HTTP.
func originAt(url string) func(context.Context, string) ([]byte, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers + versionedKeys}}
	return func(ctx context.Context, key string) ([]byte, error) {
		return call(ctx, client, http.MethodGet, url+key)
	}
}

// call makes a request without a body, and returns the body of the answer.
func call(ctx context.Context, client *http.Client, method, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, body)
	}
	return body, err
}

// startMembers starts processes that are a cluster.
func startMembers(n int, origin string) (members []*node, stop func(), err error) {
	stop = func() {
		for _, m := range members {
			m.stop()
		}
	}
	j := joining{Origin: origin}
	for range n {
		m, err := startReporting("member")
		if err != nil {
			stop()
			return nil, nil, err
		}
		members = append(members, m)
		j.Peers = append(j.Peers, m.url)
	}
	line, err := json.Marshal(j)
	if err != nil {
		stop()
		return nil, nil, err
	}
	for _, m := range members {
		if _, err := m.tell(string(line)); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return members, stop, nil
}
