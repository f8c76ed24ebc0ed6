package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

const (
	reader = "a-token-that-only-reads"
	writer = "a-token-that-writes-it-all"
)

func TestTokens(t *testing.T) {
	f, other := newFake("g"), newFake("other")
	_, cc := serve(t, []door.Cache{f, other}, tokens(t, map[string]door.Rights{
		reader: {May: door.RightGet, Groups: []string{"g"}}, writer: {May: door.AllRights}}))
	c := cachepb.NewCacheClient(cc)
	get := func(ctx context.Context, group string) error {
		_, err := c.Get(ctx, &cachepb.GetRequest{Group: group, Key: []byte("k")})
		return err
	}
	clear := func(ctx context.Context) error {
		_, err := c.Clear(ctx, &cachepb.ClearRequest{Group: "g"})
		return err
	}
	remove := func(ctx context.Context) error {
		_, err := c.Remove(ctx, &cachepb.RemoveRequest{Group: "g", Keys: [][]byte{{1}}})
		return err
	}
	watches := func(ctx context.Context) error {
		w, err := c.Watch(ctx, &cachepb.WatchRequest{Group: "g"})
		if err == nil {
			_, err = w.Recv()
		}
		return err
	}
	none := within(t)
	read, write := withToken(none, reader), withToken(none, writer)
	for _, test := range []struct {
		name string
		err  error
		code codes.Code
	}{
		{"no token", get(none, "g"), codes.Unauthenticated},
		{"a wrong token", get(withToken(none, "0123456789abcdef"), "g"), codes.Unauthenticated},
		{"two tokens", get(withToken(read, writer), "g"), codes.Unauthenticated},
		{"another scheme", get(metadata.AppendToOutgoingContext(none, "authorization", "Basic "+writer), "g"), codes.Unauthenticated},
		{"a reader gets", get(read, "g"), codes.OK},
		{"a reader of another group", get(read, "other"), codes.PermissionDenied},
		{"a reader of a group that is not there", get(read, "none"), codes.PermissionDenied},
		{"a reader removes", remove(read), codes.PermissionDenied},
		{"a reader clears", clear(read), codes.PermissionDenied},
		{"a reader watches", watches(read), codes.PermissionDenied},
		{"a writer gets", get(write, "other"), codes.OK},
		{"a writer removes", remove(write), codes.OK},
		{"a writer clears", clear(write), codes.OK},
		{"a writer watches", watches(write), codes.OK},
	} {
		if status.Code(test.err) != test.code {
			t.Errorf("%s: %v, want %v", test.name, test.err, test.code)
		}
	}
	if r, err := healthpb.NewHealthClient(cc).Check(none, &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health without a token: %v, %v", r, err)
	}
	if err := reflects(none, cc); status.Code(err) != codes.Unauthenticated {
		t.Errorf("reflection without a token: %v", err)
	}
}

func TestAuthorizer(t *testing.T) {
	var panics atomic.Bool
	c := client(t, newFake("g"), WithLogger(slog.New(slog.DiscardHandler)), WithAuthorizer(func(ctx context.Context, a door.Access) error {
		if panics.Load() {
			panic("no")
		}
		if a != (door.Access{Group: "g", Key: "k", Right: door.RightGet}) {
			return errors.New("secret reason")
		}
		return nil
	}))
	get := func() error {
		_, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")})
		return err
	}
	if err := get(); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
	_, err := c.Clear(within(t), &cachepb.ClearRequest{Group: "g"})
	if want := `not allowed to clear in the group "g"`; status.Code(err) != codes.PermissionDenied || status.Convert(err).Message() != want {
		t.Errorf("what is not allowed: %v, want %q", err, want)
	}
	panics.Store(true)
	if err := get(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("with a func that panics: %v", err)
	}
}

