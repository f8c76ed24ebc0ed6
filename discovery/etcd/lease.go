package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

var (
	errLapsed    = errors.New("the lease could not be renewed in time")
	errLeaseGone = errors.New("etcd has no such lease any more")
	errSilent    = errors.New("etcd does not answer")
)

// mostGranted is the longest TTL of a lease that etcd has, in seconds.
const mostGranted = int64(9_000_000_000)

// sure returns for how long a lease counts, from before it was asked for: less
// than its TTL, because clocks differ in speed and timers are late.
func sure(ttl time.Duration) time.Duration { return ttl - ttl/10 }

// lease is a lease of etcd, as this process may count on it.
type lease struct {
	id  clientv3.LeaseID
	ttl time.Duration // as granted

	lapse *time.Timer // ends the session when the lease does not count any more

	mu sync.Mutex // guards the fields below
	// renewed is when the last request was sent that etcd granted.
	renewed time.Time
	// doubted is the last moment at which etcd had not been heard for so long that
	// leases of other processes may have run out. The zero time if there was none.
	doubted time.Time
}

// grant gets a lease. end is called when it does not count any more. The client's
// own Grant would not say why it could not connect.
func grant(ctx context.Context, leases pb.LeaseClient, ttl time.Duration, end context.CancelCauseFunc) (*lease, error) {
	sent := time.Now()
	resp, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: int64(ttl / time.Second)}, grpc.WaitForReady(true))
	if err != nil {
		return nil, rpctypes.Error(err)
	}
	if resp.TTL < 1 || resp.TTL > mostGranted {
		return nil, fmt.Errorf("it is granted for %d s: want 1 to %d", resp.TTL, mostGranted)
	}
	l := &lease{id: clientv3.LeaseID(resp.ID), ttl: time.Duration(resp.TTL) * time.Second, renewed: sent}
	l.lapse = time.AfterFunc(time.Until(sent.Add(sure(l.ttl))), func() { end(errLapsed) })
	return l, nil
}

// keep renews the lease until ctx ends, or etcd does not have it any more, for
// which it returns errLeaseGone.
func (l *lease) keep(ctx context.Context, client *clientv3.Client, log *slog.Logger) error {
	failing := &outage{log: log, bad: "the lease is not renewed", good: "the lease is renewed again", ttl: l.ttl}
	for {
		err := l.renewOnStream(ctx, client, failing)
		if ctx.Err() != nil || errors.Is(err, errLeaseGone) {
			return err
		}
		failing.failed(err)
		failing.wait(ctx)
		client.ActiveConnection().ResetConnectBackoff()
	}
}

// renewOnStream renews the lease three times a TTL on one stream. The client's own
// KeepAlive does not tell when it sent a request, and its KeepAliveOnce opens a
// stream each time, for which etcd checks the password anew. The stream is opened at
// once: an etcd that is about to stop serves those that it has, and takes no more.
func (l *lease) renewOnStream(ctx context.Context, client *clientv3.Client, failing *outage) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pause := time.NewTimer(0)
	defer pause.Stop()
	var stream pb.Lease_LeaseKeepAliveClient
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause.C:
		}
		patience := time.AfterFunc(l.ttl/3, func() { cancel(errSilent) })
		sent := time.Now()
		var err error
		if stream == nil {
			stream, err = pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(ctx, grpc.WaitForReady(true))
		}
		if err == nil {
			err = l.renew(stream, sent)
		}
		patience.Stop()
		if err != nil {
			return fmt.Errorf("renew the lease: %w", cmp.Or(context.Cause(ctx), err))
		}
		failing.over()
		pause.Reset(time.Until(sent.Add(l.ttl / 3)))
	}
}

// renew renews the lease once.
func (l *lease) renew(stream pb.Lease_LeaseKeepAliveClient, sent time.Time) error {
	// Of a stream that is broken, Send says EOF, and Recv why.
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(l.id)}); err != nil && err != io.EOF {
		return err
	}
	resp, err := stream.Recv()
	if err != nil {
		return err
	}
	if resp.TTL <= 0 {
		return errLeaseGone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inDoubt() {
		l.doubted = time.Now()
	}
	l.renewed = sent
	// If the timer has fired meanwhile, the session ends all the same.
	l.lapse.Reset(time.Until(sent.Add(sure(l.ttl))))
	return nil
}

// doubt says that leases of other processes may have run out until now.
func (l *lease) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = time.Now()
}

// inDoubt reports whether etcd has not been heard for so long that leases of other
// processes may have run out, which were renewed up to a third of a TTL before
// this one. The caller holds l.mu.
func (l *lease) inDoubt() bool { return time.Since(l.renewed) > l.ttl/2 }

// grace returns for how long a process whose key is gone may come back, because
// its lease may have run out in an outage: one TTL from the end of the doubt. It is
// 0 if there is no doubt.
func (l *lease) grace() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inDoubt() {
		return l.ttl
	}
	if l.doubted.IsZero() {
		return 0
	}
	return max(0, time.Until(l.doubted.Add(l.ttl)))
}
