package aof

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// value is what a model has for a key.
type value struct {
	text   string
	expire int64 // 0: never
}

// model is what the data should be.
type model map[string]value

// text returns all that has not expired.
func (m model) text(now int64) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if v := m[key]; v.expire == 0 || v.expire > now {
			fmt.Fprintf(&b, "%s=%q@%d ", key, v.text, v.expire)
		}
	}
	return b.String()
}

// run does what the engine should do for a command.
func (m model) run(now int64, args []string) {
	v, ok := m[args[len(args)-1]]
	if len(args) > 1 {
		v, ok = m[args[1]]
	}
	if ok && v.expire != 0 && v.expire <= now {
		delete(m, args[1])
		v, ok = value{}, false
	}
	switch args[0] {
	case "set":
		v = value{text: args[2]}
		if len(args) > 3 {
			v.expire, _ = strconv.ParseInt(args[4], 10, 64)
			if args[3] == "px" {
				v.expire += now
			}
		}
		m[args[1]] = v
	case "append":
		m[args[1]] = value{v.text + args[2], v.expire}
	case "del":
		delete(m, args[1])
	case "persist":
		if ok {
			m[args[1]] = value{v.text, 0}
		}
	case "pexpire":
		ms, _ := strconv.ParseInt(args[2], 10, 64)
		if ok {
			m[args[1]] = value{v.text, now + ms}
		}
	case "rename":
		if ok {
			delete(m, args[1])
			m[args[2]] = v
		}
	case "flushdb":
		clear(m)
	}
}
