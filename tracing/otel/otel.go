package otel

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/singleflight"
)

const scope = "github.com/peercache/peercache/tracing/otel"

// The attributes that are peercache's own.
const (
	groupKey      = attribute.Key("peercache.group")
	keyKey        = attribute.Key("peercache.key")
	keysKey       = attribute.Key("peercache.keys")
	changeKey     = attribute.Key("peercache.change")
	sharedKey     = attribute.Key("peercache.shared")
	backgroundKey = attribute.Key("peercache.background")
	notFoundKey   = attribute.Key("peercache.not_found")
)

// An Option changes what New makes.
type Option func(*tracer)

// WithKeys records keys, in peercache.key of spans that are about one key, and the texts of errors,
// which may have keys in them.
func WithKeys() Option {
	return func(t *tracer) { t.keys = true }
}

// New returns a Tracer, for peercache.WithTracer, that records spans with tp. Nil stands for
// OpenTelemetry's global provider. It may be used by many groups.
func New(tp trace.TracerProvider, opts ...Option) peercache.Tracer {
	if tp == nil {
		tp = otel.GetTracerProvider()
	}
	t := &tracer{tracer: tp.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

type tracer struct {
	tracer trace.Tracer
	keys   bool // see WithKeys
}

// kinds are the names and the kinds of the spans. A span of a kind that this version does not know
// is internal.
var kinds = map[peercache.SpanKind]struct {
	name string
	kind trace.SpanKind
}{
	peercache.SpanMiss:   {"peercache.miss", trace.SpanKindInternal},
	peercache.SpanFetch:  {"peercache.fetch", trace.SpanKindClient},
	peercache.SpanServe:  {"peercache.serve", trace.SpanKindServer},
	peercache.SpanLoad:   {"peercache.load", trace.SpanKindInternal},
	peercache.SpanChange: {"peercache.change", trace.SpanKindInternal},
	peercache.SpanTell:   {"peercache.tell", trace.SpanKindClient},
	peercache.SpanApply:  {"peercache.apply", trace.SpanKindServer},
}

// Start implements peercache.Tracer.
func (t *tracer) Start(ctx context.Context, s peercache.Span) (context.Context, func(peercache.SpanEnd)) {
	k, ok := kinds[s.Kind]
	if !ok {
		k.name, k.kind = "peercache."+string(s.Kind), trace.SpanKindInternal
	}
	opts := make([]trace.SpanStartOption, 0, 4)
	opts = append(opts, trace.WithSpanKind(k.kind), trace.WithAttributes(t.attributes(&s, k.kind)...))
	if s.Background {
		opts = append(opts, trace.WithNewRoot())
		if link := trace.LinkFromContext(ctx); link.SpanContext.IsValid() {
			opts = append(opts, trace.WithLinks(link))
		}
	}
	ctx, span := t.tracer.Start(ctx, k.name, opts...)
	if !span.IsRecording() {
		return ctx, nil
	}
	return ctx, func(e peercache.SpanEnd) { t.end(span, &e) }
}

// attributes returns those that a span begins with, so that a sampler can look at them.
func (t *tracer) attributes(s *peercache.Span, kind trace.SpanKind) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 7)
	all = append(all, groupKey.String(s.Group))
	if s.Keys > 0 {
		all = append(all, keysKey.Int(s.Keys))
	}
	if t.keys && s.Keys == 1 {
		all = append(all, keyKey.String(strings.ToValidUTF8(s.Key, "\uFFFD")))
	}
	if s.Change != "" {
		all = append(all, changeKey.String(s.Change))
	}
	if s.Background {
		all = append(all, backgroundKey.Bool(true))
	}
	if s.Peer == "" {
		return all
	}
	address, port := addressOf(s.Peer)
	if kind == trace.SpanKindServer {
		all = append(all, semconv.ClientAddress(address))
		if port > 0 {
			all = append(all, semconv.ClientPort(port))
		}
		return all
	}
	all = append(all, semconv.ServerAddress(address))
	if port > 0 {
		all = append(all, semconv.ServerPort(port))
	}
	return all
}

// addressOf returns the host and the port in the name of a peer, which is a base URL with HTTP. Any
// other name is the address itself. Without a port, it is zero.
func addressOf(name string) (address string, port int) {
	name = strings.ToValidUTF8(name, "\uFFFD")
	if _, host, ok := strings.Cut(name, "://"); ok {
		name = host
	}
	host, text, err := net.SplitHostPort(name)
	if err != nil {
		return name, 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

// end ends a span.
func (t *tracer) end(span trace.Span, e *peercache.SpanEnd) {
	if e.Shared {
		span.SetAttributes(sharedKey.Bool(true))
	}
	switch {
	case e.Err == nil:
	case errors.Is(e.Err, peercache.ErrNotFound):
		span.SetAttributes(notFoundKey.Bool(true))
	default:
		kind := kindOf(e.Err)
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		if t.keys {
			kind = strings.ToValidUTF8(e.Err.Error(), "\uFFFD")
		}
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// kindOf returns the error.type of an error: one of a few.
func kindOf(err error) string {
	switch {
	case is[*peercache.InvalidationError](err):
		return "incomplete_change"
	case errors.Is(err, peercache.ErrClosed):
		return "closed"
	case errors.Is(err, peercache.ErrLapsed):
		return "lapsed"
	case is[*peercache.PeerError](err):
		return "unreachable"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, peercache.ErrValueSize):
		return "value_size"
	case is[*singleflight.PanicError](err):
		return "panic"
	case is[*peercache.RemoteError](err):
		return "remote"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// w3c is how spans travel, whatever the program uses elsewhere: all peers must agree.
var w3c propagation.TraceContext

// headers are those of W3C Trace Context.
type headers struct{ traceparent, tracestate string }

// Get implements propagation.TextMapCarrier.
func (h *headers) Get(key string) string {
	switch key {
	case "traceparent":
		return h.traceparent
	case "tracestate":
		return h.tracestate
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (h *headers) Set(key, value string) {
	switch key {
	case "traceparent":
		h.traceparent = value
	case "tracestate":
		h.tracestate = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (h *headers) Keys() []string { return []string{"traceparent", "tracestate"} }

// Inject implements peercache.Tracer.
func (t *tracer) Inject(ctx context.Context) (traceparent, tracestate string) {
	var h headers
	w3c.Inject(ctx, &h)
	return h.traceparent, h.tracestate
}

// Extract implements peercache.Tracer. If this process has a span for the request already, such as
// one of an HTTP server's middleware, that one stays: it is inside of what has travelled.
func (t *tracer) Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if here := trace.SpanContextFromContext(ctx); here.IsValid() && !here.IsRemote() {
		return ctx
	}
	return w3c.Extract(ctx, &headers{traceparent, tracestate})
}
