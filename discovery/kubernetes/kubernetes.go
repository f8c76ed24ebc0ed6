package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	typedv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/peercache/peercache/discovery"
)

// New makes a Discovery of the pods of a service, in the cluster and, unless
// WithNamespace says otherwise, in the namespace that this process runs in. It is
// an error if that is no pod, and the options do not say what the pod would have
// known.
func New(service string, opts ...Option) (discovery.Discovery, error) {
	s := &slicesOf{service: service, log: slog.New(slog.DiscardHandler)}
	if err := s.init(opts); err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return s, nil
}

// slicesOf is what New makes: the EndpointSlices of a service.
type slicesOf struct {
	service   string
	namespace string
	port      port
	client    typedv1.EndpointSlicesGetter
	log       *slog.Logger

	failing atomic.Bool // since the last list there was a failure, and a warning of it
}

// Run implements discovery.Discovery. The error says why self cannot be the base
// URL of a pod.
func (s *slicesOf) Run(ctx context.Context, self string, report func(discovery.View)) error {
	self, _ = discovery.SplitPeer(self) // endpoints do not say who owns what
	f, err := newForm(self, s.port)
	if err != nil {
		return fmt.Errorf("kubernetes: this process is %q: %w", self, err)
	}
	changed := make(chan struct{}, 1) // holds a token when the store changed after the last view
	informer, err := s.newInformer(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		informer.RunWithContext(klog.NewContext(ctx, logr.FromSlogHandler(s.log.Handler())))
	})

	select {
	case <-informer.HasSyncedChecker().Done():
	case <-ctx.Done():
		return nil
	}
	var last []string
	for first := true; ; first = false {
		peers := f.peers(informer.GetStore().List())
		if first || !slices.Equal(peers, last) {
			last = peers
			report(discovery.View{Peers: slices.Clone(peers), Lapsed: !slices.Contains(peers, self)})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// newInformer makes what keeps a copy of the EndpointSlices of the service, and
// calls changed after each change of it.
func (s *slicesOf) newInformer(changed func()) (cache.SharedIndexInformer, error) {
	source := listWatch{
		client:   s.client.EndpointSlices(s.namespace),
		selector: labels.Set{discoveryv1.LabelServiceName: s.service}.String(),
		listed: func() {
			if s.failing.Swap(false) {
				s.log.Info("kubernetes: the endpoint slices can be read again", "service", s.namespace+"/"+s.service)
			}
		},
	}
	informer := cache.NewSharedIndexInformerWithOptions(source, &discoveryv1.EndpointSlice{}, cache.SharedIndexInformerOptions{})
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return nil, err
	}
	return informer, informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return // the end, and what belongs to every long watch
		}
		if !s.failing.Swap(true) { // once for a row of them
			s.log.Warn("kubernetes: the endpoint slices cannot be read, the last view stands",
				"service", s.namespace+"/"+s.service, "err", err)
		}
	})
}

// listWatch is the EndpointSlices of a service, for an informer.
type listWatch struct {
	client   typedv1.EndpointSliceInterface
	selector string
	listed   func() // called after each list that succeeds
}

// IsWatchListSemanticsUnSupported makes the informer list and then watch. The
// other way, one watch that begins with a list, is for large sets; it waits up to
// half a minute after an error, and knows no end meanwhile.
func (listWatch) IsWatchListSemanticsUnSupported() bool { return true }

func (l listWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.LabelSelector = l.selector
	list, err := l.client.List(ctx, o)
	if err == nil {
		l.listed()
	}
	return list, err
}

func (l listWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = l.selector
	return l.client.Watch(ctx, o)
}

// List is ListWithContext for those that have no context.
func (l listWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), o)
}

// Watch is WatchWithContext for those that have no context.
func (l listWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), o)
}
