package kubernetes

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	typedv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
)

// An Option changes what New makes. New returns its error.
type Option func(*slicesOf) error

// WithNamespace sets the namespace of the service. The default is that of the pod.
func WithNamespace(namespace string) Option {
	return func(s *slicesOf) error {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("WithNamespace(%q): %s", namespace, problems[0])
		}
		s.namespace = namespace
		return nil
	}
}

// WithPort sets the port at which the pods answer each other: its number, "8001",
// or its name among the ports of the service, "peers". A slice that has no port of
// that name has no peers. The default is the port of this process's base URL.
func WithPort(nameOrNumber string) Option {
	return func(s *slicesOf) error {
		if n, err := strconv.ParseUint(nameOrNumber, 10, 16); err == nil && n > 0 {
			s.port = port{number: int32(n)}
			return nil
		}
		if problems := validation.IsValidPortName(nameOrNumber); len(problems) > 0 {
			return fmt.Errorf("WithPort(%q): want a number of 1 to 65535, or the name of a port of the service", nameOrNumber)
		}
		s.port = port{name: nameOrNumber}
		return nil
	}
}

// WithClient sets what asks the API server: the DiscoveryV1 of any clientset of
// client-go. The default is a client for the cluster that the pod runs in, with
// the service account of the pod.
func WithClient(c typedv1.EndpointSlicesGetter) Option {
	return func(s *slicesOf) error {
		if c == nil {
			return errors.New("WithClient(nil): want the DiscoveryV1 of a clientset")
		}
		s.client = c
		return nil
	}
}

// WithLogger says where to log, at level warn, why the last view stands, and what
// client-go says. By default, and with nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(s *slicesOf) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		s.log = l
		return nil
	}
}

// namespaceFile is where a pod finds the name of its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// init applies the options, and finds out what they leave open.
func (s *slicesOf) init(opts []Option) error {
	if problems := validation.IsDNS1123Label(s.service); len(problems) > 0 {
		return fmt.Errorf("the name of the service %q: %s", s.service, problems[0])
	}
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("option %d is nil", i)
		}
		if err := opt(s); err != nil {
			return err
		}
	}
	if s.namespace == "" {
		b, err := os.ReadFile(namespaceFile)
		if err != nil {
			return fmt.Errorf("the namespace is not known: %w: want WithNamespace, or to run in a pod with a service account", err)
		}
		if err := WithNamespace(strings.TrimSpace(string(b)))(s); err != nil {
			return fmt.Errorf("%s: %w", namespaceFile, err)
		}
	}
	if s.client == nil {
		config, err := rest.InClusterConfig()
		if err != nil {
			return fmt.Errorf("the API server is not known: %w: want WithClient, or to run in a pod with a service account", err)
		}
		if s.client, err = typedv1.NewForConfig(config); err != nil {
			return err
		}
	}
	return nil
}
