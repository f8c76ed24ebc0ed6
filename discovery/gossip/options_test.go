package gossip

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name string
		opt  Option
		want string // of the error; "": none
	}{
		{"nil", nil, "option 0 is nil"},
		{"bind to a name", WithBind("localhost:7946"), `WithBind("localhost:7946")`},
		{"bind without a port", WithBind("10.0.0.1"), `WithBind("10.0.0.1")`},
		{"bind to a large port", WithBind(":70000"), "want IP address and port"},
		{"bind to a port", WithBind(":0"), ""},
		{"bind to IPv6", WithBind("[::1]:0"), ""},
		{"advertise all addresses", WithAdvertise("0.0.0.0:7946"), "that others reach"},
		{"advertise a name", WithAdvertise("a.example:7946"), "want an IP address"},
		{"advertise the other family", WithAdvertise("[fd00::1]:7946"), "want both of one family"},
		{"advertise", WithAdvertise("10.0.0.1:0"), ""},
		{"join without a port", WithJoin("10.0.0.1:7946", "10.0.0.2"), `WithJoin("10.0.0.2")`},
		{"join without a host", WithJoin(":7946"), "want host and port"},
		{"join port 0", WithJoin("10.0.0.1:0"), "want host and port"},
		{"join a name", WithJoin("cache.example:7946", "[::1]:7946"), ""},
		{"join nobody", WithJoin(), ""},
		{"a short key", WithKey(make([]byte, 15)), "key 0 has 15 bytes: want 16, 24 or 32"},
		{"no key", WithKey(nil), "key 0 has 0 bytes"},
		{"a short previous key", WithKey(make([]byte, 16), make([]byte, 8)), "key 1 has 8 bytes"},
		{"a key and previous ones", WithKey(make([]byte, 32), make([]byte, 16), make([]byte, 32)), ""},
		{"a key", WithKey(make([]byte, 24)), ""},
		{"no name", WithName(""), "want a name"},
		{"a long name", WithName(strings.Repeat("a", 256)), "1 to 255 bytes"},
		{"no members", WithMaxMembers(0), "want 1 to 65536"},
		{"too many members", WithMaxMembers(1 << 20), "want 1 to 65536"},
		{"no cluster", WithCluster(""), "want a name"},
		{"a long cluster", WithCluster(strings.Repeat("a", 256)), "1 to 255 bytes"},
		{"another profile", WithProfile(Local + 1), "want LAN, WAN or Local"},
		{"a profile", WithProfile(WAN), ""},
		{"no logger", WithLogger(nil), ""},
	} {
		g, err := New(test.opt)
		switch {
		case test.want == "" && (err != nil || g == nil):
			t.Errorf("%s: error %v: want none", test.name, err)
		case test.want != "" && (err == nil || g != nil || !strings.HasPrefix(err.Error(), "gossip: ") || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v: want %s", test.name, err, test.want)
		}
	}
}

// The settings of each profile are such as memberlist takes.
func TestProfiles(t *testing.T) {
	for p := LAN; p <= Local; p++ {
		c, pace := p.config(), p.joinPace()
		if c.ProbeTimeout >= c.ProbeInterval || pace.first <= 0 || pace.first > pace.most {
			t.Errorf("profile %d: probes each %v that wait %v; attempts to join after %v to %v", p, c.ProbeInterval, c.ProbeTimeout, pace.first, pace.most)
		}
	}
}

// The address that the others are told is the one given, else the one listened
// on, else the one of the base URL.
func TestAdvertised(t *testing.T) {
	for _, test := range []struct {
		self, want string
		opts       []Option
	}{
		{"http://10.0.0.1:8001", "10.0.0.1:0", nil},
		{"http://[fd00::1]:8001", "[fd00::1]:0", []Option{WithBind("[::]:7946")}},
		{"http://10.0.0.1:8001", "10.0.0.1:0", []Option{WithBind("[::]:7946")}},
		{"http://10.0.0.1:8001", "127.0.0.1:0", []Option{WithBind("127.0.0.1:7946")}},
		{"http://10.0.0.1:8001", "192.0.2.1:17946", []Option{WithAdvertise("192.0.2.1:17946")}},
	} {
		g, err := New(test.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.advertised(test.self); err != nil || got.String() != test.want {
			t.Errorf("%s: %v, error %v: want %s", test.self, got, err, test.want)
		}
	}
}

// memberlist's lines keep their level, and lose what says it.
func TestLog(t *testing.T) {
	for line, want := range map[string]struct{ level, msg string }{
		"[WARN] memberlist: Refuting": {"WARN", "gossip: Refuting"},
		"[ERR] Failed: [x] y":         {"ERROR", "gossip: Failed: [x] y"},
		"[ERROR] memberlist: z":       {"ERROR", "gossip: z"},
		"[DEBUG] memberlist: d":       {"DEBUG", "gossip: d"},
		"[INFO] memberlist: i":        {"INFO", "gossip: i"},
		"Err: no brackets":            {"INFO", "gossip: Err: no brackets"},
		"[odd] memberlist: word":      {"INFO", "gossip: [odd] memberlist: word"},
		"[WARN]":                      {"INFO", "gossip: [WARN]"},
	} {
		var out strings.Builder
		newLog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).Println(line)
		var got struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.Level != want.level || got.Msg != want.msg {
			t.Errorf("%q: level %s, message %q, error %v: want %s, %q", line, got.Level, got.Msg, err, want.level, want.msg)
		}
	}
	var out strings.Builder
	quiet := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	newLog(quiet).Println("[DEBUG] memberlist: Stream connection")
	if quiet.Enabled(context.Background(), slog.LevelDebug) || out.Len() > 0 {
		t.Errorf("a logger without level debug says %s", &out)
	}
}
