package etcd

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A key that goes while there is doubt leaves its peer in the view; so it is when a
// lease that survived an outage of etcd runs out after it.
func TestApply(t *testing.T) {
	const self, id = "self", 7
	put := func(key string, lease int64) *clientv3.Event {
		return &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(key), Lease: lease}}
	}
	gone := func(key string) *clientv3.Event {
		return &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte(key)}}
	}
	for _, tc := range []struct {
		name   string
		doubt  bool
		events []*clientv3.Event
		want   string
		err    error
	}{
		{"steady", false, []*clientv3.Event{gone("a"), put("c", 1)}, "b c self", nil},
		{"in doubt", true, []*clientv3.Event{gone("a"), put("c", 1)}, "a b c self", nil},
		{"own put", false, []*clientv3.Event{put(self, id)}, "a b self", nil},
		{"own key gone", false, []*clientv3.Event{gone("a"), gone(self)}, "a b self", errKeyGone},
		{"own key taken", false, []*clientv3.Event{gone("a"), put(self, id+1)}, "a b self", errKeyTaken},
	} {
		m := &member{key: self}
		m.roster.read(map[string]string{"a": "a", "b": "b", self: self}, false)
		l := &lease{id: id, ttl: time.Hour, renewed: time.Now()}
		if tc.doubt {
			l.doubt()
		}
		if err := m.apply(tc.events, l); !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.err)
		}
		if got := m.roster.peers(); !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What others write below the prefix costs little more than names: of a value that is no
// base URL the beginning is remembered, and no more keys than a pool would refuse.
func TestWhatOthersWriteIsBounded(t *testing.T) {
	const self, id = "self", 7
	m := &member{key: self}
	m.roster.read(map[string]string{self: self}, false)
	l := &lease{id: id, ttl: time.Hour, renewed: time.Now()}
	put := func(key, value string) {
		t.Helper()
		event := &clientv3.Event{Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), Lease: 1}}
		if err := m.apply([]*clientv3.Event{event}, l); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		put(strconv.Itoa(i)+strings.Repeat("k", 1<<20), strconv.Itoa(i)+strings.Repeat("v", 1<<20))
	}
	size := 0
	for key, value := range m.roster.here {
		size += len(key) + len(value)
	}
	if len(m.roster.here) != 11 || size > 11*2*longestValue {
		t.Errorf("%d bytes of %d keys: want at most %d of 11", size, len(m.roster.here), 11*2*longestValue)
	}
	for i := range mostKeys + 10 {
		put("key"+strconv.Itoa(i), "v"+strconv.Itoa(i))
	}
	if n := len(m.roster.here); n != mostKeys {
		t.Errorf("%d keys: want %d", n, mostKeys)
	}
	if !slices.Contains(m.roster.peers(), self) {
		t.Error("this process is not among them")
	}
}
