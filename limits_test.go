package peercache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

func TestLimitsThatCannotBeRight(t *testing.T) {
	for _, l := range []peercache.Limits{
		{Unproven: -1}, {Unproven: 1 << 30}, {UnprovenTime: time.Microsecond}, {UnprovenTime: -1}, {UnprovenTime: 1<<63 - 1},
		{IdlePerPeer: -1}, {PlainRequests: -1}, {ChangesPerSecond: -1},
	} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithLimits(l)); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%+v: error %v", l, err)
		}
	}
	for _, l := range []peercache.Limits{{}, {Unproven: 1}, {UnprovenTime: time.Second}, {IdlePerPeer: 1}, {PlainRequests: 1}, {ChangesPerSecond: 1}} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithLimits(l)); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, n := range []int{-1, 1 << 20, 1<<30 + 1} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithStreamLimits(peercache.StreamLimits{FrameBytes: n})); err == nil {
			t.Errorf("FrameBytes of %d are taken", n)
		}
	}
}
