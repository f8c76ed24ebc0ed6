package respdoor

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/resp"
)

// settings implements resp.Settings.
type settings struct {
	d  *memoryDoor
	mu sync.Mutex
	// hints are settings of Redis that change nothing that a client can tell: how values are encoded, and when memory is
	// given back. They are kept, and that is all.
	hints map[string]string
}

// aliases are the former names of settings.
var aliases = map[string]string{
	"hash-max-ziplist-entries": "hash-max-listpack-entries", "hash-max-ziplist-value": "hash-max-listpack-value",
	"zset-max-ziplist-entries": "zset-max-listpack-entries", "zset-max-ziplist-value": "zset-max-listpack-value",
	"list-max-ziplist-size": "list-max-listpack-size",
}

func newSettings(d *memoryDoor) *settings {
	return &settings{d: d, hints: map[string]string{
		"hash-max-listpack-entries": "128", "hash-max-listpack-value": "64",
		"list-max-listpack-size": "-2", "list-compress-depth": "0",
		"set-max-intset-entries": "512", "set-max-listpack-entries": "128", "set-max-listpack-value": "64",
		"zset-max-listpack-entries": "128", "zset-max-listpack-value": "64",
		"lazyfree-lazy-eviction": "no", "lazyfree-lazy-expire": "no", "lazyfree-lazy-server-del": "no", "lazyfree-lazy-user-del": "no",
		"lazyfree-lazy-user-flush": "no",
	}}
}

// fixed returns settings that are those of the program.
func (s *settings) fixed() map[string]string {
	appendonly := "no"
	if s.d.e.Logged() {
		appendonly = "yes"
	}
	return map[string]string{"appendonly": appendonly, "databases": "1", "maxmemory": fmt.Sprint(s.d.e.Limit()),
		"maxmemory-policy": data.Eviction(s.d.e.Eviction()).String(), "save": ""}
}

// notify is the setting of keyspace notifications.
const notify = "notify-keyspace-events"

// Get implements resp.Settings.
func (s *settings) Get() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.hints)
	for former, name := range aliases {
		all[former] = all[name]
	}
	maps.Copy(all, s.fixed())
	all[notify] = s.d.e.Notifications()
	return all
}

// Set implements resp.Settings.
func (s *settings) Set(list []resp.Setting) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range list {
		if err := s.check(set); err != nil {
			return set.Name, err
		}
	}
	for _, set := range list {
		if set.Name == notify {
			if err := s.d.e.SetNotifications(set.Value); err != nil {
				return set.Name, err
			}
		}
	}
	for _, set := range list {
		if name, ok := aliases[set.Name]; ok {
			set.Name = name
		}
		if _, ok := s.hints[set.Name]; ok {
			s.hints[set.Name] = set.Value
		}
	}
	return "", nil
}

// check returns why a setting cannot be changed.
func (s *settings) check(set resp.Setting) error {
	if name, ok := aliases[set.Name]; ok {
		set.Name = name
	}
	if set.Name == notify {
		return nil
	}
	if is, ok := s.fixed()[set.Name]; ok {
		if is != set.Value {
			return errors.New("it is one of the program that has started the server")
		}
		return nil
	}
	is, ok := s.hints[set.Name]
	if !ok {
		return resp.ErrNoSetting
	}
	if is == "no" || is == "yes" {
		if set.Value != "no" && set.Value != "yes" {
			return errors.New("argument must be 'yes' or 'no'")
		}
		return nil
	}
	if _, err := strconv.ParseInt(set.Value, 10, 64); err != nil {
		return errors.New("argument couldn't be parsed into an integer")
	}
	return nil
}

// ResetStat implements resp.Settings.
func (s *settings) ResetStat() {
	s.d.e.Expired.Store(0)
	s.d.e.Evicted.Store(0)
}
