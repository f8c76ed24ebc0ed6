package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rs/cors"
	"golang.org/x/net/netutil"

	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/origin"
)

// httpDoor is the HTTP door.
type httpDoor struct {
	handler     *api.Handler
	server      *http.Server
	tls         *tls.Config // nil: in the clear
	connections int
}

// openHTTP makes the HTTP door, nil if there is none.
func openHTTP(n *node) (frontDoor, error) {
	c := n.cfg.HTTP
	if c == nil {
		return nil, nil
	}
	if err := setTokens(&n.httpTokens, c.Tokens); err != nil {
		return nil, fmt.Errorf("http.tokens: %w", err)
	}
	opts := []api.Option{
		api.WithLogger(n.log), api.WithMaxBodyBytes(int64(c.BodyBytes)), api.WithBodyMemory(int64(c.BodyMemory)), api.WithMaxBatchKeys(c.BatchKeys),
		api.WithMaxBatchBytes(int64(c.BatchBytes)), api.WithMaxRequests(c.Requests), api.WithChangeTimeout(c.ChangeTimeout),
		api.WithTokens(&n.httpTokens),
	}
	if n.forwards {
		opts = append(opts, api.WithContext(func(r *http.Request) context.Context { return origin.WithHeaders(r.Context(), r.Header) }))
	}
	if len(c.Hosts) > 0 {
		opts = append(opts, api.WithHosts(c.Hosts...))
	}
	if c.ReadOnly {
		opts = append(opts, api.WithReadOnly())
	}
	if c.Rate != nil {
		opts = append(opts, api.WithRateLimit(c.Rate.PerSecond, c.Rate.Burst))
	}
	if n.cfg.Has("http.max_age") {
		opts = append(opts, api.WithMaxAge(c.MaxAge))
	}
	if c.ShowErrors {
		opts = append(opts, api.WithErrorText(func(err error) string { return err.Error() }))
	}
	handler, err := api.New(n.caches, opts...)
	if err != nil {
		return nil, err
	}
	d := &httpDoor{handler: handler, connections: c.Connections}
	if d.tls, err = serverTLS(c.TLS, "h2", "http/1.1"); err != nil {
		return nil, fmt.Errorf("http.tls: %w", err)
	}
	var h http.Handler = handler
	if o := c.CORS; o != nil {
		h = cors.New(cors.Options{AllowedOrigins: o.Origins, AllowedMethods: o.Methods, AllowedHeaders: o.Headers, AllowCredentials: o.Credentials,
			ExposedHeaders: []string{"Age", "ETag"}, MaxAge: int(o.MaxAge / time.Second)}).Handler(handler)
	}
	d.server = &http.Server{Handler: h, TLSConfig: d.tls, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: errorLog(n.log, "http")}
	return d, nil
}

func (d *httpDoor) Serve(l net.Listener) error {
	l = netutil.LimitListener(l, d.connections)
	if d.tls != nil {
		return d.server.ServeTLS(l, "", "")
	}
	return d.server.Serve(l)
}

func (d *httpDoor) Shutdown(ctx context.Context) error { return shut(ctx, d.server) }
