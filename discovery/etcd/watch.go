package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	errKeyGone    = errors.New("etcd does not have the key of this process any more")
	errKeyTaken   = errors.New("the key of this process is somebody else's now: want each base URL in one process alone")
	errWatchEnded = errors.New("the watch has ended")
)

// follow keeps the view, until the session ends. If the watch breaks, for instance
// because etcd has compacted what happened since, it reads all keys again. If that
// fails for as long as a lease counts, the session ends: the key may have been
// deleted meanwhile, though the lease is alive.
func (m *member) follow(ctx context.Context, l *lease) error {
	blind := &outage{log: m.log, bad: "the keys are not watched", good: "the keys are watched again", ttl: m.ttl}
	for {
		revision, err := m.read(ctx, l)
		if err == nil {
			err = m.watch(ctx, l, revision, blind)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !m.present || errors.Is(err, errKeyGone) || errors.Is(err, errKeyTaken) {
			return err
		}
		blind.failed(err)
		if time.Since(blind.since) > sure(l.ttl) {
			return err
		}
		blind.wait(ctx)
	}
}

// read reads all keys, and returns the revision of etcd at which it did. From the
// first time on this process is present.
func (m *member) read(ctx context.Context, l *lease) (int64, error) {
	asking, cancel := context.WithTimeout(ctx, m.ttl/3)
	defer cancel()
	resp, err := m.client.Get(asking, m.prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, fmt.Errorf("read the keys: %w", err)
	}
	registered := errKeyGone
	found := make(map[string]string, min(len(resp.Kvs), mostKeys))
	for _, kv := range resp.Kvs {
		own := string(kv.Key) == m.key
		if own {
			registered = checkOwn(kv, l)
		}
		if own || len(found) < mostKeys {
			found[clip(kv.Key)] = clip(kv.Value)
		}
	}
	if registered != nil {
		return 0, registered
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if !m.present && m.seen != nil {
		l.doubt() // whatever ended the last session may have ended others'
	}
	m.roster.read(found, l.grace() > 0)
	if !m.present {
		m.present = true
		m.leases = append(m.leases[:0], l.id)
		m.outage.over()
	}
	m.tell(false)
	return resp.Header.Revision, nil
}

// watch follows the changes from a revision on. Three times a TTL it asks etcd how
// far it has come: a watch on which nothing comes any more, though the lease is
// renewed by another connection, would leave this process with an old view.
//
// The changes of the revision that was read come once more, which does no harm:
// etcd does not answer those who wait for a revision that is still to come.
func (m *member) watch(ctx context.Context, l *lease, revision int64, blind *outage) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := m.client.Watch(ctx, m.prefix, clientv3.WithPrefix(), clientv3.WithRev(revision), clientv3.WithCreatedNotify())
	heard := time.Now()
	ask := time.NewTicker(l.ttl / 3)
	defer ask.Stop()
	for {
		var graceEnds <-chan time.Time
		if len(m.roster.missing) > 0 {
			graceEnds = time.After(l.grace())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case resp, ok := <-changes:
			if err := resp.Err(); err != nil {
				return err
			}
			if !ok {
				return errWatchEnded
			}
			heard = time.Now()
			blind.over()
			if err := m.apply(resp.Events, l); err != nil {
				return err
			}
		case <-ask.C:
			if time.Since(heard) > sure(l.ttl) { // two questions without an answer
				return errSilent
			}
			m.askProgress(ctx, l)
		case <-graceEnds:
			if l.grace() == 0 { // else there is doubt again
				m.roster.giveUp()
			}
		}
		if ctx.Err() == nil { // else this process may have lapsed
			m.tell(false)
		}
	}
}

// askProgress makes etcd say something on the watch. The client does not take the
// question while it connects anew; whether there is an answer says enough.
func (m *member) askProgress(ctx context.Context, l *lease) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/10)
	defer cancel()
	_ = m.client.RequestProgress(ctx)
}

// checkOwn returns an error if the key of this process does not hang on its lease,
// so that it may be gone while that is renewed.
func checkOwn(kv *mvccpb.KeyValue, l *lease) error {
	if clientv3.LeaseID(kv.Lease) != l.id {
		return errKeyTaken
	}
	return nil
}

// apply takes changes, all or, if this process is not registered any more, none:
// then the next session reads all keys.
func (m *member) apply(events []*clientv3.Event, l *lease) error {
	for _, e := range events {
		if string(e.Kv.Key) != m.key {
			continue
		}
		if e.Type == clientv3.EventTypeDelete {
			return errKeyGone
		}
		if err := checkOwn(e.Kv, l); err != nil {
			return err
		}
	}
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			m.roster.remove(clip(e.Kv.Key), l.grace() > 0)
		} else {
			m.roster.put(clip(e.Kv.Key), clip(e.Kv.Value))
		}
	}
	return nil
}
