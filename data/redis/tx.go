package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
)

var (
	_ data.Watcher = (*Driver)(nil)
	_ data.Execer  = (*Driver)(nil)
)

// Tx implements data.Driver. The transaction is optimistic: what f reads is watched, and what it writes is sent when it has returned, as MULTI … EXEC. Of an
// error that comes then, but for data.ErrConflict and those of commands, it is not known whether the transaction has happened.
func (d *Driver) Tx(ctx context.Context, f func(tx data.Transaction) error) error {
	return d.Watch(ctx, nil, f)
}

// Watch implements data.Watcher: it is Tx with keys that are watched from the beginning.
func (d *Driver) Watch(ctx context.Context, keys []string, f func(tx data.Transaction) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	conn, release := client.Dedicate()
	s := &session{driver: d, conn: conn, cluster: client.Mode() == rueidis.ClientModeCluster}
	defer func() { s.end(ctx, release) }()
	return data.RunOptimistic(ctx, s, keys, f)
}

// Exec implements data.Execer. If one of the commands cannot be right, none of them runs.
func (d *Driver) Exec(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	for _, cmd := range cmds {
		if refusal := refused(cmd); refusal != "" {
			return nil, data.CommandError(refusal)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, release := client.Dedicate()
	s := &session{driver: d, conn: conn, cluster: client.Mode() == rueidis.ClientModeCluster}
	defer func() { s.end(ctx, release) }()
	return s.Exec(ctx, cmds)
}

// session is a connection that belongs to one transaction.
type session struct {
	driver   *Driver
	conn     rueidis.DedicatedClient
	cluster  bool
	slot     uint16 // of the keys, if keyed
	keyed    bool
	watching bool // there is something that an UNWATCH ends
	broken   bool // nobody else may have the connection
}

// end gives the connection back, or ends it if it may not be as it was.
func (s *session) end(ctx context.Context, release func()) {
	if s.watching && !s.broken {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.broken = s.conn.Do(ctx, s.conn.B().Unwatch().Build()).Error() != nil
	}
	if s.broken {
		s.conn.Close()
		return
	}
	release()
}

// at checks that a command goes where those before have gone.
func (s *session) at(cmd rueidis.Completed, keyed bool) error {
	if !s.cluster || !keyed {
		return nil
	}
	if s.keyed && s.slot != cmd.Slot() {
		return data.ErrCrossSlot
	}
	s.slot, s.keyed = cmd.Slot(), true
	return nil
}

// send sends commands, and returns an error if one of them has no reply.
func (s *session) send(ctx context.Context, built ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	results := s.conn.DoMulti(ctx, built...)
	for _, r := range results {
		if err := r.NonRedisError(); err != nil {
			s.broken = true
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	return results, nil
}

// watch makes one WATCH of each key, so that those of different slots are told apart.
func (s *session) watch(keys []string) (built []rueidis.Completed, err error) {
	for _, key := range keys {
		cmd := s.conn.B().Watch().Key(key).Build()
		if err := s.at(cmd, true); err != nil {
			return nil, err
		}
		built = append(built, cmd)
	}
	return built, nil
}

// Watch implements data.Session.
func (s *session) Watch(ctx context.Context, keys []string) error {
	built, err := s.watch(keys)
	if err != nil || len(built) == 0 {
		return err
	}
	s.watching = true
	results, err := s.send(ctx, built...)
	if err != nil {
		return err
	}
	return failure(results)
}

// failure returns the first error that the server has replied.
func failure(results []rueidis.RedisResult) error {
	for _, r := range results {
		if text, ok := errorText(r.Error()); ok {
			return data.CommandError(text)
		}
	}
	return nil
}

// WatchAndDo implements data.Session.
func (s *session) WatchAndDo(ctx context.Context, keys []string, cmd data.Cmd) (data.Reply, error) {
	if len(keys) == 0 {
		replies, err := s.driver.Do(ctx, cmd)
		if err != nil {
			return data.Reply{}, err
		}
		return replies[0], nil
	}
	built, err := s.watch(keys)
	if err != nil {
		return data.Reply{}, err
	}
	s.watching = true
	results, err := s.send(ctx, append(built, build(s.conn.B(), cmd, true))...)
	if err != nil {
		return data.Reply{}, err
	}
	if err := failure(results[:len(built)]); err != nil {
		return data.Reply{}, err
	}
	return replyTo(cmd, results[len(built)])
}

// Exec implements data.Session.
func (s *session) Exec(ctx context.Context, cmds []data.Cmd) ([]data.Reply, error) {
	if !s.watching && len(cmds) == 0 {
		return nil, nil
	}
	built := []rueidis.Completed{s.conn.B().Multi().Build()}
	for _, cmd := range cmds {
		c := build(s.conn.B(), cmd, true)
		if err := s.at(c, firstKey(cmd) > 0); err != nil {
			return nil, err
		}
		built = append(built, c)
	}
	results, err := s.send(ctx, append(built, s.conn.B().Exec().Build())...)
	if err != nil {
		return nil, fmt.Errorf("it is not known whether the transaction has happened: %w", err)
	}
	s.watching = false
	last := results[len(results)-1]
	switch err := last.Error(); {
	case rueidis.IsRedisNil(err):
		return nil, data.ErrConflict
	case err != nil:
		return nil, fmt.Errorf("redis: the transaction has not happened: %w", errors.Join(failure(results[:len(results)-1]), failure(results[len(results)-1:])))
	}
	reply, err := replyOf(last)
	for i := range min(len(cmds), len(reply.List)) {
		reply.List[i] = withStatus(cmds[i], reply.List[i])
	}
	return reply.List, err
}
