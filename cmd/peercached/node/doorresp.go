package node

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
)

// respDoor is the door for Redis clients.
type respDoor struct {
	*resp.Server
	tls *tls.Config // nil: in the clear
}

// openRESP makes the door for Redis clients, nil if there is none.
func openRESP(n *node) (frontDoor, error) {
	c := n.cfg.RESP
	if c == nil {
		return nil, nil
	}
	opts := []resp.Option{
		resp.WithLogger(n.log),
		resp.WithLimits(resp.Limits{Clients: c.Connections, Arguments: c.Arguments, BulkBytes: config.Int(c.BulkBytes), QueryBytes: config.Int(c.QueryBytes),
			OutputBytes: config.Int(c.OutputBytes), ClientBytes: int64(c.ClientBytes), TrackedKeys: c.TrackedKeys, IdleTimeout: c.IdleTimeout,
			QueryTimeout: c.QueryTimeout, WriteTimeout: c.WriteTimeout, PushTimeout: c.PushTimeout}),
	}
	if len(c.Prefixes) > 0 {
		opts = append(opts, resp.WithPrefixes(c.Prefixes))
	}
	if c.DefaultGroup != "" {
		opts = append(opts, resp.WithDefaultGroup(c.DefaultGroup))
	}
	if c.ReadOnly {
		opts = append(opts, resp.WithReadOnly())
	}
	if c.ShowErrors {
		opts = append(opts, resp.WithErrorText(func(err error) string { return err.Error() }))
	}
	if c.Password.IsSet() {
		password, err := c.Password.Read()
		if err != nil {
			return nil, fmt.Errorf("resp.password: %w", err)
		}
		opts = append(opts, resp.WithPassword(password))
	}
	for _, u := range c.Users {
		password, err := u.Password.Read()
		if err != nil {
			return nil, fmt.Errorf("resp.users: %s: %w", u.Name, err)
		}
		opts = append(opts, resp.WithUsers(resp.User{Name: u.Name, Password: password, ReadOnly: u.ReadOnly}))
	}
	if !c.Password.IsSet() && len(c.Users) == 0 {
		// The configuration was asked already whether strangers may come.
		opts = append(opts, resp.WithInsecure())
	}
	if n.data != nil {
		fallback, err := respdoor.New(n.data)
		if err != nil {
			return nil, err
		}
		opts = append(opts, resp.WithFallback(fallback))
	}
	server, err := resp.New(n.caches, opts...)
	if err != nil {
		return nil, err
	}
	d := &respDoor{Server: server}
	if d.tls, err = serverTLS(c.TLS); err != nil {
		return nil, fmt.Errorf("resp.tls: %w", err)
	}
	return d, nil
}

func (d *respDoor) Serve(l net.Listener) error {
	if d.tls != nil {
		l = tls.NewListener(l, d.tls)
	}
	return d.Server.Serve(l)
}
