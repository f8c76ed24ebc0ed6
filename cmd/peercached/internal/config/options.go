package config

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// groupDefaults are those of the library.
var groupDefaults = Group{
	LoadTimeout: peercache.DefaultLoadTimeout, MaxKeyBytes: peercache.DefaultMaxKeyBytes, MaxValueBytes: peercache.DefaultMaxValueBytes,
	HotShare: peercache.DefaultHotShare, Store: "adaptive", Lease: peercache.DefaultLease, StandIn: peercache.DefaultStandIn,
}

// option is one option of the library, and the key that says it.
type option[O any] struct {
	path  string
	opt   O
	probe func() error // returns what the library says of it alone
}

// Int returns a size as the library takes it, where an int may have 32 bits.
func Int(b origin.Bytes) int { return int(min(int64(b), math.MaxInt)) }

// groupOptions returns the options of a group that its keys ask for.
func (l *Loaded) groupOptions(g *Group, path string) (all []option[peercache.GroupOption]) {
	add := func(key string, opt peercache.GroupOption) {
		if l.Has(path + "." + key) {
			at := path + "." + key
			all = append(all, option[peercache.GroupOption]{at, opt, func() error { return probeGroup(1<<20, opt) }})
		}
	}
	positive := func(key string, set bool, opt peercache.GroupOption) {
		if set { // 0 is what the library does without the option
			add(key, opt)
		}
	}
	positive("ttl", g.TTL != 0, peercache.WithTTL(g.TTL))
	positive("stale_while_revalidate", g.StaleWhile != 0, peercache.WithStaleWhileRevalidate(g.StaleWhile))
	positive("stale_if_error", g.StaleIfError != 0, peercache.WithStaleIfError(g.StaleIfError))
	positive("negative_ttl", g.NegativeTTL != 0, peercache.WithNegativeTTL(g.NegativeTTL))
	positive("refresh_ahead", g.RefreshAhead != 0, peercache.WithRefreshAhead(g.RefreshAhead))
	positive("max_loads", g.MaxLoads != 0, peercache.WithMaxLoads(g.MaxLoads))
	positive("cancel_abandoned", g.CancelLoads, peercache.WithCancelAbandoned())
	positive("hide_errors", g.HideErrors, peercache.WithErrorText(func(error) string { return "the origin failed" }))
	positive("store", g.Store == "lru", peercache.WithCache(peercache.NewLRU))
	add("jitter", peercache.WithTTLJitter(g.Jitter))
	add("load_timeout", peercache.WithLoadTimeout(g.LoadTimeout))
	add("max_key_bytes", peercache.WithMaxKeyBytes(Int(g.MaxKeyBytes)))
	add("max_value_bytes", peercache.WithMaxValueBytes(Int(g.MaxValueBytes)))
	add("hot_share", peercache.WithHotShare(g.HotShare))
	add("lease", peercache.WithLease(g.Lease))
	add("stand_in", peercache.WithStandIn(g.StandIn))
	if l.Has(path + ".bytes") {
		bytes := int64(g.Bytes)
		all = append(all, option[peercache.GroupOption]{path + ".bytes", nil, func() error { return probeGroup(bytes) }})
	}
	return all
}

// probeGroup returns what NewGroup says of options.
func probeGroup(bytes int64, opts ...peercache.GroupOption) error {
	_, err := peercache.NewGroup("probe", bytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return nil, peercache.ErrNotFound
	}), opts...)
	return err
}

// GroupOptions returns the options of a group, without its peers, logger and tracer.
func (l *Loaded) GroupOptions(g *Group) (all []peercache.GroupOption) {
	for _, one := range l.groupOptions(g, "groups."+g.Name) {
		if one.opt != nil {
			all = append(all, one.opt)
		}
	}
	if g.Consistency {
		all = append(all, peercache.WithConsistency())
	}
	if s := g.Snapshot; s != nil {
		var opts []peercache.SnapshotOption
		if s.TrustGroup {
			opts = append(opts, peercache.SnapshotTrustsGroup())
		}
		all = append(all, peercache.WithSnapshot(filepath.Clean(s.Path), s.MaxAge, opts...))
	}
	return all
}

