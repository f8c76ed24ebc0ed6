// Package config has the keys of peercached's configuration, their defaults, and what they mean
// together.
package config

import (
	"time"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/origin"
)

// Config is the whole configuration.
type Config struct {
	Peers    Peers     `yaml:"peers" help:"this node among its peers"`
	Admin    Admin     `yaml:"admin" help:"the listener for operators: /livez, /readyz, /metrics and the page"`
	HTTP     *HTTP     `yaml:"http" help:"the HTTP door: /v1/GROUP/KEY and /api?key=KEY" unset:"no such door"`
	GRPC     *GRPC     `yaml:"grpc" help:"the gRPC door: peercache.v1.Cache" unset:"no such door"`
	RESP     *RESP     `yaml:"resp" help:"the door for Redis clients: files:NAME is key NAME of group files" unset:"no such door"`
	Clusters []Cluster `yaml:"clusters" help:"further clusters, of which this node is a member that owns nothing: to send keys there (groups.NAME.routes), or to be filled from there (groups.NAME.warm_from)" unset:"none"`
	Groups   []Group   `yaml:"groups" help:"what is cached; all nodes of a cluster have the same groups"`
	Data     *Data     `yaml:"data" help:"strings, hashes, lists, sets, sorted sets and channels, for the doors resp and grpc" unset:"groups alone"`
	Origins  Origins   `yaml:"origins" help:"what origins may do"`
	Log      Log       `yaml:"log" help:"what is logged, to standard error"`
	Tracing  *Tracing  `yaml:"tracing" help:"spans of OpenTelemetry, sent by OTLP" unset:"none"`
	Shutdown Shutdown  `yaml:"shutdown" help:"the end of the node"`
	Startup  Startup   `yaml:"startup" help:"the start of the node"`
	Reload   Reload    `yaml:"reload" help:"changes of the configuration while the node runs"`
}

// SetDefaults implements conf.Defaulter.
func (c *Config) SetDefaults() {
	c.Peers.SetDefaults()
	c.Admin.SetDefaults()
	c.Log = Log{Level: "info", Format: "text"}
	c.Shutdown = Shutdown{Timeout: 30 * time.Second}
	c.Startup = Startup{Timeout: time.Minute}
	c.Reload = Reload{Every: 2 * time.Second}
}

// Admin is the listener for operators.
type Admin struct {
	Listen     string        `yaml:"listen" want:"HOST:PORT" help:"where operators and probes come"`
	Expose     bool          `yaml:"expose" help:"allow an address that is not loopback although whoever reaches it can clear groups and drain this node"`
	TLS        *ServerTLS    `yaml:"tls" help:"serve by TLS" unset:"in the clear"`
	Token      Secret        `yaml:"token" reload:"yes" help:"what everybody but probes needs: a bearer token, or the password of HTTP's basic authentication" unset:"nothing"`
	ReadOnly   bool          `yaml:"read_only" help:"no actions: no remove, no clear, no drain"`
	ShowValues bool          `yaml:"show_values" help:"show the values of keys on the page, not only their sizes"`
	Hosts      []string      `yaml:"hosts" want:"host names" help:"names by which a proxy reaches the page" unset:"addresses and names without a dot"`
	DrainTime  time.Duration `yaml:"drain_time" help:"the longest time of the action that drains the node"`
	PerPeer    bool          `yaml:"per_peer_metrics" help:"figures of each peer in /metrics; too many in a large cluster"`
}

// SetDefaults implements conf.Defaulter.
func (a *Admin) SetDefaults() { *a = Admin{Listen: "127.0.0.1:8002", DrainTime: 30 * time.Second} }

// ServerTLS is a certificate by which a listener serves.
type ServerTLS struct {
	Cert     string        `yaml:"cert" want:"a file" exists:"file" help:"the certificate, PEM, with the intermediate ones after it"`
	Key      string        `yaml:"key" want:"a file" exists:"file" help:"its key, PEM"`
	ClientCA string        `yaml:"client_ca" want:"a file" exists:"file" help:"the CAs of clients, which all need a certificate then" unset:"clients need no certificate"`
	Every    time.Duration `yaml:"every" help:"the time between two looks whether the files have changed"`
}

// SetDefaults implements conf.Defaulter.
func (t *ServerTLS) SetDefaults() { t.Every = 10 * time.Second }

// Origins says what origins may do.
type Origins struct {
	AllowCommands bool `yaml:"allow_commands" help:"allow origins of kind command, which run programs"`
}

// Log says what is logged.
type Log struct {
	Level  string `yaml:"level" reload:"yes" want:"debug, info, warn or error" help:"the least level that is logged; debug has a line for each Get"`
	Format string `yaml:"format" want:"text or json" help:"how lines look"`
}

