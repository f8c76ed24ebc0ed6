package node

import (
	"context"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// tracer records spans, and sends what is left at the end.
type tracer struct {
	peercache.Tracer
	flush func(ctx context.Context) error
}

// newTracer makes the tracer of a configuration, an empty one for nil.
func newTracer(c *config.Tracing) (tracer, error) {
	return tracer{flush: func(context.Context) error { return nil }}, nil
}
