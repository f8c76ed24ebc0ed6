package etcd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// slowEtcd grants leases, and takes its time for each answer.
type slowEtcd struct {
	pb.LeaseClient
	pb.Lease_LeaseKeepAliveClient
	takes time.Duration
	ttl   int64
}

func (s slowEtcd) LeaseGrant(context.Context, *pb.LeaseGrantRequest, ...grpc.CallOption) (*pb.LeaseGrantResponse, error) {
	time.Sleep(s.takes)
	return &pb.LeaseGrantResponse{ID: 7, TTL: s.ttl}, nil
}

func (s slowEtcd) Send(*pb.LeaseKeepAliveRequest) error { return nil }

func (s slowEtcd) Recv() (*pb.LeaseKeepAliveResponse, error) {
	time.Sleep(s.takes)
	return &pb.LeaseKeepAliveResponse{TTL: s.ttl}, nil
}

// A lease counts from before it was asked for, and no longer than nine tenths of
// what etcd granted, which may be another TTL than the one that was asked for.
func TestLeaseCountsFromBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, end := context.WithCancelCause(t.Context())
		l, err := grant(ctx, slowEtcd{takes: 3 * time.Second, ttl: 20}, 10*time.Second, end)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		sent := time.Now() // at 10 s
		if err := l.renew(slowEtcd{takes: 4 * time.Second, ttl: 20}, sent); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		if got, want := time.Since(start), 10*time.Second+18*time.Second; got != want || !errors.Is(context.Cause(ctx), errLapsed) {
			t.Errorf("lapsed after %v, %v: want %v", got, context.Cause(ctx), want)
		}
		start = time.Now()
		ctx, end = context.WithCancelCause(t.Context())
		if _, err := grant(ctx, slowEtcd{takes: 3 * time.Second, ttl: 20}, 10*time.Second, end); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		if got := time.Since(start); got != 18*time.Second {
			t.Errorf("a lease of 20 s that was never renewed lapsed after %v: want 18s", got)
		}
		if err := l.renew(slowEtcd{ttl: 0}, time.Now()); !errors.Is(err, errLeaseGone) {
			t.Errorf("renewed a lease that etcd does not have: %v", err)
		}
	})
}

// What etcd cannot have meant is no lease.
func TestLeaseGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for ttl, ok := range map[int64]bool{-1: false, 0: false, 1: true, mostGranted: true, mostGranted + 1: false} {
			l, err := grant(t.Context(), slowEtcd{ttl: ttl}, time.Second, func(error) {})
			if (err == nil) != ok {
				t.Errorf("a lease of %d s: error %v", ttl, err)
			}
			if l != nil {
				l.lapse.Stop()
			}
		}
	})
}

// Who is missing may come back while etcd has not been heard for long, and for one
// TTL after that; at other times there is no such grace.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancelCause(t.Context())
		const ttl = 10 * time.Second
		l, err := grant(ctx, slowEtcd{ttl: 10}, ttl, end)
		if err != nil {
			t.Fatal(err)
		}
		defer l.lapse.Stop()
		check := func(at string, want time.Duration) {
			t.Helper()
			if got := l.grace(); got != want {
				t.Errorf("%s: grace %v, want %v", at, got, want)
			}
		}
		renew := func() {
			t.Helper()
			if err := l.renew(slowEtcd{ttl: 10}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		check("at the start", 0)
		time.Sleep(ttl / 2)
		check("while renewals may be slow", 0)
		time.Sleep(time.Second)
		check("unheard", ttl)
		time.Sleep(time.Second)
		check("unheard for longer", ttl)
		renew()
		check("heard again", ttl)
		time.Sleep(4 * time.Second)
		renew()
		check("later", ttl-4*time.Second)
		time.Sleep(4 * time.Second)
		renew()
		time.Sleep(2 * time.Second)
		check("when it is over", 0)
		l.doubt()
		check("after a session that ended", ttl)
	})
}
