// Package redis is an origin whose values are the strings of a Redis or a Valkey.
//
// A load is a GET, and many loads of one GetMulti are one MGET, or in a cluster one pipeline to each
// node. A key that is not there is peercache.ErrNotFound. A key that has something else than a string
// is an error for a GET; for an MGET it is not there.
//
// The server may be one process, a master that sentinels know, or a cluster. It is connected to with the first
// load. While it is down, loads fail, and the first one after that connects again.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/lazy"
	"github.com/peercache/peercache/origin"
)

// The defaults of a Config.
const (
	DefaultTimeout        = 5 * time.Second
	DefaultConnectTimeout = 2 * time.Second
)

// Config is the section "redis" of an origin.
type Config struct {
	// Addresses are host:port, or the path of a Unix socket: of one server, or of some sentinels or nodes of
	// a cluster, which know the others. At least one is required.
	Addresses []string `yaml:"addresses" help:"host:port or the path of a Unix socket: one server, or some sentinels or nodes of a cluster"`
	// Cluster says that the addresses are nodes of a cluster.
	Cluster bool `yaml:"cluster" help:"the addresses are nodes of a cluster (default false)"`
	// Sentinel says, with a master, that the addresses are sentinels.
	Sentinel Sentinel `yaml:"sentinel" help:"with a master in it, the addresses are sentinels"`
	// Username and Password are for AUTH. PasswordFile has the password in place of Password, and is read
	// for each connection, so that it may change. White space at its end does not count.
	Username     string `yaml:"username" help:"the user of an ACL (default: the default user)"`
	Password     string `yaml:"password" help:"the password (default: none)"`
	PasswordFile string `yaml:"password_file" help:"a file that has the password, read for each connection"`
	// DB is the number of the database. A cluster has only 0.
	DB int `yaml:"db" help:"the number of the database (default 0)"`
	// UseTLS says that connections are encrypted, those to sentinels too. TLS is how.
	UseTLS bool       `yaml:"use_tls" help:"encrypt the connections (default false)"`
	TLS    origin.TLS `yaml:"tls" help:"how the server is verified, and this process to it"`

	// KeyPrefix stands before each key.
	KeyPrefix string `yaml:"key_prefix" help:"text before each key, such as user: (default: none)"`
	// TTL is how long a value may be served from the cache. Zero means the TTL of the group.
	TTL time.Duration `yaml:"ttl" help:"how long a value may be served from the cache (default: the group's ttl)"`
	// KeyTTL says that a value is not served for longer than its key has left to live. It is asked for in the
	// same pipeline (PTTL).
	KeyTTL bool `yaml:"key_ttl" help:"serve no value for longer than its key has left to live (default false)"`
	// Timeout is how long a load may take. Zero means 5s. The load timeout of the group holds too.
	Timeout time.Duration `yaml:"timeout" help:"how long a load may take (default 5s)"`
	// ConnectTimeout is how long it may take to connect to one address. Zero means 2s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" help:"how long it may take to connect to one address (default 2s)"`
}

// Sentinel is the section "sentinel" of a Config.
type Sentinel struct {
	// Master is the name by which the sentinels know the master.
	Master string `yaml:"master" help:"the name by which the sentinels know the master"`
	// Username and Password are for AUTH at the sentinels.
	Username string `yaml:"username" help:"the user at the sentinels (default: the default user)"`
	Password string `yaml:"password" help:"the password at the sentinels (default: none)"`
}

// Origin is a server. It is made by New, and is safe for concurrent use. It must be closed.
type Origin struct {
	Config
	client lazy.Value[rueidis.Client]
}

var _ peercache.BatchGetter = (*Origin)(nil)

// Factory makes the origin of a node's group: see origin.Factory.
func Factory(_ context.Context, _ origin.Env, decode func(section any) error) (peercache.Getter, error) {
	return origin.Make(Config{}, decode, New)
}

// New returns an error if c cannot be right. It does not connect.
func New(c Config) (*Origin, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	option, err := c.option()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	o := &Origin{Config: c}
	o.client.Make = func() (rueidis.Client, error) { return rueidis.NewClient(option) }
	o.client.Shut = rueidis.Client.Close
	return o, nil
}

