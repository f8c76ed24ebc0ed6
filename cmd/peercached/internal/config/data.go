package config

import (
	"fmt"
	"time"

	"github.com/peercache/peercache/data/plugin"
	dataredis "github.com/peercache/peercache/data/redis"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/origin/redis"
)

// Data is what the node keeps beside its groups: strings, hashes, lists, sets, sorted sets and channels.
type Data struct {
	Name    string       `yaml:"name" want:"letters, digits, '-', '_', '.'" help:"the name by which tokens allow it, as they allow groups"`
	Driver  string       `yaml:"driver" want:"memory, redis or tiered" help:"where the data is"`
	Bytes   origin.Bytes `yaml:"bytes" help:"what the data may take of memory; beyond it commands that add something fail, unless evict says otherwise" unset:"no bound"`
	Evict   string       `yaml:"evict" want:"noeviction, allkeys-lru, allkeys-random or volatile-ttl" help:"which keys leave where there is no room: data is lost then, but for driver tiered, where those are copies, and allkeys-lru is the default"`
	Notify  string       `yaml:"notify" want:"letters, as in Redis' notify-keyspace-events" help:"which changes of keys are messages of the channels __keyspace@0__:KEY and __keyevent@0__:EVENT" unset:"none"`
	Log     *DataLog     `yaml:"log" help:"the log on disk from which data comes back after a restart" unset:"data is gone when the node ends"`
	Redis   *DataRedis   `yaml:"redis" help:"the Redis or Valkey that has the data, where driver is redis or tiered" unset:"none"`
	Plugins []DataPlugin `yaml:"plugins" help:"what is told of changes of keys, or looks after the data" unset:"none"`
	Tiered  []string     `yaml:"tiered" want:"memory and redis" help:"the levels in which a key is looked for, the first one first; the last one has all" unset:"memory before redis"`
}

// SetDefaults implements conf.Defaulter.
func (d *Data) SetDefaults() { *d = Data{Name: "data", Driver: "memory", Evict: "noeviction"} }

// DataLog is the log of the driver memory.
type DataLog struct {
	Dir      string        `yaml:"dir" want:"a directory" help:"where the log is; it is made if it is not there"`
	Fsync    string        `yaml:"fsync" want:"always, interval or never" help:"when what was written is on disk: before a command is answered, at least each interval, or when the system sees fit"`
	Interval time.Duration `yaml:"interval" help:"the time between two syncs, where fsync is interval: so much may be lost in a crash"`
}

// SetDefaults implements conf.Defaulter.
func (l *DataLog) SetDefaults() { l.Fsync, l.Interval = "interval", time.Second }

// DataPlugin is a plugin of the driver memory.
type DataPlugin struct {
	Plugin   string            `yaml:"plugin" want:"log, webhook, metrics, monitor or backup" help:"what it does"`
	Keys     string            `yaml:"keys" want:"a pattern, as that of KEYS" help:"the keys whose changes it is told of" unset:"all"`
	Events   []string          `yaml:"events" want:"written, expired, evicted and removed, or all" help:"the changes that it is told of" unset:"none"`
	Buffer   int               `yaml:"buffer" help:"how many events may wait for it; those beyond are dropped, and counted"`
	Settings map[string]Secret `yaml:"settings" help:"its settings: docs/peercached.md has those of each" unset:"its defaults"`
}

// SetDefaults implements conf.Defaulter.
func (p *DataPlugin) SetDefaults() { p.Buffer = 1024 }

// Config returns what package plugin wants to know.
func (p *DataPlugin) Config() (plugin.Config, error) {
	c := plugin.Config{Plugin: p.Plugin, Keys: p.Keys, Events: p.Events, Buffer: p.Buffer, Settings: make(map[string]string, len(p.Settings))}
	for name, s := range p.Settings {
		value, err := s.Read()
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.Settings[name] = value
	}
	return c, nil
}

// DataRedis is a Redis or Valkey.
type DataRedis struct {
	Addrs    []string           `yaml:"addrs" want:"HOST:PORT, or the path of a Unix socket" help:"where it is: one server, or some nodes of a cluster, or some sentinels"`
	Cluster  bool               `yaml:"cluster" help:"addrs are nodes of a cluster"`
	Sentinel *DataRedisSentinel `yaml:"sentinel" help:"addrs are sentinels" unset:"they are servers"`
	Username string             `yaml:"username" help:"the user" unset:"the user default"`
	Password Secret             `yaml:"password" help:"the user's password; a file is read for each connection" unset:"none"`
	DB       int                `yaml:"db" help:"the number of the database"`
	TLS      *DataRedisTLS      `yaml:"tls" help:"connect by TLS" unset:"in the clear"`
	Timeout  time.Duration      `yaml:"connect_timeout" help:"the longest time in which a connection is made"`
}

// SetDefaults implements conf.Defaulter.
func (r *DataRedis) SetDefaults() { r.Timeout = redis.DefaultConnectTimeout }

// DataRedisSentinel says how sentinels are asked.
type DataRedisSentinel struct {
	Master   string `yaml:"master" want:"a name" help:"the name by which they know the master"`
	Username string `yaml:"username" help:"the user at the sentinels" unset:"the user default"`
	Password Secret `yaml:"password" help:"the password at the sentinels" unset:"none"`
}

// DataRedisTLS says how a Redis is verified.
type DataRedisTLS struct {
	CA         string `yaml:"ca" want:"a file" exists:"file" help:"the CAs that its certificate may come from, PEM" unset:"those of the system"`
	Cert       string `yaml:"cert" want:"a file" exists:"file" help:"the certificate of this node, PEM" unset:"none"`
	Key        string `yaml:"key" want:"a file" exists:"file" help:"its key, PEM" unset:"none"`
	ServerName string `yaml:"server_name" want:"a name" help:"the name in the certificate of the server" unset:"the host in addrs"`
}

// Config returns what the driver wants to know.
func (r *DataRedis) Config() (c dataredis.Config, err error) {
	c = dataredis.Config{Addresses: r.Addrs, Cluster: r.Cluster, Username: r.Username, DB: r.DB, ConnectTimeout: r.Timeout}
	if r.Password.File != "" {
		c.PasswordFile = r.Password.File
	} else if c.Password, err = r.Password.Read(); err != nil {
		return c, fmt.Errorf("password: %w", err)
	}
	if s := r.Sentinel; s != nil {
		c.Sentinel.Master, c.Sentinel.Username = s.Master, s.Username
		if c.Sentinel.Password, err = s.Password.Read(); err != nil {
			return c, fmt.Errorf("sentinel.password: %w", err)
		}
	}
	if t := r.TLS; t != nil {
		c.UseTLS, c.TLS = true, origin.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
	}
	return c, nil
}
