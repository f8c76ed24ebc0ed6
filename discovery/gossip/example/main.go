// Example is the example of peercache, whose processes find each other by gossip.
// Try it in three terminals:
//
//	go run ./discovery/gossip/example -port 8001 -api :9999 -discovery gossip -gossip-bind 127.0.0.1:7946
//	go run ./discovery/gossip/example -port 8002 -discovery gossip -gossip-bind 127.0.0.1:0 -join 127.0.0.1:7946
//	go run ./discovery/gossip/example -port 8003 -discovery gossip -gossip-bind 127.0.0.1:0 -join 127.0.0.1:7946
//
//	curl localhost:9999/api/peers          the peers, as the first process sees them
//	curl 'localhost:9999/api?key=Tom'      a key, whichever peer it comes from
//
// Then end one of them, with Ctrl-C or with kill -9, and ask again.
package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/gossip"
	"github.com/peercache/peercache/example/node"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return node.Main(args, stdin, stdout, stderr, node.Source{Name: "gossip", Flags: flags})
}

// profiles are what -gossip-profile takes.
var profiles = map[string]gossip.Profile{"lan": gossip.LAN, "wan": gossip.WAN, "local": gossip.Local}

// keyVariable names where the key comes from, because everybody on the machine can read what the
// flags of a process are.
const keyVariable = "GOSSIP_KEY"

// flags defines the flags of gossip.
func flags(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
	join := f.String("join", "", "-discovery gossip: `host:port` of some processes' gossip, with commas between;\n"+
		"without it the process waits for others")
	bind := f.String("gossip-bind", gossip.DefaultBind, "-discovery gossip: `address` to listen on, by TCP and UDP; port 0 picks a free one;\n"+
		"gossip is encrypted with the key of "+keyVariable+" in the environment, hexadecimal digits")
	profile := f.String("gossip-profile", "lan", "-discovery gossip: `timing`: lan, wan, or local for one machine")
	return func(log *slog.Logger) (discovery.Discovery, error) {
		p, ok := profiles[*profile]
		if !ok {
			return nil, fmt.Errorf("-gossip-profile %q: want lan, wan or local", *profile)
		}
		opts := []gossip.Option{gossip.WithBind(*bind), gossip.WithProfile(p), gossip.WithLogger(log)}
		if *join != "" {
			opts = append(opts, gossip.WithJoin(discovery.SplitList(*join)...))
		}
		if key := os.Getenv(keyVariable); key != "" {
			b, err := hex.DecodeString(key)
			if err != nil {
				return nil, errors.New(keyVariable + ": want 32, 48 or 64 hexadecimal digits") // without the key
			}
			opts = append(opts, gossip.WithKey(b))
		}
		return gossip.New(opts...)
	}
}
