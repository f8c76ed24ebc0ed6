package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
)

// Get implements peercache.Getter.
func (o *Origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	items, err := o.load(ctx, []string{key})
	if err != nil {
		return peercache.Item{}, fmt.Errorf("postgres: %s: %w", quote.Key(key), err)
	}
	item, ok := items[key]
	if !ok {
		return peercache.Item{}, missing(key)
	}
	return item, nil
}

// GetBatch implements peercache.BatchGetter.
func (o *Origin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	found, err := o.load(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("postgres: %d keys: %w", len(keys), err)
	}
	items := make([]peercache.Item, len(keys))
	var errs peercache.BatchError
	for i, key := range keys {
		item, ok := found[key]
		if items[i] = item; !ok {
			if errs == nil {
				errs = make(peercache.BatchError, len(keys))
			}
			errs[i] = missing(key)
		}
	}
	if errs != nil {
		return items, errs
	}
	return items, nil
}

func missing(key string) error {
	return fmt.Errorf("postgres: %s: %w", quote.Key(key), peercache.ErrNotFound)
}

// errChanged says that a table has other columns than when the statement was checked.
var errChanged = errors.New("the columns of the statement have changed")

// load returns the items of those keys that there are.
func (o *Origin) load(ctx context.Context, keys []string) (map[string]peercache.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	items, err := o.query(ctx, keys)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, errChanged) || ok && refused.Code == planChanged {
		o.pool.Reset() // so that the statement is checked again
		items, err = o.query(ctx, keys)
	}
	return items, err
}

// planChanged is the code of "cached plan must not change result type".
const planChanged = "0A000"

func (o *Origin) query(ctx context.Context, keys []string) (items map[string]peercache.Item, err error) {
	err = o.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		s := o.shape.Load() // this connection, or a later one, has set it
		asked := make([]string, 0, len(keys))
		for _, key := range keys {
			if s.keys.valid(key) {
				asked = append(asked, key)
			}
		}
		if len(asked) == 0 {
			return nil
		}
		rows, err := conn.Query(ctx, o.Query, s.formats, s.keys.argument(asked))
		if err != nil {
			return err
		}
		defer rows.Close()
		items, err = o.collect(rows, s, asked)
		return err
	})
	return items, err
}

// collect makes items of rows. What is a row for no key is an error, because the statement is not what
// it should be.
func (o *Origin) collect(rows pgx.Rows, s *shape, asked []string) (map[string]peercache.Item, error) {
	open := make(map[string]bool, len(asked)) // true until its row comes
	for _, key := range asked {
		open[key] = true
	}
	items := make(map[string]peercache.Item, len(asked))
	for rows.Next() {
		if !s.describes(rows.FieldDescriptions()) {
			return nil, errChanged
		}
		row := rows.RawValues() // in the connection's buffer
		key := string(row[0])
		switch first, known := open[key]; {
		case !known:
			return nil, fmt.Errorf("the statement returned the key %s, which was not asked for: want %s", quote.Key(key), example)
		case !first:
			return nil, fmt.Errorf("the statement returned two rows for the key %s: want one for each", quote.Key(key))
		}
		open[key] = false
		if row[1] == nil {
			continue // not there
		}
		item := peercache.Item{Value: append([]byte{}, row[1]...), TTL: o.TTL}
		if len(row) == 3 && row[2] != nil {
			var err error
			if item.TTL, err = parseTTL(s.columns[2], row[2]); err != nil {
				return nil, fmt.Errorf("the TTL of the key %s: %w", quote.Key(key), err)
			}
		}
		items[key] = item
	}
	return items, rows.Err()
}

// parseTTL returns a TTL in the sense of peercache.Item. A month of an interval has 30 days.
func parseTTL(oid uint32, text []byte) (time.Duration, error) {
	var seconds float64
	if oid == pgtype.IntervalOID {
		var i pgtype.Interval
		if err := (pgtype.IntervalCodec{}).PlanScan(nil, oid, pgx.TextFormatCode, &i).Scan(text, &i); err != nil {
			return 0, err
		}
		seconds = float64(i.Microseconds)/1e6 + 86400*(float64(i.Days)+30*float64(i.Months))
	} else {
		var err error
		if seconds, err = strconv.ParseFloat(string(text), 64); err != nil || math.IsNaN(seconds) {
			return 0, errors.New(quote.Key(string(text)) + " is no number of seconds")
		}
	}
	switch {
	case seconds <= 0: // it is over
		return -1, nil
	case seconds >= float64(math.MaxInt64)/1e9:
		return math.MaxInt64, nil
	}
	return max(time.Duration(seconds*1e9), 1), nil
}