func TestHealth(t *testing.T) {
	var ready atomic.Bool
	s, cc := serve(t, []door.Cache{newFake("g")}, WithReadiness(func(ctx context.Context) error {
		if ready.Load() {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}))
	h := healthpb.NewHealthClient(cc)
	check := func(service string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		r, err := h.Check(within(t), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || r.GetStatus() != want {
			t.Errorf("Check of %q: %v, %v, want %v", service, r, err, want)
		}
	}
	check("", healthpb.HealthCheckResponse_NOT_SERVING)
	ready.Store(true)
	check("", healthpb.HealthCheckResponse_SERVING)
	check("peercache.v1.Cache", healthpb.HealthCheckResponse_SERVING)
	if _, err := h.Check(within(t), &healthpb.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("Check of another service: %v", err)
	}
	if r, err := h.List(within(t), &healthpb.HealthListRequest{}); err != nil || len(r.GetStatuses()) != 2 {
		t.Errorf("List: %v, %v", r, err)
	}
	w, err := h.Watch(within(t), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.Recv(); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("Watch: %v, %v", r, err)
	}
	go s.Shutdown(within(t))
	if r, err := w.Recv(); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("Watch after Shutdown: %v, %v", r, err)
	}
}

// reflects asks for the list of services, and wants that of the cache in it.
func reflects(ctx context.Context, cc *grpc.ClientConn) error {
	r, err := reflectionpb.NewServerReflectionClient(cc).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	if err := r.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil && err != io.EOF { // Recv says why
		return err
	}
	m, err := r.Recv()
	if err != nil {
		return err
	}
	for _, s := range m.GetListServicesResponse().GetService() {
		if s.GetName() == "peercache.v1.Cache" {
			return nil
		}
	}
	return errors.New("the cache is not among the services")
}

func TestReflection(t *testing.T) {
	_, cc := serve(t, []door.Cache{newFake("g")})
	if err := reflects(within(t), cc); err != nil {
		t.Error(err)
	}
}

// TestShutdown checks that calls in progress are answered, watchers end, and new calls are refused.
func TestShutdown(t *testing.T) {
	f := newFake("g")
	began, release := make(chan struct{}), make(chan struct{})
	f.get = func(ctx context.Context, key string) (string, time.Duration, error) {
		close(began)
		<-release
		return "late", 0, nil
	}
	s, cc := serve(t, []door.Cache{f})
	c := cachepb.NewCacheClient(cc)
	w := watch(t, c)
	next(t, w)
	answered := make(chan error, 1)
	go func() {
		r, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")})
		if err == nil && string(r.GetValue()) != "late" {
			err = errors.New("another value")
		}
		answered <- err
	}()
	<-began
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(within(t)) }()
	if _, err := w.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a Watch during Shutdown: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	select {
	case err := <-done:
		t.Errorf("Shutdown returned %v before the call in progress was answered", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the call in progress: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := c.Get(ctx, &cachepb.GetRequest{Group: "g", Key: []byte("k")}); err == nil {
		t.Error("a call after Shutdown was answered")
	}
}

// TestShutdownEnds checks that neither a call that hangs nor a watcher that reads nothing keeps
// Shutdown longer than it may take.
func TestShutdownEnds(t *testing.T) {
	f := newFake("g")
	began := make(chan struct{})
	f.get = func(ctx context.Context, key string) (string, time.Duration, error) {
		close(began)
		<-ctx.Done()
		return "", 0, ctx.Err()
	}
	s, err := New([]door.Cache{f})
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1024)
	go s.Serve(l)
	c := cachepb.NewCacheClient(dial(t, l))
	go c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")})
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown with a call that hangs: %v", err)
	}
}

// TestConnections checks that one connection too many is closed, and another one let in when a
// place is free.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New([]door.Cache{newFake("g")}, WithLimits(Limits{Connections: 1}), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Shutdown(within(t)) })
	get := func() (*grpc.ClientConn, error) {
		cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = cachepb.NewCacheClient(cc).Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")})
		return cc, err
	}
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	second, err := get()
	second.Close()
	if status.Code(err) != codes.Unavailable {
		t.Errorf("one connection too many: %v", err)
	}
	first.Close()
	eventually(t, "a free place", func() bool {
		cc, err := get()
		cc.Close()
		return err == nil
	})
}

// TestLargeMessage checks that a message that is too large costs its sender the call alone.
func TestLargeMessage(t *testing.T) {
	c := client(t, newFake("g"), WithLimits(Limits{MessageBytes: 1000}))
	_, err := c.Set(within(t), &cachepb.SetRequest{Group: "g", Key: []byte("k"), Value: make([]byte, 1<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too large: %v", err)
	}
	if _, err := c.Set(within(t), &cachepb.SetRequest{Group: "g", Key: []byte("k"), Value: make([]byte, 100)}); err != nil {
		t.Errorf("after it: %v", err)
	}
}
