package config

import (
	"fmt"
	"time"

	dataredis "github.com/peercache/peercache/data/redis"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/origin/redis"
)

// Data is what the node keeps beside its groups: strings, hashes, lists, sets, sorted sets and channels.
type Data struct {
	Name   string       `yaml:"name" want:"letters, digits, '-', '_', '.'" help:"the name by which tokens allow it, as they allow groups"`
	Driver string       `yaml:"driver" want:"memory, redis or tiered" help:"where the data is"`
	Bytes  origin.Bytes `yaml:"bytes" help:"what the data may take of memory; beyond it commands that add something fail, unless evict says otherwise" unset:"no bound"`
	Evict  string       `yaml:"evict" want:"noeviction, allkeys-lru, allkeys-random or volatile-ttl" help:"which keys leave where there is no room: data is lost then"`
	Notify string       `yaml:"notify" want:"letters, as in Redis' notify-keyspace-events" help:"which changes of keys are messages of the channels __keyspace@0__:KEY and __keyevent@0__:EVENT" unset:"none"`
	Log    *DataLog     `yaml:"log" help:"the log on disk from which data comes back after a restart" unset:"data is gone when the node ends"`
	Redis  *DataRedis   `yaml:"redis" help:"the Redis or Valkey that has the data, where driver is redis or tiered" unset:"none"`
	Tiered []string     `yaml:"tiered" want:"memory and redis" help:"the levels in which a key is looked for, the first one first; the last one has all" unset:"memory before redis"`
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

// checkData checks what the section data says together.
func (l *Loaded) checkData() {
	d := l.Data
	if d == nil {
		return
	}
	if d.Name == "" {
		l.Fail("data.name", "no name: want one, such as data")
	}
	for _, g := range l.Groups {
		if g.Name == d.Name {
			l.Fail("data.name", "%q is the name of a group already: want another one, because tokens tell them apart by it", d.Name)
		}
	}
	if len(d.Tiered) > 0 && (len(d.Tiered) != 2 || d.Tiered[0] != "memory" || d.Tiered[1] != "redis") {
		l.Fail("data.tiered", "%q: want [memory, redis]", d.Tiered)
	}
	l.checkDataMemory(d)
	l.checkDataRedis(d)
}

// checkDataMemory checks what is for the driver memory.
func (l *Loaded) checkDataMemory(d *Data) {
	hasMemory := d.Driver != "redis"
	for _, key := range []string{"bytes", "evict", "log", "notify"} {
		if !hasMemory && (l.Has("data."+key) || l.HasBelow("data."+key)) {
			l.Fail("data."+key, "driver is redis, which has the data and decides that itself: want it left out")
		}
	}
	if d.Driver == "tiered" {
		if d.Log != nil {
			l.Fail("data.log", "driver is tiered, where redis keeps the data: want no log")
		}
		if d.Bytes <= 0 && !l.Has("data.bytes") {
			l.Fail("data", "no bytes: want what the level in memory may take, such as bytes: 256MiB")
		}
	}
	if d.Evict != "noeviction" && d.Bytes <= 0 {
		l.Fail("data.evict", "there is no bound, so that nothing ever leaves: want bytes, such as bytes: 256MiB")
	}
	if d.Log != nil {
		if d.Log.Dir == "" {
			l.Fail("data.log", "no dir: want a directory")
		}
		if d.Log.Interval <= 0 {
			l.Fail("data.log.interval", "%v: want more than 0; fsync: always syncs before each answer", d.Log.Interval)
		}
	} else if d.Driver == "memory" && !l.Has("data.log") {
		l.Warnings = append(l.Warnings, "data.log is not set: data is gone when this node ends")
	}
}

// checkDataRedis checks what is for the driver redis.
func (l *Loaded) checkDataRedis(d *Data) {
	needs := d.Driver == "redis" || d.Driver == "tiered"
	switch r := d.Redis; {
	case r == nil && needs:
		l.Fail("data", "no redis: want where it is, such as redis: {addrs: [127.0.0.1:6379]}")
	case r != nil && !needs:
		l.Fail("data.redis", "driver is memory: want driver: redis, or driver: tiered")
	case r != nil:
		l.try("data.redis", func() error {
			c, err := r.Config()
			if err != nil {
				return nil // it was said
			}
			driver, err := dataredis.Open(c)
			if err != nil {
				return err
			}
			return driver.Close()
		})
	}
}
