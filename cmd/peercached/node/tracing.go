package node

import (
	"context"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/tracing/otel"
)

// tracer records spans, and sends what is left at the end.
type tracer struct {
	peercache.Tracer
	flush func(ctx context.Context) error
}

// newTracer makes the tracer of a configuration, one that does nothing for nil. The collector is not asked.
func newTracer(c *config.Tracing, self string) (tracer, error) {
	if c == nil {
		return tracer{flush: func(context.Context) error { return nil }}, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return tracer{}, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	headers := map[string]string{}
	for name, secret := range c.Headers {
		if headers[name], err = secret.Read(); err != nil {
			return tracer{}, fmt.Errorf("tracing.headers.%s: %w", name, err)
		}
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(headers))
	if err != nil {
		return tracer{}, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", c.Service), attribute.String("service.instance.id", self))),
	)
	var opts []otel.Option
	if c.Keys {
		opts = append(opts, otel.WithKeys())
	}
	return tracer{otel.New(provider, opts...), provider.Shutdown}, nil
}
