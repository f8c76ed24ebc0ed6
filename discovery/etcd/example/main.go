// Example is the example of peercache, whose processes find each other through
// etcd. With an etcd at its usual port, try it in three terminals:
//
//	go run ./discovery/etcd/example -port 8001 -api :9999 -discovery etcd
//	go run ./discovery/etcd/example -port 8002 -discovery etcd
//	go run ./discovery/etcd/example -port 8003 -discovery etcd
//
//	curl localhost:9999/api/peers          the peers, as the first process sees them
//	curl 'localhost:9999/api?key=Tom'      a key, whichever peer it comes from
//	etcdctl get --prefix /peercache/       what they have registered
//
// Then end one of them, with Ctrl-C or with kill -9, or etcd itself, and ask again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/etcd"
	"github.com/peercache/peercache/example/node"
)

// passwordVariable names where the password comes from: everybody on the machine
// can read what the flags of a process are.
const passwordVariable = "ETCD_PASSWORD"

// source is what this example has more than the others.
var source = node.Source{Name: "etcd", Flags: flags}

func main() { os.Exit(node.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, source)) }

// flags defines the flags of etcd.
func flags(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
	endpoints := f.String("etcd", "http://127.0.0.1:2379", "-discovery etcd: `URLs` of the members of etcd, with commas between")
	prefix := f.String("etcd-prefix", "/peercache/example/", "-discovery etcd: where the processes of this cluster have their `keys`")
	ttl := f.Duration("etcd-lease", etcd.DefaultLeaseTTL, "-discovery etcd: for how long a process that died stays in the views")
	user := f.String("etcd-user", "", "-discovery etcd: the `name` of the user; the password is taken from "+passwordVariable)
	ca := f.String("etcd-cacert", "", "-discovery etcd: the `file` of the CAs that sign etcd's certificates (default those of the system)")
	cert := f.String("etcd-cert", "", "-discovery etcd: the `file` of this process's certificate, where etcd wants one")
	key := f.String("etcd-cert-key", "", "-discovery etcd: the `file` of its key")
	return func(log *slog.Logger) (discovery.Discovery, error) {
		config := clientv3.Config{Endpoints: discovery.SplitList(*endpoints), Username: *user}
		if *ca != "" || *cert != "" || *key != "" {
			tls, err := transport.TLSInfo{CertFile: *cert, KeyFile: *key, TrustedCAFile: *ca}.ClientConfig()
			if err != nil {
				return nil, fmt.Errorf("-etcd-cacert, -etcd-cert, -etcd-cert-key: %w", err)
			}
			config.TLS = tls
		}
		if *user != "" {
			if config.Password = os.Getenv(passwordVariable); config.Password == "" {
				return nil, errors.New("-etcd-user: want the password in the environment, as " + passwordVariable)
			}
		}
		d, err := etcd.NewFromConfig(config, *prefix, etcd.WithLeaseTTL(*ttl), etcd.WithLogger(log))
		if err != nil {
			return nil, fmt.Errorf("-discovery etcd: %w", err)
		}
		return d, nil
	}
}
