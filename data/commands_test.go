package data

import (
	"reflect"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/builtin"
)

// methodsOf are the methods of commands whose names are not theirs.
var methodsOf = map[string]string{
	"object":      "ObjectEncoding",
	"memory":      "MemoryUsage",
	"pubsub":      "PubSubChannels",
	"pexpire":     "Expire",
	"pexpireat":   "ExpireAt",
	"pttl":        "TTL",
	"pexpiretime": "ExpireTime",
	"psetex":      "SetEX",
}

// withoutMethod are commands that have no method, with the reason.
var withoutMethod = map[string]string{
	"flushall":         "a driver has one database: FlushDB",
	"time":             "of no use to who has a clock",
	"spublish":         "as Publish, where there are no shards",
	"substr":           "the old name of GetRange",
	"hmset":            "the old name of HSet",
	"zrevrange":        "ZRange with rev",
	"zrevrangebyscore": "ZRangeByScore with Rev",
	"zrevrangebylex":   "ZRangeByLex with Rev",
}

// Each command has a method, or a reason why not.
func TestEachCommandHasAMethod(t *testing.T) {
	methods := make(map[string]bool)
	for _, kind := range []any{Strings{}, Keys{}, Hashes{}, Lists{}, Sets{}, SortedSets{}, Channels{}, Messages{}} {
		of := reflect.TypeOf(kind)
		for i := range of.NumMethod() {
			methods[strings.ToLower(of.Method(i).Name)] = true
		}
	}
	for _, list := range builtin.Commands() {
		for _, cmd := range list {
			name := cmd.Name
			if other, ok := methodsOf[name]; ok {
				name = strings.ToLower(other)
			}
			if methods[name] == (withoutMethod[name] != "") {
				t.Errorf("%s: want a method, or a reason why there is none", cmd.Name)
			}
		}
	}
}
