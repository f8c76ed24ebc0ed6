package otel

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	tracer     trace.Tracer
	keys       bool     // see WithKeys
	beginnings sync.Map // from beginning to *begun
}

// beginning says which spans begin in the same way.
type beginning struct {
	kind  peercache.SpanKind
	group string
}

// begun is what a span begins with that all of a beginning share.
type begun struct {
	name    string
	options []trace.SpanStartOption // not changed
}

// kinds are the kinds of the spans for OpenTelemetry. Those that are not here are internal.
var kinds = map[peercache.SpanKind]trace.SpanKind{
	peercache.SpanFetch: trace.SpanKindClient,
	peercache.SpanServe: trace.SpanKindServer,
	peercache.SpanTell:  trace.SpanKindClient,
	peercache.SpanApply: trace.SpanKindServer,
}

// Start implements peercache.Tracer.
func (t *tracer) Start(ctx context.Context, s peercache.Span) (context.Context, func(peercache.SpanEnd)) {
	b := t.begun(s.Kind, s.Group)
	opts := b.options
	if s.Background {
		opts = append(slices.Clip(opts), trace.WithNewRoot(), trace.WithAttributes(backgroundKey.Bool(true)))
		if link := trace.LinkFromContext(ctx); link.SpanContext.IsValid() {
			opts = append(opts, trace.WithLinks(link))
		}
	}
	ctx, span := t.tracer.Start(ctx, b.name, opts...)
	if !span.IsRecording() {
		return ctx, nil
	}
	span.SetAttributes(t.attributes(&s)...)
	return ctx, func(e peercache.SpanEnd) { t.end(span, &e) }
}

// begun returns what spans of a kind and a group begin with.
func (t *tracer) begun(kind peercache.SpanKind, group string) *begun {
	id := beginning{kind, group}
	if b, ok := t.beginnings.Load(id); ok {
		return b.(*begun)
	}
	of, ok := kinds[kind]
	if !ok {
		of = trace.SpanKindInternal
	}
	b, _ := t.beginnings.LoadOrStore(id, &begun{"peercache." + string(kind), []trace.SpanStartOption{
		trace.WithSpanKind(of), trace.WithAttributes(groupKey.String(group)),
	}})
	return b.(*begun)
}

// attributes returns those that a span gets if it is recorded.
func (t *tracer) attributes(s *peercache.Span) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 5)
	if s.Keys > 0 {
		all = append(all, keysKey.Int(s.Keys))
	}
	if t.keys && s.Keys == 1 {
		all = append(all, keyKey.String(strings.ToValidUTF8(s.Key, "\uFFFD")))
	}
	if s.Change != "" {
		all = append(all, changeKey.String(s.Change))
	}
	if s.Peer == "" {
		return all
	}
	address, port := addressOf(s.Peer)
	addressKey, portKey := semconv.ServerAddressKey, semconv.ServerPortKey
	if kinds[s.Kind] == trace.SpanKindServer {
		addressKey, portKey = semconv.ClientAddressKey, semconv.ClientPortKey
	}
	all = append(all, addressKey.String(address))
	if port > 0 {
		all = append(all, portKey.Int(port))
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
