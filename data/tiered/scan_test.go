package tiered

import (
	"strings"
	"testing"

	"github.com/peercache/peercache/data"
)

// The steps of a scan are replied by the last level, whatever copies there are: its cursors mean nothing elsewhere.
func TestScansOfElements(t *testing.T) {
	front, last := memory(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	for _, c := range []struct{ add, copied, scan, other string }{
		{"HSET k a b", "HLEN", "HSCAN", "HSET k c d"}, {"SADD k a", "SCARD", "SSCAN", "SADD k b"}, {"ZADD k 1 a", "ZCARD", "ZSCAN", "ZADD k 2 b"},
	} {
		run(t, d, "DEL", "k")
		fields := strings.Fields(c.add)
		run(t, d, fields[0], fields[1:]...)
		run(t, d, c.copied, "k")
		fields = strings.Fields(c.other) // the copy is another one
		run(t, front, fields[0], fields[1:]...)
		if got, want := run(t, d, c.scan, "k", "0"), run(t, last, c.scan, "k", "0"); got != want {
			t.Errorf("%s: %s, want %s", c.scan, got, want)
		}
	}
}
