package node

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/data"
	dataredis "github.com/peercache/peercache/data/redis"
	"github.com/peercache/peercache/data/tiered"
)

// openData makes what keeps the node's data, nil if the configuration has none. With a log it loads what that has.
func openData(d *config.Data, log *slog.Logger) (data.Driver, error) {
	switch {
	case d == nil:
		return nil, nil
	case d.Driver == "memory":
		return openMemory(d, log)
	case d.Driver == "redis":
		return openDataRedis(d)
	}
	memory, err := openMemory(d, log)
	if err != nil {
		return nil, err
	}
	behind, err := openDataRedis(d)
	if err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	levels, err := tiered.New(memory, behind)
	if err != nil {
		return nil, errors.Join(err, memory.Close(), behind.Close())
	}
	return levels, nil
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
	var opts []data.MemoryOption
	if d.Bytes > 0 {
		opts = append(opts, data.WithBytes(int64(d.Bytes)))
	}
	policy, err := data.ParseEviction(d.Evict)
	if err != nil {
		return nil, err
	}
	opts = append(opts, data.WithEviction(policy))
	if l := d.Log; l != nil {
		opts = append(opts, data.WithLog(l.Dir, data.LogSync(syncPolicy(l)), data.LogReports(log)))
	}
	memory, err := data.NewMemory(opts...)
	if err != nil {
		return nil, err
	}
	if d.Notify != "" {
		if err := memory.SetNotifications(d.Notify); err != nil {
			return nil, errors.Join(fmt.Errorf("data.notify: %w", err), memory.Close())
		}
	}
	return memory, nil
}

func openDataRedis(d *config.Data) (*dataredis.Driver, error) {
	c, err := d.Redis.Config()
	if err != nil {
		return nil, fmt.Errorf("data.redis: %w", err)
	}
	return dataredis.Open(c)
}
