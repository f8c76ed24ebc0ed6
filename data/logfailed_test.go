package data

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/simdisk"
)

// The command during which the log fails says so, as those after it do.
func TestD3LogFailsDuringACommand(t *testing.T) {
	set := Command("SET", "key", "value")
	for name, run := range map[string]func(ctx context.Context, c *Client) error{
		"a method": func(ctx context.Context, c *Client) error { return c.Strings().Set(ctx, "key", "value") },
		"Do":       func(ctx context.Context, c *Client) error { _, err := c.Driver().Do(ctx, set); return err },
		"Exec":     func(ctx context.Context, c *Client) error { _, err := c.Driver().(Execer).Exec(ctx, set); return err },
		"Tx": func(ctx context.Context, c *Client) error {
			return c.Tx(ctx, func(tx *Tx) error { return tx.Strings().Set(ctx, "key", "value") })
		},
		"Watch": func(ctx context.Context, c *Client) error {
			return c.Watch(ctx, nil, func(tx *Tx) error { return tx.Strings().Set(ctx, "key", "value") })
		},
		"a reader": func(ctx context.Context, c *Client) error {
			go c.Strings().Set(ctx, "other", "value")
			for {
				if _, err := c.Strings().Get(ctx, "key"); !errors.Is(err, ErrNil) {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var fails atomic.Bool
			d := simdisk.New(rand.New(rand.NewPCG(1, 1)))
			d.Before = func(op, name string) error {
				if op == "sync" && fails.Load() {
					return syscall.EIO
				}
				return nil
			}
			m, err := NewMemory(WithLog("simulated", LogSync(SyncAlways), LogReports(slog.New(slog.DiscardHandler))), func(o *memoryOptions) error {
				o.disk = func() (disk.Disk, error) { return d, nil }
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			c := New(m)
			if err := m.Err(); err != nil {
				t.Fatal(err)
			}
			fails.Store(true)
			for _, err := range []error{run(t.Context(), c), c.Strings().Set(t.Context(), "key", "value"), m.Err()} {
				if !errors.Is(err, ErrLogFailed) || errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "sync: ") {
					t.Errorf("%v, want ErrLogFailed, and why", err)
				}
				var replied CommandError
				if !errors.As(err, &replied) || !strings.HasPrefix(string(replied), "MISCONF nothing can be written") {
					t.Errorf("%q is replied for %v", replied, err)
				}
			}
		})
	}
}
