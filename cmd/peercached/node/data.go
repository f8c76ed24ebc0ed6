package node

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/plugin"
	dataredis "github.com/peercache/peercache/data/redis"
	"github.com/peercache/peercache/data/tiered"
)

// openData makes what keeps the node's data, and returns the memory in it, if there is some, which may have copies alone. Both are nil if the configuration
// has no data. With a log it loads what that has.
func openData(d *config.Data, log *slog.Logger) (data.Driver, *data.Memory, error) {
	switch {
	case d == nil:
		return nil, nil, nil
	case d.Driver == "memory":
		memory, err := openMemory(d, log)
		if err != nil {
			return nil, nil, err
		}
		return memory, memory, nil
	}
	last, err := openDataRedis(d.Redis)
	if err != nil || d.Driver == "redis" {
		return last, nil, err
	}
	memory, err := openMemory(d, log)
	if err != nil {
		return nil, nil, errors.Join(err, last.Close())
	}
	levels, err := tiered.New([]data.Driver{memory, last}, tiered.WithLogger(log))
	if err != nil {
		return nil, nil, errors.Join(err, memory.Close(), last.Close())
	}
	return levels, memory, nil
}

// syncPolicy returns what data.log.fsync means.
func syncPolicy(l *config.DataLog) data.SyncPolicy {
	switch l.Fsync {
	case "always":
		return data.SyncAlways
	case "never":
		return data.SyncNever
	}
	return data.SyncInterval(l.Interval)
}

func openMemory(d *config.Data, log *slog.Logger) (*data.Memory, error) {
	policy, err := data.ParseEviction(d.Evict)
	if err != nil {
		return nil, err
	}
	opts := []data.MemoryOption{data.WithEviction(policy), data.WithNotifications(d.Notify)}
	if d.Bytes > 0 {
		opts = append(opts, data.WithBytes(int64(d.Bytes)))
	}
	if l := d.Log; l != nil {
		opts = append(opts, data.WithLog(l.Dir, data.LogSync(syncPolicy(l)), data.LogReports(log)))
	}
	began := time.Now()
	memory, err := data.NewMemory(opts...)
	switch {
	case d.Log == nil:
		return memory, err
	case err != nil:
		return nil, fmt.Errorf("%w (peercached log check %s says what is there)", err, d.Log.Dir)
	}
	log.Info("data was loaded", "dir", d.Log.Dir, "keys", memory.Stats().Keys, "took", time.Since(began).Round(time.Millisecond))
	return memory, nil
}

func openDataRedis(r *config.DataRedis) (*dataredis.Driver, error) {
	c, err := r.Config()
	if err != nil {
		return nil, fmt.Errorf("data.redis: %w", err)
	}
	return dataredis.Open(c)
}

// startPlugins starts the plugins of data.
func startPlugins(m *data.Memory, configs []config.DataPlugin, log *slog.Logger) (*plugin.Set, error) {
	var all []plugin.Config
	for i := range configs {
		c, err := configs[i].Config()
		if err != nil {
			return nil, fmt.Errorf("data.plugins[%d].settings: %w", i, err)
		}
		all = append(all, c)
	}
	set, err := plugin.Start(m, all, plugin.WithLogger(log))
	if err != nil {
		return nil, fmt.Errorf("data.plugins: %w", err)
	}
	return set, nil
}

// closeData closes what keeps the data, if there is any.
func (n *node) closeData() error {
	if n.data == nil {
		return nil
	}
	n.dataRequests.close()
	if n.plugins != nil {
		n.plugins.Close()
	}
	return n.data.Close()
}
