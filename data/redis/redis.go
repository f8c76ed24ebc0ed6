// Package redis is a data.Driver whose data is in a Redis or a Valkey.
//
// The server may be one process, a master that sentinels know, or a cluster. It is connected to with the first command. While it is
// down, commands fail, and the first one after that connects again. A command that only reads is sent again where a connection breaks; of
// one that writes it is then not known whether it has run.
//
// In a cluster, the keys of a command, and those of a transaction, have to be in one slot: else the error is data.ErrCrossSlot. Commands of
// one Driver.Do run in their order in each slot. What is about all keys (KEYS, SCAN, DBSIZE, FLUSHDB, RANDOMKEY) goes to all masters.
package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/internal/lazy"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/origin/redis"
)

// Config says where the server is, and how to connect to it.
type Config struct {
	// Addresses are host:port, or the path of a Unix socket: of one server, or of some sentinels or nodes of
	// a cluster, which know the others. At least one is required.
	Addresses []string `yaml:"addrs" help:"host:port or the path of a Unix socket: one server, or some sentinels or nodes of a cluster"`
	// Cluster says that the addresses are nodes of a cluster.
	Cluster bool `yaml:"cluster" help:"the addresses are nodes of a cluster (default false)"`
	// Sentinel says, with a master, that the addresses are sentinels.
	Sentinel redis.Sentinel `yaml:"sentinel" help:"with a master in it, the addresses are sentinels"`
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
	// ConnectTimeout is how long it may take to connect to one address. Zero means 2s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" help:"how long it may take to connect to one address (default 2s)"`
}

// Driver is a data.Driver on a server. It is made by Open or New, and must be closed.
type Driver struct {
	where  []string
	own    rueidis.Client // of the user; nil with Open
	client lazy.Value[rueidis.Client]
}

var _ data.Driver = (*Driver)(nil)

// Open returns an error if c cannot be right. It does not connect.
func Open(c Config) (*Driver, error) {
	option, err := redis.Config{
		Addresses: c.Addresses, Cluster: c.Cluster, Sentinel: c.Sentinel, Username: c.Username, Password: c.Password, PasswordFile: c.PasswordFile,
		DB: c.DB, UseTLS: c.UseTLS, TLS: c.TLS, ConnectTimeout: c.ConnectTimeout,
	}.ClientOption()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	d := &Driver{where: c.Addresses}
	d.client.Make = func() (rueidis.Client, error) { return rueidis.NewClient(option) }
	d.client.Shut = rueidis.Client.Close
	return d, nil
}

// New makes a driver of a client of the user's, which stays the user's to close.
func New(client rueidis.Client) *Driver { return &Driver{own: client} }

// Close implements data.Driver. Commands that are running may fail.
func (d *Driver) Close() error {
	if d.own == nil {
		d.client.Close()
	}
	return nil
}

// connect returns the client.
func (d *Driver) connect(ctx context.Context) (rueidis.Client, error) {
	if d.own != nil {
		return d.own, nil
	}
	client, err := d.client.Get(ctx)
	switch {
	case errors.Is(err, lazy.ErrClosed):
		return nil, errors.New("redis: the driver is closed")
	case err != nil:
		return nil, fmt.Errorf("redis: connecting to %v: %w", d.where, err)
	}
	return client, nil
}

// Do implements data.Driver. Commands are one pipeline, or in a cluster one to each node.
func (d *Driver) Do(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	if client.Mode() == rueidis.ClientModeCluster {
		return doInCluster(ctx, client, cmds)
	}
	return do(ctx, client, cmds)
}

// do sends commands as one pipeline.
func do(ctx context.Context, client rueidis.CoreClient, cmds []data.Cmd) ([]data.Reply, error) {
	replies := make([]data.Reply, len(cmds))
	built := make(rueidis.Commands, 0, len(cmds))
	places := make([]int, 0, len(cmds))
	for i, cmd := range cmds {
		if refusal := refused(cmd); refusal != "" {
			replies[i] = data.Reply{Kind: data.ErrorReply, Str: refusal}
			continue
		}
		built, places = append(built, build(client.B(), cmd, false)), append(places, i)
	}
	var err error
	for i, result := range client.DoMulti(ctx, built...) {
		if failed := result.NonRedisError(); failed != nil {
			return nil, fmt.Errorf("redis: %s: %w", cmds[places[i]].Name, failed)
		}
		if replies[places[i]], err = replyTo(cmds[places[i]], result); err != nil {
			return nil, err
		}
	}
	return replies, nil
}
