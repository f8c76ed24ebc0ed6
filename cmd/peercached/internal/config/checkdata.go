package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/plugin"
	dataredis "github.com/peercache/peercache/data/redis"
)

// dataDrivers are where data may be.
var dataDrivers = []string{"memory", "redis", "tiered"}

// pluginNames returns the names of the plugins that there are.
func pluginNames() (all []string) {
	for _, one := range plugin.Builtin() {
		all = append(all, one().Name())
	}
	return all
}

// notifyLetters are those of Redis' notify-keyspace-events.
const notifyLetters = "KEg$lshzxetdmnA"

// mostBuffer bounds how many events wait for a plugin.
const mostBuffer = 1 << 20

// checkData checks what the section data says together.
func (l *Loaded) checkData() {
	d := l.Data
	if d == nil {
		return
	}
	if d.Name == "" {
		l.Fail("data.name", "no name: want one, such as data")
	} else if strings.Trim(d.Name, nameLetters) != "" {
		l.Fail("data.name", "%q: want letters, digits, '-', '_' and '.' alone", d.Name)
	}
	for _, g := range l.Groups {
		if g.Name == d.Name {
			l.Fail("data.name", "%q is the name of a group already: want another one, because tokens tell them apart by it", d.Name)
		}
	}
	if len(d.Tiered) > 0 && d.Driver != "tiered" {
		l.Fail("data.tiered", "driver is %s: want driver: tiered", d.Driver)
	} else if len(d.Tiered) > 0 && (len(d.Tiered) != 2 || d.Tiered[0] != "memory" || d.Tiered[1] != "redis") {
		l.Fail("data.tiered", "%q: want [memory, redis]", d.Tiered)
	}
	l.checkDataDoors()
	if slices.Contains(dataDrivers, d.Driver) { // else it was said
		l.checkDataMemory(d)
		l.checkDataRedis(d)
	}
}

// checkDataDoors checks who comes to the data.
func (l *Loaded) checkDataDoors() {
	if l.HTTP != nil && len(l.Groups) == 0 {
		l.Fail("http", "this door has groups alone, and there are none: want a group, or leave it out; resp and grpc have data")
	}
	if l.RESP != nil && l.RESP.DefaultGroup != "" {
		l.Fail("resp.default_group", "a key without the prefix of a group is one of data: want this left out, or data")
	}
	if l.RESP == nil && l.GRPC == nil {
		l.warn("data: there is neither resp nor grpc: nobody reaches it")
	}
}

func (l *Loaded) warn(text string) { l.Warnings = append(l.Warnings, text) }

// leastDataBytes is less than anybody means: a unit was forgotten.
const leastDataBytes = 1 << 20

// checkDataMemory checks what is for the driver memory.
func (l *Loaded) checkDataMemory(d *Data) {
	if d.Driver == "redis" {
		for _, key := range []string{"bytes", "evict", "log", "notify", "plugins"} {
			if l.Has("data."+key) || l.HasBelow("data."+key) {
				l.Fail("data."+key, "driver is redis, which has the data and decides that itself: want it left out")
			}
		}
		return
	}
	if 0 < d.Bytes && d.Bytes < leastDataBytes {
		l.Fail("data.bytes", "%d bytes: want 1MiB or more; a number without a unit is one of bytes", d.Bytes)
	}
	for i, one := range d.Plugins {
		at := fmt.Sprintf("data.plugins[%d]", i)
		if one.Buffer < 1 || one.Buffer > mostBuffer {
			l.Fail(at+".buffer", "%d: want 1 to %d", one.Buffer, mostBuffer)
		}
		c, err := one.Config()
		if err != nil || !slices.Contains(pluginNames(), one.Plugin) {
			continue // it was said
		}
		c.Events = nil // they were looked at
		if err := plugin.Check(c); err != nil {
			l.Fail(at+".settings", "%v", err)
		}
	}
	if _, err := data.ParseEviction(d.Evict); err == nil && d.Evict != "noeviction" && d.Bytes <= 0 {
		l.Fail("data.evict", "there is no bound, so that nothing ever leaves: want bytes, such as bytes: 256MiB")
	}
	if bad := strings.Trim(d.Notify, notifyLetters); bad != "" {
		l.Fail("data.notify", "%q: want some of the letters %s, such as KEA for all", d.Notify, notifyLetters)
	}
	if d.Driver == "tiered" {
		if !l.Has("data.evict") {
			d.Evict = "allkeys-lru" // what leaves are copies
		}
		if d.Log != nil {
			l.Fail("data.log", "driver is tiered, where redis keeps the data: want no log")
		}
		if len(d.Plugins) > 0 {
			l.Fail("data.plugins", "driver is tiered, where changes are made in redis: want driver: memory, or no plugins")
		}
		if d.Bytes <= 0 && !l.Has("data.bytes") {
			l.Fail("data", "no bytes: want what the level in memory may take, such as bytes: 256MiB")
		}
		return
	}
	if d.Bytes <= 0 {
		l.warn("data.bytes is not set: data may take all memory that there is, until the system ends this node: want a bound, such as bytes: 256MiB")
	}
	if own := l.Members()[0]; len(own.Discovery.Static) != 1 && len(own.discoveries()) > 0 {
		l.warn("data: driver is memory, and there are other nodes: each has data of its own, and clients have that of the node that they ask: want driver: redis, or have them ask one node")
	}
	l.checkDataLog(d)
}

// checkDataLog checks what can be said of a log without opening it, because a node may use it.
func (l *Loaded) checkDataLog(d *Data) {
	if d.Log == nil {
		if !l.Has("data.log") {
			l.warn("data.log is not set: data is gone when this node ends")
		}
		return
	}
	if d.Log.Dir == "" {
		l.Fail("data.log", "no dir: want a directory")
	} else if info, err := os.Stat(d.Log.Dir); err == nil && !info.IsDir() {
		l.Fail("data.log.dir", "%s: a file: want a directory", d.Log.Dir)
	} else if err != nil && !os.IsNotExist(err) {
		l.Fail("data.log.dir", "%v", err)
	}
	if d.Log.Fsync == "interval" && d.Log.Interval <= 0 {
		l.Fail("data.log.interval", "%v: want more than 0; fsync: always syncs before each answer", d.Log.Interval)
	}
}

// checkDataRedis checks what is for the driver redis.
func (l *Loaded) checkDataRedis(d *Data) {
	switch r := d.Redis; {
	case r == nil && d.Driver != "memory":
		l.Fail("data", "no redis: want where it is, such as redis: {addrs: [127.0.0.1:6379]}")
	case r != nil && d.Driver == "memory":
		l.Fail("data.redis", "driver is memory: want driver: redis, or driver: tiered")
	case r != nil && len(r.Addrs) == 0:
		l.Fail("data.redis", "no addrs: want where it is, such as addrs: [127.0.0.1:6379]")
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
