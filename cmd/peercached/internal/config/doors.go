package config

import (
	"errors"
	"time"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/origin"
)

// Door is what the front doors have in common.
type Door struct {
	Listen string     `yaml:"listen" want:"HOST:PORT" help:"where clients come"`
	Expose bool       `yaml:"expose" help:"allow an address that is not loopback although whoever reaches it can read, change and clear what is cached"`
	TLS    *ServerTLS `yaml:"tls" help:"serve by TLS" unset:"in the clear"`
}

// HTTP is the HTTP door.
type HTTP struct {
	Door
	Tokens        []Token       `yaml:"tokens" reload:"yes" help:"bearer tokens, one of which a client needs" unset:"clients need none"`
	Hosts         []string      `yaml:"hosts" want:"names, or *" help:"the host names by which clients come, beside addresses and names without a dot" unset:"all; on a loopback address without tokens, none"`
	ReadOnly      bool          `yaml:"read_only" help:"no PUT, DELETE, :remove and :clear"`
	CORS          *CORS         `yaml:"cors" help:"which pages of other sites may ask" unset:"none"`
	Rate          *Rate         `yaml:"rate" help:"how fast one client may ask" unset:"without a bound"`
	MaxAge        time.Duration `yaml:"max_age" help:"for how long browsers and HTTP caches may serve a value without asking, at most" unset:"as long as its TTL lasts"`
	ShowErrors    bool          `yaml:"show_errors" help:"tell clients the text of an origin's error, which may have secrets in it"`
	Connections   int           `yaml:"connections" help:"open connections"`
	Requests      int           `yaml:"requests" help:"requests in progress"`
	BodyBytes     origin.Bytes  `yaml:"body_bytes" help:"the largest body of a request, and so the largest value of a PUT"`
	BodyMemory    origin.Bytes  `yaml:"body_memory" help:"the bodies of all requests, in memory"`
	BatchKeys     int           `yaml:"batch_keys" help:"the keys of one :batchGet or :remove"`
	BatchBytes    origin.Bytes  `yaml:"batch_bytes" help:"the values of one :batchGet together"`
	ChangeTimeout time.Duration `yaml:"change_timeout" help:"how long a change waits for peers that cannot be reached"`
}

// SetDefaults implements conf.Defaulter.
func (h *HTTP) SetDefaults() {
	*h = HTTP{Door: Door{Listen: "127.0.0.1:8003"}, Connections: 16384, Requests: 8192, BodyBytes: 64 << 20, BodyMemory: 256 << 20,
		BatchKeys: 1000, BatchBytes: 64 << 20, ChangeTimeout: 30 * time.Second}
}

// Rate is how fast one client may ask.
type Rate struct {
	PerSecond float64 `yaml:"per_second" help:"requests a second; a key of a batch counts as one"`
	Burst     int     `yaml:"burst" help:"how many may come at once"`
}

// CORS says which pages of other sites may ask.
type CORS struct {
	Origins     []string      `yaml:"origins" want:"origins, such as https://shop.example, in which one * may stand" help:"the sites"`
	Methods     []string      `yaml:"methods" want:"methods" help:"what they may do"`
	Headers     []string      `yaml:"headers" want:"names" help:"the headers that they may send" unset:"those that are always allowed"`
	Credentials bool          `yaml:"credentials" help:"allow cookies and credentials"`
	MaxAge      time.Duration `yaml:"max_age" help:"how long a browser remembers the answer"`
}

// SetDefaults implements conf.Defaulter.
func (c *CORS) SetDefaults() { c.Methods, c.MaxAge = []string{"GET", "HEAD"}, 10*time.Minute }

// GRPC is the gRPC door.
type GRPC struct {
	Door
	Tokens       []Token       `yaml:"tokens" reload:"yes" help:"bearer tokens, one of which a client needs" unset:"clients need none"`
	Connections  int           `yaml:"connections" help:"open connections"`
	Streams      int           `yaml:"streams" help:"calls of one connection that are in progress"`
	Calls        int           `yaml:"calls" help:"calls of all connections that are in progress"`
	RequestBytes origin.Bytes  `yaml:"request_bytes" help:"the requests of all calls in progress, in memory" unset:"256 MiB, or four times message_bytes"`
	MessageBytes origin.Bytes  `yaml:"message_bytes" help:"the largest message of a client, and so the largest value of a Set"`
	Keys         int           `yaml:"keys" help:"the keys of one BatchGet or Remove"`
	ShowErrors   bool          `yaml:"show_errors" help:"tell clients the text of an origin's error, which may have secrets in it"`
	Watchers     int           `yaml:"watchers" help:"Watches in progress"`
	WatchBytes   origin.Bytes  `yaml:"watch_bytes" help:"what is kept for a watcher that reads slowly"`
	WatchSilence time.Duration `yaml:"watch_silence" help:"how long a watcher may hear nothing"`
}