// poolOptions returns the options of the pool that keys ask for, but for those that say who is let in.
func (l *Loaded) poolOptions(p *Member) (all []option[peercache.PoolOption]) {
	add := func(key string, opt peercache.PoolOption) {
		if at := p.Path + "." + key; l.Has(at) || l.HasBelow(at) {
			all = append(all, option[peercache.PoolOption]{at, opt, func() error { return probePool(opt) }})
		}
	}
	if p.Cluster != "" {
		add("cluster", peercache.WithCluster(p.Cluster))
	}
	if p.PeerTimeout != 0 {
		add("peer_timeout", peercache.WithPeerTimeout(p.PeerTimeout))
	}
	if p.NoStream {
		add("no_stream", peercache.WithoutStream())
	}
	if len(p.Hosts) > 0 {
		add("hosts", peercache.WithHosts(p.Hosts...))
	}
	if len(p.Filter.Networks) > 0 {
		add("filter.networks", peercache.WithPeerFilter(peercache.FilterNetworks(p.Filter.Networks...)))
	}
	if len(p.Filter.Ports) > 0 {
		add("filter.ports", peercache.WithPeerFilter(peercache.FilterPorts(p.Filter.Ports...)))
	}
	if len(p.Access) > 0 {
		add("access", peercache.WithAccess(accessOf(p.Access)))
	}
	add("detection_time", peercache.WithDetectionTime(p.DetectionTime))
	add("handover", peercache.WithHandover(int64(p.Handover.Bytes), p.Handover.Time))
	add("base_path", peercache.WithBasePath(p.BasePath))
	add("max_peers", peercache.WithMaxPeers(p.MaxPeers))
	add("reconnect_rate", peercache.WithReconnectRate(p.ReconnectRate))
	add("view_change_rate", peercache.WithViewChangeRate(p.ViewChangeRate))
	add("max_unproven", peercache.WithMaxUnproven(p.MaxUnproven))
	add("large_value", peercache.WithLargeValue(Int(p.LargeValue)))
	add("max_large_requests", peercache.WithMaxLargeRequests(p.MaxLargeRequests))
	add("request_memory", peercache.WithRequestMemory(int64(p.RequestMemory)))
	add("answer_memory", peercache.WithAnswerMemory(int64(p.AnswerMemory)))
	add("request_timeout", peercache.WithRequestTimeout(p.RequestTimeout))
	add("limits", peercache.WithLimits(peercache.Limits(p.Limits)))
	s := p.StreamLimits
	add("stream_limits", peercache.WithStreamLimits(peercache.StreamLimits{Streams: s.Streams, StreamsPerPeer: s.StreamsPerPeer,
		Loads: s.Loads, LoadsPerStream: s.LoadsPerStream, Changes: s.Changes, ChangesPerStream: s.ChangesPerStream,
		RequestBytes: Int(s.RequestBytes), AnswerBytes: Int(s.AnswerBytes), FrameBytes: Int(s.FrameBytes),
		HelloTimeout: s.HelloTimeout, FrameTimeout: s.FrameTimeout}))
	return all
}

// probePool returns what NewHTTPPool says of options, at an address that nobody uses.
func probePool(opts ...peercache.PoolOption) error {
	_, err := peercache.NewHTTPPool("http://127.0.0.1:1", opts...)
	return err
}

// PoolOptions returns the options of the pool, without its logger, discovery and certificates.
func (l *Loaded) PoolOptions(p *Member) (all []peercache.PoolOption, err error) {
	for _, one := range l.poolOptions(p) {
		all = append(all, one.opt)
	}
	secrets, err := p.secrets()
	if err != nil {
		return nil, err
	}
	if len(secrets) > 0 {
		all = append(all, peercache.WithSecrets(secrets[0], secrets[1:]...))
	}
	if p.Insecure {
		all = append(all, peercache.WithInsecure())
	}
	if p.OwnNothing {
		all = append(all, peercache.WithoutOwnership())
	}
	if p.Groupcache {
		all = append(all, peercache.WithGroupcacheCompat())
	}
	return all, nil
}

// secrets returns the secrets of the peers, the current one first.
func (p *Member) secrets() (all []string, err error) {
	if !p.Secret.IsSet() {
		if len(p.PreviousSecrets) > 0 {
			return nil, errors.New("previous secrets without a secret: want secret")
		}
		return nil, nil
	}
	for _, s := range append([]Secret{p.Secret}, p.PreviousSecrets...) {
		text, err := s.Read()
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// operations are what a rule may allow or deny.
var operations = []string{"get", "change", "clear", "membership"}

// accessOf returns what the rules say, for peercache.WithAccess.
func accessOf(rules []Access) func(peercache.Access) error {
	return func(a peercache.Access) error {
		op := a.Operation.String()
		for i, rule := range rules {
			if !matches(rule.From, a.From) || !matches(rule.Group, a.Group) {
				continue
			}
			if slices.Contains(rule.Deny, op) {
				return fmt.Errorf("rule %d of peers.access denies %s", i, op)
			}
			if slices.Contains(rule.Allow, op) {
				return nil
			}
		}
		return a.Default
	}
}

// matches reports whether text is what a pattern says, in which * stands for any characters. An empty
// pattern matches everything.
func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if len(parts) == 1 || !ok {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