// Tracing says where spans go.
type Tracing struct {
	Endpoint string            `yaml:"endpoint" want:"a URL, such as http://127.0.0.1:4318" help:"where an OTLP collector listens for HTTP; the path is /v1/traces unless the URL has one"`
	Headers  map[string]Secret `yaml:"headers" help:"headers of each request, such as an API key" unset:"none"`
	Ratio    float64           `yaml:"ratio" want:"0 to 1" help:"the part of traces that begin here that is recorded"`
	Keys     bool              `yaml:"keys" help:"record keys and the texts of errors, which may have keys in them"`
	Service  string            `yaml:"service" help:"the name of the service in spans"`
}

// SetDefaults implements conf.Defaulter.
func (t *Tracing) SetDefaults() { t.Ratio, t.Service = 0.01, "peercached" }

// Shutdown says how the node ends.
type Shutdown struct {
	Timeout time.Duration `yaml:"timeout" help:"the longest time in which requests are answered and values handed over; a second signal ends the node at once"`
	Delay   time.Duration `yaml:"delay" help:"how long the node serves on while /readyz says that it ends, so that load balancers go elsewhere"`
}

// Startup says how the node starts.
type Startup struct {
	Timeout time.Duration `yaml:"timeout" help:"how long the doors wait until the node is among its peers and warm; then they open with a warning"`
}

// Reload says how changes of the configuration are noticed.
type Reload struct {
	Every time.Duration `yaml:"every" help:"the time between two looks whether the file has changed; 0: only SIGHUP"`
}

// Group is one group.
type Group struct {
	Name          string        `yaml:"name" want:"letters, digits, '-', '_', '.'" help:"the group's name, the same in all nodes"`
	Bytes         origin.Bytes  `yaml:"bytes" help:"what the group may take of memory in this node: values, keys and bookkeeping"`
	Origin        Origin        `yaml:"origin" want:"KIND: {…}" help:"where values come from: one of http, files, redis, postgres, command"`
	WarmFrom      string        `yaml:"warm_from" want:"the name of a cluster" help:"the cluster that is asked for a value before the origin, while this one is new" unset:"the origin is asked"`
	Routes        []Route       `yaml:"routes" help:"for gateways: which cluster has which keys" unset:"that of peers has all"`
	TTL           time.Duration `yaml:"ttl" help:"how long a value may be served, if the origin does not say" unset:"forever"`
	Jitter        float64       `yaml:"jitter" want:"0 to 1" help:"the part by which each TTL is shortened at random, at most"`
	StaleWhile    time.Duration `yaml:"stale_while_revalidate" help:"how long after its end a value is served at once, while it is loaded again" unset:"a Get waits for the load"`
	StaleIfError  time.Duration `yaml:"stale_if_error" help:"how long after its end a value is served if the origin fails" unset:"the error is the answer"`
	NegativeTTL   time.Duration `yaml:"negative_ttl" help:"how long it is remembered that the origin has no such key" unset:"each Get asks the origin"`
	RefreshAhead  time.Duration `yaml:"refresh_ahead" help:"how long before its end a value in use is loaded again" unset:"values are loaded when they have ended"`
	LoadTimeout   time.Duration `yaml:"load_timeout" help:"the longest time of a load; the same in all nodes"`
	MaxLoads      int           `yaml:"max_loads" help:"how many loads run at the same time in this node" unset:"no bound"`
	CancelLoads   bool          `yaml:"cancel_abandoned" help:"end a load when nobody waits for it any more"`
	MaxKeyBytes   origin.Bytes  `yaml:"max_key_bytes" help:"the longest key; the same in all nodes"`
	MaxValueBytes origin.Bytes  `yaml:"max_value_bytes" help:"the largest value; the same in all nodes"`
	HotShare      float64       `yaml:"hot_share" want:"0 to 0.9" help:"the part of bytes for copies of other nodes' values"`
	Store         string        `yaml:"store" want:"adaptive or lru" help:"what decides which values stay"`
	Lease         time.Duration `yaml:"lease" help:"how long a copy is served before its owner is asked again; the same in all nodes"`
	StandIn       time.Duration `yaml:"stand_in" help:"how long a node keeps a value for an owner that cannot be reached; the same in all nodes"`
	Consistency   bool          `yaml:"consistency" help:"ask the origin, past the cache, while the registration of this node may have run out"`
	HideErrors    bool          `yaml:"hide_errors" help:"tell other nodes only the kind of an origin's error, not its text"`
	Snapshot      *Snapshot     `yaml:"snapshot" help:"save the values at the end, for the next process of this node" unset:"the next process begins with what its peers hand over"`
}

// Origin is the origin of a group: its kind, and the section of the kind.
type Origin map[string]*conf.Section

// SetDefaults implements conf.Defaulter.
func (g *Group) SetDefaults() { *g = groupDefaults }

// Snapshot says where values are saved.
type Snapshot struct {
	Path       string        `yaml:"path" want:"a file" help:"the file, one for each group and node"`
	MaxAge     time.Duration `yaml:"max_age" help:"an older file is ignored"`
	TrustGroup bool          `yaml:"trust_group" help:"accept a file and a directory that their group can write, as volumes of Kubernetes with an fsGroup"`
}

// SetDefaults implements conf.Defaulter.
func (s *Snapshot) SetDefaults() { s.MaxAge = 10 * time.Minute }
