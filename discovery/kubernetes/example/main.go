// Example is the example of peercache, whose processes are the pods of a service.
// The directory deploy has its Dockerfile, and the manifests that run it:
//
//	docker build -f discovery/kubernetes/deploy/Dockerfile -t peercache-example .
//	kubectl create secret generic peercache --from-literal=secret="$(openssl rand -base64 32)"
//	kubectl apply -f discovery/kubernetes/deploy/rbac.yaml -f discovery/kubernetes/deploy/networkpolicy.yaml \
//		-f discovery/kubernetes/deploy/statefulset.yaml
//	kubectl port-forward service/peercache-api 9999
//
//	curl localhost:9999/api/peers          the peers, as one of the pods sees them
//	curl 'localhost:9999/api?key=Tom'      a key, whichever pod it comes from
//
// Then scale it, or delete a pod, and ask again. deployment.yaml is for those who
// prefer a Deployment.
package main

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/kubernetes"
	"github.com/peercache/peercache/example/node"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return node.Main(args, stdin, stdout, stderr, node.Source{Name: "kubernetes", Flags: flags})
}

// flags defines the flags of kubernetes.
func flags(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
	service := f.String("k8s-service", "", "-discovery kubernetes: the `name` of the service whose pods are the peers;\n"+
		"-self must have the address of the pod")
	namespace := f.String("k8s-namespace", "", "-discovery kubernetes: the `namespace` of the service (default that of the pod)")
	port := f.String("k8s-port", "", "-discovery kubernetes: the `port` of the peers, its number or its name in the service\n"+
		"(default that of -self)")
	return func(log *slog.Logger) (discovery.Discovery, error) {
		if *service == "" {
			return nil, errors.New("-discovery kubernetes: want -k8s-service as well")
		}
		opts := []kubernetes.Option{kubernetes.WithLogger(log)}
		if *namespace != "" {
			opts = append(opts, kubernetes.WithNamespace(*namespace))
		}
		if *port != "" {
			opts = append(opts, kubernetes.WithPort(*port))
		}
		return kubernetes.New(*service, opts...)
	}
}
