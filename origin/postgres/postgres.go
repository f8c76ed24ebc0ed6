// Package postgres is an origin whose values come from a statement of a PostgreSQL database.
//
// The statement has one parameter, an array of keys, and returns a row for each key that there is:
//
//	SELECT key, value FROM users WHERE key = ANY($1)
//
// Its first column is the key, the second the value, and a third one, if it has one, how long the value may be
// served from the cache: an interval, or a number of seconds. The names do not matter. A value may be of any type.
// A bytea is its bytes, all others are the text of PostgreSQL. A key without a row, or with NULL as its value, is
// peercache.ErrNotFound. Keys are of type text, varchar, bytea, uuid, smallint, integer or bigint.
// A key that is none of its type is not there: "007" is no number, "7" is.
//
// Many loads of one GetMulti are one run of the statement.
//
// The database is connected to with the first load. The statement is checked then, and again with each new connection. While
// the database is down, or the statement is wrong, loads fail.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// The defaults of a Config.
const (
	DefaultTimeout     = 5 * time.Second
	DefaultConnections = 8
	DefaultMaxBytes    = peercache.DefaultMaxValueBytes
)

// Config is the section "postgres" of an origin.
type Config struct {
	// DSN says where the database is, as libpq has it: postgres://reader@db.example/app?sslmode=verify-full, or
	// host=/run/postgresql dbname=app. It is required. What is not in it is taken from the environment (PGUSER,
	// PGPASSWORD and so on) and ~/.pgpass.
	DSN string `yaml:"dsn" help:"where the database is: postgres://reader@db.example/app?sslmode=verify-full"`
	// PasswordFile has the password in place of that in DSN. It is read for each connection, so that it may
	// change. White space at its end does not count.
	PasswordFile string `yaml:"password_file" help:"a file that has the password, read for each connection"`
	// Query is the statement. It is required. See the package's comment.
	Query string `yaml:"query" help:"SELECT key, value FROM t WHERE key = ANY($1); a third column is a ttl"`
	// TTL is how long a value may be served from the cache that has no TTL of its own. Zero means the TTL of the group.
	TTL time.Duration `yaml:"ttl" help:"how long a value may be served from the cache that has no ttl of its own (default: the group's ttl)"`
	// Timeout is how long a load may take, with the time to get a connection. Zero means 5s. The load timeout of the
	// group holds too.
	Timeout time.Duration `yaml:"timeout" help:"how long a load may take (default 5s)"`
	// StatementTimeout is after what time the server ends the statement (statement_timeout). It keeps it from working for
	// a load that has been given up. Zero means Timeout, less than zero that the server is not told, for poolers that refuse it.
	StatementTimeout time.Duration `yaml:"statement_timeout" help:"when the server ends the statement; negative: it is not told (default: timeout)"`
	// Connections is how many there are at most. Zero means 8.
	Connections int `yaml:"connections" help:"how many connections there are at most (default 8)"`
	// MaxBytes is the size of the largest row. A larger one is an error for all keys that were asked for with it. Zero means 64 MiB.
	MaxBytes origin.Bytes `yaml:"max_bytes" help:"a larger row is an error (default 64MiB)"`
}

// Origin is a statement of a database. It is made by New, and is safe for concurrent use. It must be closed.
type Origin struct {
	Config
	pool  *pgxpool.Pool
	shape atomic.Pointer[shape] // of the statement, as the last connection has it
}

var _ peercache.BatchGetter = (*Origin)(nil)

// Factory makes the origin of a node's group: see origin.Factory.
func Factory(_ context.Context, _ origin.Env, decode func(section any) error) (peercache.Getter, error) {
	return origin.Make(Config{}, decode, New)
}

// New returns an error if c cannot be right. It does not connect.
func New(c Config) (*Origin, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.StatementTimeout = cmp.Or(c.StatementTimeout, c.Timeout)
	c.Connections = cmp.Or(c.Connections, DefaultConnections)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: dsn: %w", err) // without its password
	}
	switch mode := config.ConnConfig.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec: // in these, keys and values have no types
		return nil, fmt.Errorf("postgres: dsn has default_query_exec_mode=%v: want describe_exec, cache_describe, or none", mode)
	}
	o := &Origin{Config: c}
	config.MaxConns = int32(c.Connections)
	config.AfterConnect = o.check
	config.BeforeConnect = o.setPassword
	config.ConnConfig.MaxProtocolMessageBodyLen = int(min(int64(c.MaxBytes)+(64<<10), math.MaxInt32))
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "peercache"
	}
	if c.StatementTimeout > 0 {
		ms := max(c.StatementTimeout.Milliseconds(), 1) // 0 would be none
		config.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(ms, 10)
	}
	if err := o.setPassword(context.Background(), config.ConnConfig); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if o.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return o, nil
}

func (c *Config) check() error {
	switch {
	case c.DSN == "":
		return errors.New("dsn is missing: want one such as postgres://reader@db.example/app")
	case strings.TrimSpace(c.Query) == "":
		return errors.New("query is missing: want one such as " + example)
	case c.TTL < 0, c.Timeout < 0:
		return fmt.Errorf("ttl is %v, timeout %v: want positive durations, such as 5s", c.TTL, c.Timeout)
	case c.Connections < 0 || c.Connections > math.MaxInt32:
		return fmt.Errorf("connections is %d: want a positive number", c.Connections)
	case c.MaxBytes < 0 || c.MaxBytes > 1<<30:
		return fmt.Errorf("max_bytes is %v: want a size up to 1GiB", c.MaxBytes)
	}
	return nil
}

// example is what errors show of a statement that would be right.
const example = "SELECT key, value FROM users WHERE key = ANY($1)"

func (o *Origin) setPassword(_ context.Context, config *pgx.ConnConfig) error {
	if o.PasswordFile == "" {
		return nil
	}
	b, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return fmt.Errorf("password_file: %w", err)
	}
	if config.Password = strings.TrimRight(string(b), " \t\r\n"); config.Password == "" {
		return fmt.Errorf("password_file: %s is empty: want a password", o.PasswordFile)
	}
	return nil
}

// Close ends the connections when their loads are over.
func (o *Origin) Close() error {
	o.pool.Close()
	return nil
}