// SetDefaults implements conf.Defaulter.
func (g *GRPC) SetDefaults() {
	*g = GRPC{Door: Door{Listen: "127.0.0.1:8004"}, Connections: 1024, Streams: 256, Calls: 8192, MessageBytes: 4 << 20, Keys: 10_000,
		Watchers: 1024, WatchBytes: 256 << 10, WatchSilence: 15 * time.Second}
}

// RESP is the door for Redis clients.
type RESP struct {
	Door
	Password     Secret            `yaml:"password" help:"what AUTH and HELLO want of the user default" unset:"clients need none"`
	Users        []User            `yaml:"users" help:"users, as one of which a client has to say who it is" unset:"the user default, if there is a password"`
	ShowErrors   bool              `yaml:"show_errors" help:"tell clients the text of an origin's error, which may have secrets in it"`
	ReadOnly     bool              `yaml:"read_only" help:"no command that changes something"`
	Prefixes     map[string]string `yaml:"prefixes" want:"PREFIX: GROUP" help:"how keys name their group" unset:"its name and a colon"`
	DefaultGroup string            `yaml:"default_group" help:"the group of keys without a prefix" unset:"they are refused"`
	Connections  int               `yaml:"connections" help:"open connections"`
	Arguments    int               `yaml:"arguments" help:"the arguments of a command"`
	BulkBytes    origin.Bytes      `yaml:"bulk_bytes" help:"the longest argument, and so the largest value of a SET"`
	QueryBytes   origin.Bytes      `yaml:"query_bytes" help:"the longest command, and what MULTI may queue"`
	OutputBytes  origin.Bytes      `yaml:"output_bytes" help:"what may wait to be read by one client"`
	ClientBytes  origin.Bytes      `yaml:"client_bytes" help:"long commands of all clients, in memory"`
	TrackedKeys  int               `yaml:"tracked_keys" help:"keys that are followed for clients that cache them (CLIENT TRACKING)"`
	IdleTimeout  time.Duration     `yaml:"idle_timeout" help:"how long a client may send nothing" unset:"forever"`
	QueryTimeout time.Duration     `yaml:"query_timeout" help:"how long a command may take to arrive"`
	WriteTimeout time.Duration     `yaml:"write_timeout" help:"how long a client may not read its replies"`
	PushTimeout  time.Duration     `yaml:"push_timeout" help:"how long a change waits for a client that caches one of its keys"`
}

// SetDefaults implements conf.Defaulter.
func (r *RESP) SetDefaults() {
	*r = RESP{Door: Door{Listen: "127.0.0.1:6380"}, Connections: 10_000, Arguments: 64 << 10, BulkBytes: 64 << 20, QueryBytes: 128 << 20,
		OutputBytes: 128 << 20, ClientBytes: 512 << 20, TrackedKeys: 1_000_000, QueryTimeout: time.Minute, WriteTimeout: time.Minute,
		PushTimeout: time.Second}
}

// User is a user of the door for Redis clients.
type User struct {
	Name     string `yaml:"name" help:"the name"`
	Password Secret `yaml:"password" help:"the password"`
	ReadOnly bool   `yaml:"read_only" help:"no command that changes something"`
}

// Token is what a client sends, and what it may do with it.
type Token struct {
	Token  Secret   `yaml:"token" help:"the token, at least 16 bytes"`
	May    []string `yaml:"may" want:"get, change, clear and watch" help:"what it allows" unset:"all of them"`
	Groups []string `yaml:"groups" want:"names" help:"the groups for which it does" unset:"all"`
}

// Rights returns what tokens allow, by their secrets.
func Rights(tokens []Token) (map[string]door.Rights, error) {
	all := make(map[string]door.Rights, len(tokens))
	for _, t := range tokens {
		secret, err := t.Token.Read()
		if err != nil {
			return nil, err
		}
		if _, twice := all[secret]; twice {
			return nil, errors.New("the same token is there twice: want each once, with all that it allows")
		}
		rights := door.Rights{Groups: t.Groups}
		for _, name := range t.May {
			one, err := door.ParseRight(name)
			if err != nil {
				return nil, err
			}
			rights.May |= one
		}
		if len(t.May) == 0 {
			rights.May = door.AllRights
		}
		all[secret] = rights
	}
	return all, nil
}
