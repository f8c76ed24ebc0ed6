package kubernetes_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/kubernetes"
)

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what takes a few seconds at most.
const patience = 30 * time.Second

const (
	namespace = "shop"
	service   = "peercache"
	self      = "http://10.0.0.1:8001"
)

// cluster plays the API server.
type cluster struct {
	*fake.Clientset
	watches chan watch.Interface // each that has begun
}

// newCluster makes a cluster with some slices. The fake forgets what changes
// between a list and the watch that follows it: to change something, a test first
// receives from watches.
func newCluster(slices ...*discoveryv1.EndpointSlice) *cluster {
	c := &cluster{Clientset: fake.NewClientset(), watches: make(chan watch.Interface, 100)}
	for _, s := range slices {
		if err := c.Tracker().Add(s); err != nil {
			panic(err)
		}
	}
	c.PrependWatchReactor("endpointslices", func(a clienttesting.Action) (bool, watch.Interface, error) {
		w, err := c.Tracker().Watch(a.GetResource(), a.GetNamespace())
		if err == nil {
			c.watches <- w
		}
		return true, w, err
	})
	return c
}

// watched returns the next watch that has begun.
func (c *cluster) watched(t *testing.T) watch.Interface {
	t.Helper()
	select {
	case w := <-c.watches:
		return w
	case <-time.After(patience):
		t.Fatal("the slices are not watched")
		return nil
	}
}

func (c *cluster) create(t *testing.T, s *discoveryv1.EndpointSlice) {
	t.Helper()
	if _, err := c.DiscoveryV1().EndpointSlices(s.Namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) update(t *testing.T, s *discoveryv1.EndpointSlice) {
	t.Helper()
	if _, err := c.DiscoveryV1().EndpointSlices(s.Namespace).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) delete(t *testing.T, name string) {
	t.Helper()
	if err := c.DiscoveryV1().EndpointSlices(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// slice makes a slice of the service with IPv4 endpoints and a port by name.
func slice(name string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: namespace,
			Labels:    map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
		Ports:       []discoveryv1.EndpointPort{{Name: new("peers"), Port: new(int32(8001))}},
	}
}

// pod makes an endpoint that is ready.
func pod(addr string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{addr},
		Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
	}
}

// process is a Discovery that runs.
type process struct {
	views chan discovery.View
	stop  func()
	log   *record
}

// run runs a Discovery until the end of the test, or its stop.
func run(t *testing.T, c *cluster, self string, opts ...kubernetes.Option) *process {
	t.Helper()
	p := &process{views: make(chan discovery.View, 100), log: new(record)}
	opts = append([]kubernetes.Option{
		kubernetes.WithNamespace(namespace),
		kubernetes.WithClient(c.DiscoveryV1()),
		kubernetes.WithLogger(slog.New(slog.NewTextHandler(p.log, nil))),
	}, opts...)
	d, err := kubernetes.New(service, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, self, func(v discovery.View) { p.views <- v }) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v: want nil", err)
			}
		case <-time.After(patience):
			t.Error("Run has not ended")
		}
	})
	t.Cleanup(p.stop)
	return p
}

// await checks that the next view is that of the peers with some addresses, in
// order, and that it has lapsed if self is not among them.
func (p *process) await(t *testing.T, peers ...string) {
	t.Helper()
	select {
	case v := <-p.views:
		if !slices.Equal(v.Peers, peers) || v.Lapsed == slices.Contains(peers, self) {
			t.Fatalf("the view is %+v, want %q, lapsed if %s is not among them", v, peers, self)
		}
	case <-time.After(patience):
		t.Fatalf("no view: want %q\n%s", peers, p.log)
	}
}

// record keeps what is written to it, for any number of goroutines.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