// ClientOption returns what a client of rueidis needs to connect as c says, or an error if c cannot be right. It does not connect.
func (c Config) ClientOption() (rueidis.ClientOption, error) {
	if err := c.check(); err != nil {
		return rueidis.ClientOption{}, err
	}
	return c.option()
}

func (c *Config) check() error {
	switch {
	case len(c.Addresses) == 0:
		return errors.New("addresses is missing: want one, such as [localhost:6379]")
	case c.Cluster && c.Sentinel.Master != "":
		return errors.New("cluster excludes sentinel: want one of them")
	case c.Sentinel.Master == "" && c.Sentinel != Sentinel{}:
		return errors.New("sentinel has no master: want the name by which the sentinels know it")
	case len(c.Addresses) > 1 && !c.Cluster && c.Sentinel.Master == "":
		return fmt.Errorf("addresses has %d addresses: want one, or cluster: true, or sentinel: {master: NAME}", len(c.Addresses))
	case c.DB < 0:
		return fmt.Errorf("db is %d: want 0 or more", c.DB)
	case c.Cluster && c.DB != 0:
		return fmt.Errorf("db is %d: want 0, a cluster has no other", c.DB)
	case c.Password != "" && c.PasswordFile != "":
		return errors.New("password excludes password_file: want one of them")
	case c.Username != "" && c.Password == "" && c.PasswordFile == "":
		return errors.New("username needs password or password_file")
	case !c.UseTLS && c.TLS != origin.TLS{}:
		return errors.New("tls needs use_tls: true")
	case c.TTL < 0, c.Timeout < 0, c.ConnectTimeout < 0:
		return fmt.Errorf("ttl is %v, timeout %v, connect_timeout %v: want positive durations, such as 5s", c.TTL, c.Timeout, c.ConnectTimeout)
	}
	for _, address := range c.Addresses {
		if isSocket(address) {
			continue
		}
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("addresses has %q: want host:port, such as localhost:6379, or the path of a Unix socket", address)
		}
	}
	return nil
}

func isSocket(address string) bool { return strings.HasPrefix(address, "/") }

// mostRetries is how often a command is sent again whose connection has broken. A server that is down
// is an error soon.
const mostRetries = 2

func (c *Config) option() (rueidis.ClientOption, error) {
	option := rueidis.ClientOption{
		InitAddress:       c.Addresses,
		SelectDB:          c.DB,
		ClientName:        "peercache",
		ForceSingleClient: !c.Cluster && c.Sentinel.Master == "",
		DisableCache:      true, // the group is the cache
		Dialer:            net.Dialer{Timeout: cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)},
		Sentinel: rueidis.SentinelOption{
			MasterSet: c.Sentinel.Master, Username: c.Sentinel.Username, Password: c.Sentinel.Password, TopologyRefreshInterval: 5 * time.Second,
		},
		DialCtxFn: func(ctx context.Context, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
			network := "tcp"
			if isSocket(address) {
				network = "unix"
			}
			if config != nil {
				return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, network, address)
			}
			return d.DialContext(ctx, network, address)
		},
		RetryDelay: func(attempts int, _ rueidis.Completed, _ error) time.Duration {
			if attempts > mostRetries {
				return -1
			}
			return time.Duration(attempts) * 20 * time.Millisecond
		},
	}
	option.Sentinel.Dialer = option.Dialer
	if c.Password != "" || c.PasswordFile != "" {
		if _, err := c.password(); err != nil {
			return option, err
		}
		option.AuthCredentialsFn = func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			password, err := c.password()
			return rueidis.AuthCredentials{Username: c.Username, Password: password}, err
		}
	}
	if c.UseTLS {
		config, err := c.TLS.Config()
		if err != nil {
			return option, fmt.Errorf("tls: %w", err)
		}
		option.TLSConfig, option.Sentinel.TLSConfig = config, config
	}
	return option, nil
}

func (c *Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	password := strings.TrimRight(string(b), " \t\r\n")
	if password == "" {
		return "", fmt.Errorf("password_file: %s is empty: want a password", c.PasswordFile)
	}
	return password, nil
}
