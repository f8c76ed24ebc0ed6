package otel_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/tracing/otel"
)

// tracers are the ways to trace that are compared.
var tracers = []struct {
	name    string
	sampler sdktrace.Sampler // nil: without a Tracer
}{
	{"unset", nil},
	{"sampled=0", sdktrace.ParentBased(sdktrace.NeverSample())},
	{"sampled=1%", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))},
	{"sampled=100%", sdktrace.ParentBased(sdktrace.AlwaysSample())},
}

func options(sampler sdktrace.Sampler) []peercache.GroupOption {
	if sampler == nil {
		return nil
	}
	return []peercache.GroupOption{peercache.WithTracer(otel.New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))))}
}

// BenchmarkHit gets what is cached here.
func BenchmarkHit(b *testing.B) {
	for _, tt := range tracers {
		b.Run(tt.name, func(b *testing.B) {
			g, err := peercache.NewGroup("g", 1<<20, valueOf(10), options(tt.sampler)...)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				g.Get(context.Background(), "k")
			}
		})
	}
}

// BenchmarkLoad gets what is cached nowhere, in one process.
func BenchmarkLoad(b *testing.B) {
	for _, tt := range tracers {
		b.Run(tt.name, func(b *testing.B) {
			g, err := peercache.NewGroup("g", 1<<20, valueOf(10), options(tt.sampler)...)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				g.Get(context.Background(), strconv.Itoa(i))
			}
		})
	}
}

// BenchmarkFetch gets what another process has cached, or, as load, what that has to load. Many
// callers ask at once.
func BenchmarkFetch(b *testing.B) {
	for _, load := range []bool{false, true} {
		for _, tt := range tracers {
			name := "cached/"
			if load {
				name = "load/"
			}
			b.Run(name+tt.name, func(b *testing.B) { benchmarkFetch(b, tt.sampler, load) })
		}
	}
}

func benchmarkFetch(b *testing.B, sampler sdktrace.Sampler, load bool) {
	var pools []*peercache.HTTPPool
	var groups []*peercache.Group
	var names []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		names = append(names, "http://"+l.Addr().String())
		pool, err := peercache.NewHTTPPool(names[len(names)-1])
		if err != nil {
			b.Fatal(err)
		}
		group, err := peercache.NewGroup("g", 8<<20, valueOf(100), append(options(sampler), peercache.WithPeers(pool), peercache.WithHotShare(0))...)
		if err != nil {
			b.Fatal(err)
		}
		server := &http.Server{Handler: pool}
		go server.Serve(l)
		defer server.Close()
		defer pool.Shutdown(context.Background())
		pools, groups = append(pools, pool), append(groups, group)
	}
	for _, pool := range pools {
		if err := pool.Set(names...); err != nil {
			b.Fatal(err)
		}
	}
	const cached = 10_000
	keys := make([]string, 0, max(b.N, cached))
	most := cached
	if load {
		most = max(b.N, cached)
	}
	for i := 0; len(keys) < most; i++ {
		if key := strconv.Itoa(i); pools[0].Pick(key, 0) != nil {
			keys = append(keys, key)
		}
	}
	if !load {
		groups[1].GetMulti(b.Context(), keys)
	}
	ask := make(chan []string, 64)
	done := make(chan error, 64)
	for range 64 {
		go func() {
			var failed error
			for some := range ask {
				for _, key := range some {
					if _, err := groups[0].Get(context.Background(), key); err != nil {
						failed = err
					}
				}
			}
			done <- failed
		}()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		from := n % len(keys)
		to := min(from+50, len(keys), from+b.N-n)
		ask <- keys[from:to]
		n += to - from
	}
	close(ask)
	for range 64 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
