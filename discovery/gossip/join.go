package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A joiner makes this process meet the others, and meet them again after a split.
type joiner struct {
	list    *memberlist.Memberlist
	members *members
	addrs   []string // host:port, a name or an IP address
	own     string   // the address of this process
	pace    pace
	log     *slog.Logger
}

// run tries to join until ctx ends. It closes tried after the first attempt.
func (j *joiner) run(ctx context.Context, tried chan<- struct{}) {
	first := sync.OnceFunc(func() { close(tried) })
	defer first()
	delay, failures := j.pace.first, 0 // of the attempts since the process has been alone
	for len(j.addrs) > 0 && ctx.Err() == nil {
		err := j.attempt(ctx)
		first()
		if !j.members.alone() {
			if failures > 0 {
				j.log.Info("gossip: joined", "own", j.own, "failures", failures)
			}
			delay, failures = j.pace.first, 0
			sleep(ctx, j.pace.most)
			continue
		}
		if err != nil && ctx.Err() == nil {
			if failures++; failures == 1 { // once for a row of them, not at each attempt
				j.log.Warn("gossip: nobody lets this process join; it is alone, and goes on trying", "own", j.own, "err", err)
			}
		}
		sleep(ctx, delay)
		delay = min(2*delay, j.pace.most)
	}
}

// sleep waits for about d, so that processes that were started together do not
// all ask at the same time for ever; or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	wait(ctx, nil, d*3/4+rand.N(d/2))
}

// attempt asks at the addresses where no member is known, in any order, until one
// answers. The error says what was wrong with those before it, if none did; it is
// nil if there was nobody to ask.
func (j *joiner) attempt(ctx context.Context) error {
	var errs []error
	known := j.members.at()
	for _, i := range rand.Perm(len(j.addrs)) {
		addrs, err := resolve(ctx, j.addrs[i])
		if err != nil {
			errs = append(errs, err)
		}
		for _, addr := range addrs {
			if known[addr] || addr == j.own {
				continue
			}
			if _, err := j.list.Join([]string{addr}); err == nil {
				return nil
			} else if inner := errors.Unwrap(err); inner != nil {
				errs = append(errs, inner) // without the list around it
			} else {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// resolve returns the addresses, IP and port, that an address with a name stands
// for, in any order.
func resolve(ctx context.Context, addr string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{addr}, nil
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("no address of %s: %w", addr, err)
	}
	rand.Shuffle(len(ips), func(i, j int) { ips[i], ips[j] = ips[j], ips[i] })
	for i, ip := range ips {
		ips[i] = net.JoinHostPort(ip, port)
	}
	return ips, nil
}
