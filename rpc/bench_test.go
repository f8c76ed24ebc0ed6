package rpc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// benchServe is the variable that makes the program of the tests a server of the benchmarks: its
// value says of what.
const benchServe = "PEERCACHE_BENCH_SERVE"

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) {
	if what := os.Getenv(benchServe); what != "" {
		if err := serveBench(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// benchValue is as large as the values of the benchmarks.
var benchValue = []byte(strings.Repeat("v", 100))

const benchKeys = 1000

// serveBench serves until its standard input ends. It prints its address.
func serveBench(what string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	getter := peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return benchValue, nil })
	switch what {
	case "echo":
		s := grpc.NewServer()
		cachepb.RegisterCacheServer(s, echo{})
		go s.Serve(l)
	case "door", "door with a token":
		group, err := peercache.NewGroup("g", 8<<20, getter)
		if err != nil {
			return err
		}
		var opts []Option
		if what != "door" {
			all, err := door.NewTokens(map[string]door.Rights{reader: {May: door.AllRights}})
			if err != nil {
				return err
			}
			opts = append(opts, WithTokens(all))
		}
		s, err := New([]door.Cache{group}, opts...)
		if err != nil {
			return err
		}
		go s.Serve(l)
	default:
		_, group, _, err := benchPeer(what, "http://"+l.Addr().String(), l)
		if err != nil {
			return err
		}
		for i := range benchKeys {
			group.Get(context.Background(), fmt.Sprint("key ", i))
		}
	}
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
	return nil
}

type echo struct {
	cachepb.UnimplementedCacheServer
}

func (echo) Get(context.Context, *cachepb.GetRequest) (*cachepb.GetResponse, error) {
	return &cachepb.GetResponse{Value: benchValue, TtlNs: 1}, nil
}

// benchPeer makes a peer over TCP, or through a tunnel.
func benchPeer(how, self string, l net.Listener) (pool *peercache.HTTPPool, group *peercache.Group, stop func() error, err error) {
	opts := []peercache.PoolOption{peercache.WithPoolLogger(slog.New(slog.DiscardHandler))}
	if how == "tunnel" {
		l = Listen(l)
		opts = append(opts, peercache.WithTransport(new(Tunnel).Transport()))
	}
	if pool, err = peercache.NewHTTPPool(self, opts...); err != nil {
		return nil, nil, nil, err
	}
	getter := peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return benchValue, nil })
	if group, err = peercache.NewGroup("g", 8<<20, getter, peercache.WithPeers(pool), peercache.WithHotShare(0)); err != nil {
		return nil, nil, nil, err
	}
	server := &http.Server{Handler: pool}
	go server.Serve(l)
	return pool, group, server.Close, nil
}

// benchProcess starts a server, and returns its address.
func benchProcess(b *testing.B, what string) string {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env, cmd.Stderr = append(os.Environ(), benchServe+"="+what), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// callers is how many ask at the same time.
const callers = 64

// BenchmarkGet asks another process for a hit of 100 bytes, from 64 goroutines over one connection:
// the door, and for comparison a bare server of grpc-go with the same messages.
func BenchmarkGet(b *testing.B) {
	for _, what := range []string{"echo", "door", "door with a token"} {
		b.Run(what, func(b *testing.B) {
			cc, err := grpc.NewClient(benchProcess(b, what), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			defer cc.Close()
			c := cachepb.NewCacheClient(cc)
			ctx := context.Background()
			if strings.Contains(what, "token") {
				ctx = withToken(ctx, reader)
			}
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := c.Get(ctx, &cachepb.GetRequest{Group: "g", Key: []byte("key")}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkPeers asks a peer in another process for hits of 100 bytes, from 64 goroutines: over TCP,
// and through a tunnel.
func BenchmarkPeers(b *testing.B) {
	for _, how := range []string{"stream", "tunnel"} {
		b.Run(how, func(b *testing.B) {
			other := "http://" + benchProcess(b, how)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			self := "http://" + l.Addr().String()
			pool, group, stop, err := benchPeer(how, self, l)
			if err != nil {
				b.Fatal(err)
			}
			defer stop()
			defer pool.Shutdown(context.Background())
			if err := pool.Set(self, other); err != nil {
				b.Fatal(err)
			}
			var keys []string
			for i := range benchKeys {
				if key := fmt.Sprint("key ", i); pool.Pick(key, 0) != nil {
					keys = append(keys, key)
				}
			}
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for i := 0; p.Next(); i++ {
					if _, err := group.Get(context.Background(), keys[i%len(keys)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
