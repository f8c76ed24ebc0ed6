package peercache_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// What a process says of the members of its view is bounded, however many there are.
func TestP10MembersAreBounded(t *testing.T) {
	for _, peers := range []int{3, 3000} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				n := startSimNode(t, net, 0, simConfig{getter: &editions{}})
				urls := []string{n.url}
				for i := range peers - 1 {
					urls = append(urls, fmt.Sprintf("http://10.1.%d.%d:8001", i/250, i%250))
				}
				if err := n.pool.Set(urls...); err != nil {
					t.Fatal(err)
				}
				status, resp := post(t, net.Host("10.0.0.99"), n, mustMarshal(t, &pb.ChangeRequest{Members: true}))
				if status != http.StatusOK || int(resp.GetSize()) != peers || proto.Size(resp) > 64<<10 || len(resp.GetMembers()) > peers || len(resp.GetMembers()) < min(peers, 500) {
					t.Errorf("status %d, %d of %d members, %d bytes", status, len(resp.GetMembers()), resp.GetSize(), proto.Size(resp))
				}
				if err := n.pool.Set(n.url); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Of what a peer says of its members only what can be a peer is shown, and not too much.
func TestP10MembersThatAPeerMakesUp(t *testing.T) {
	many := make([]string, 800)
	for i := range many {
		many[i] = fmt.Sprintf("http://10.1.%d.%d:8001", i/250, i%250)
	}
	for name, c := range map[string]struct {
		said *pb.ChangeResponse
		want string
	}{
		"nothing":           {&pb.ChangeResponse{View: 7}, "a number of peers that is not known"},
		"no peers":          {&pb.ChangeResponse{View: 7, Members: []string{"\x1b[2J\x1b[2J", strings.Repeat("x", 9999)}, Size: 2}, "its list has 2 peers"},
		"not all":           {&pb.ChangeResponse{View: 7, Members: many[:1], Size: 99}, "its list has 99 peers"},
		"many":              {&pb.ChangeResponse{View: 7, Members: many, Size: 800}, "and 795 more are in its list"},
		"the same, but not": {&pb.ChangeResponse{View: 7, Members: []string{"http://10.0.0.1:8001", "http://10.0.0.2:8001"}, Size: 2}, "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				body, err := proto.Marshal(c.said)
				if err != nil {
					t.Fatal(err)
				}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &editions{}, pool: func(int) []peercache.PoolOption { return bothWays["plain"] },
					wrap: func(i int, pool *peercache.HTTPPool) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							if i == 0 || !strings.HasSuffix(r.URL.Path, "/change") {
								pool.ServeHTTP(w, r)
								return
							}
							io.Copy(io.Discard, r.Body)
							w.Header().Set("Content-Type", "application/x-protobuf")
							w.Header().Set("Peercache-Peer", r.Header.Get("Peercache-To"))
							w.Write(body)
						})
					},
				})
				start := time.Now()
				p := pending(t, nodes[0].group.Remove(inside(t), "k"), nodes[1])
				text := p.Err.Error()
				if !strings.Contains(text, c.want) || len(text) > 500 || bytes.ContainsAny([]byte(text), "\x1b\n") {
					t.Errorf("%d bytes: %q, want %q", len(text), text, c.want)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
