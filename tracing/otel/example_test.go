package otel_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/tracing/otel"
)

// A program gives its own provider, whose exporter and sampler are its choice. The getter's context
// has the span of the load, so that a traced database driver joins the trace.
func Example() {
	ended := tracetest.NewSpanRecorder() // stands for an exporter
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1))), // of all that begins here
		sdktrace.WithSpanProcessor(ended),
	)
	getter := peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
		_, span := provider.Tracer("database").Start(ctx, "SELECT score")
		defer span.End()
		return []byte("42"), nil
	})
	scores, err := peercache.NewGroup("scores", 64<<20, getter, peercache.WithTracer(otel.New(provider)))
	if err != nil {
		panic(err)
	}
	for range 2 { // the second is a hit, and has no span
		if _, err := scores.Get(context.Background(), "Tom"); err != nil {
			panic(err)
		}
	}
	for _, s := range ended.Ended() {
		fmt.Println(s.Name())
	}
	// Output:
	// SELECT score
	// peercache.load
	// peercache.miss
}
