package node

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/admin"
	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/tiered"
	peerprom "github.com/peercache/peercache/metrics/prometheus"
)

// adminServer is the listener for operators.
type adminServer struct {
	*http.Server
	token atomic.Pointer[[sha256.Size]byte] // nil: everybody is let in
}

// endingPool is a pool that is not ready any more as soon as the node is to stop.
type endingPool struct {
	*peercache.HTTPPool
	ready func(ctx context.Context) error
}

var errEnding = errors.New("this node is about to stop")

func (p *endingPool) Ready(ctx context.Context) error { return p.ready(ctx) }

// newAdmin makes the server for operators.
func newAdmin(n *node) (*adminServer, error) {
	c := &n.cfg.Admin
	a := &adminServer{}
	if err := a.setToken(c.Token.Read()); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	for _, m := range n.members {
		collector := peerprom.NewCollector(m.pool, m.groups...)
		if c.PerPeer {
			collector = collector.PerPeer()
		}
		to := prometheus.Registerer(registry)
		if len(n.members) > 1 {
			to = prometheus.WrapRegistererWith(prometheus.Labels{"cluster": m.Name}, registry)
		}
		to.MustRegister(collector)
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, d := range n.doors {
		if door, ok := d.frontDoor.(*respDoor); ok {
			registry.MustRegister(respCollector{door.Server})
		}
	}
	opts := []admin.Option{
		admin.Metrics(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})),
		admin.AuthorizeAll(a.authorize), admin.DrainTime(c.DrainTime),
	}
	if c.ReadOnly {
		opts = append(opts, admin.ReadOnly())
	}
	if n.memory != nil {
		registry.MustRegister(newDataCollector(n.memory, n.cfg.Data.Log != nil))
	}
	if levels, ok := n.data.(*tiered.Driver); ok {
		registry.MustRegister(newCopiesFigure(levels))
	}
	if n.plugins != nil {
		registry.MustRegister(pluginCollector{n.plugins})
	}
	if _, whole := n.data.(*data.Memory); whole {
		opts = append(opts, admin.Action(dataPath+"backup", n.dataRequests.handler(n.serveBackup)),
			admin.Action(dataPath+"restore", n.dataRequests.handler(n.serveRestore)))
	}
	if c.ShowValues {
		opts = append(opts, admin.ShowValues())
	}
	if len(c.Hosts) > 0 {
		opts = append(opts, admin.Hosts(c.Hosts...))
	}
	page, err := admin.Handler(&endingPool{n.pool, n.ready}, opts...)
	if err != nil {
		return nil, err
	}
	a.Server = &http.Server{Handler: a.challenge(n.keepTogether(page)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: errorLog(n.log, "admin")}
	if a.TLSConfig, err = serverTLS(c.TLS, "h2", "http/1.1"); err != nil {
		return nil, err
	}
	return a, nil
}

// setToken sets what operators have to send; "" lets everybody in.
func (a *adminServer) setToken(token string, err error) error {
	if err != nil {
		return err
	}
	if token == "" {
		a.token.Store(nil)
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	a.token.Store(&sum)
	return nil
}

// authorize returns an error for a request without the token.
func (a *adminServer) authorize(r *http.Request) error {
	want := a.token.Load()
	if want == nil {
		return nil
	}
	have, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, have, _ = r.BasicAuth()
	}
	sum := sha256.Sum256([]byte(have))
	if subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
		return errors.New("the token of the configuration (admin.token) is wanted, as a bearer token or as a password")
	}
	return nil
}

// challenge has browsers ask people for the token.
func (a *adminServer) challenge(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" && r.Header.Get("Authorization") == "" && a.authorize(r) != nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="peercached"`)
			http.Error(w, "the token of the configuration (admin.token) is wanted", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
