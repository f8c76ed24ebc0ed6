package kubernetes_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/kubernetes"
)

// The view is the pods that are ready and not about to end, of all slices, each
// once; and follows what happens to them.
func TestPodsComeAndGo(t *testing.T) {
	c := newCluster(slice("a", pod("10.0.0.2"), pod("10.0.0.1")), otherService())
	p := run(t, c, self)
	p.await(t, "http://10.0.0.1:8001", "http://10.0.0.2:8001")
	c.watched(t)

	c.create(t, slice("b", pod("10.0.0.3")))
	p.await(t, "http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.3:8001")

	// A pod moves to another slice, and is in both for a moment: no news.
	c.update(t, slice("b", pod("10.0.0.3"), pod("10.0.0.2")))
	c.update(t, slice("a", pod("10.0.0.1")))

	ending := pod("10.0.0.2")
	ending.Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
	c.update(t, slice("b", pod("10.0.0.3"), ending))
	p.await(t, "http://10.0.0.1:8001", "http://10.0.0.3:8001")

	c.delete(t, "b")
	p.await(t, "http://10.0.0.1:8001")

	// This pod is not ready any more: nobody is.
	unready := pod("10.0.0.1")
	unready.Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}
	c.update(t, slice("a", unready))
	p.await(t)
	c.update(t, slice("a", pod("10.0.0.1")))
	p.await(t, "http://10.0.0.1:8001")
}

// otherService is a slice that is none of ours.
func otherService() *discoveryv1.EndpointSlice {
	s := slice("other", pod("10.0.0.9"))
	s.Labels[discoveryv1.LabelServiceName] = "other"
	return s
}

// What the API server is asked for is the slices of the service, no others.
func TestSelector(t *testing.T) {
	c := newCluster()
	p := run(t, c, self)
	p.await(t)
	c.watched(t)
	p.stop()
	const want = "kubernetes.io/service-name=peercache"
	for _, a := range c.Actions() {
		var labels string
		switch a := a.(type) {
		case clienttesting.ListAction:
			labels = a.GetListRestrictions().Labels.String()
		case clienttesting.WatchAction:
			labels = a.GetWatchRestrictions().Labels.String()
		}
		if a.GetNamespace() != namespace || labels != want {
			t.Errorf("%s in %s of %q: want %s, %s", a.GetVerb(), a.GetNamespace(), labels, namespace, want)
		}
	}
	if n := len(c.Actions()); n < 2 {
		t.Errorf("%d requests: want a list and a watch", n)
	}
}

func TestConditions(t *testing.T) {
	yes, no := new(true), new(false)
	for _, test := range []struct {
		name                        string
		ready, serving, terminating *bool
		peer                        bool
	}{
		{"nothing is said", nil, nil, nil, true},
		{"ready", yes, yes, no, true},
		{"not ready", no, no, no, false},
		{"terminating, and still serving", no, yes, yes, false},
		{"terminating, published though not ready", yes, yes, yes, false},
		{"published though not ready", yes, no, no, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := pod("10.0.0.2")
			e.Conditions = discoveryv1.EndpointConditions{Ready: test.ready, Serving: test.serving, Terminating: test.terminating}
			p := run(t, newCluster(slice("a", pod("10.0.0.1"), e)), self)
			if test.peer {
				p.await(t, self, "http://10.0.0.2:8001")
			} else {
				p.await(t, self)
			}
		})
	}
}

// Of pods with addresses of both families, those of self's family count. The port
// may have a name, scheme and port are else self's.
func TestForm(t *testing.T) {
	six := slice("six", pod("fd00::1"), pod("FD00:0::0002"))
	six.AddressType = discoveryv1.AddressTypeIPv6
	names := slice("names", pod("a.example"))
	names.AddressType = discoveryv1.AddressTypeFQDN
	elsewhere := slice("elsewhere", pod("10.0.0.5"))
	elsewhere.Ports = []discoveryv1.EndpointPort{{Name: new("api"), Port: new(int32(9999))}, {Name: new("peers"), Protocol: new(corev1.ProtocolTCP)}}
	nowhere := slice("nowhere", discoveryv1.Endpoint{})
	all := []*discoveryv1.EndpointSlice{slice("four", pod("10.0.0.1"), pod("10.0.0.2")), six, names, elsewhere, nowhere}

	for _, test := range []struct {
		self string
		opts []kubernetes.Option
		want []string
	}{
		{"http://10.0.0.1:8001", nil, []string{"http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.5:8001"}},
		{"https://10.0.0.1:9000", nil, []string{"https://10.0.0.1:9000", "https://10.0.0.2:9000", "https://10.0.0.5:9000"}},
		{"http://10.0.0.1", nil, []string{"http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.5"}},
		{"https://[fd00::1]", nil, []string{"https://[fd00::1]", "https://[fd00::2]"}},
		{"http://[fd00::1]:8001", nil, []string{"http://[fd00::1]:8001", "http://[fd00::2]:8001"}},
		{"http://10.0.0.1:8001", []kubernetes.Option{kubernetes.WithPort("peers")}, []string{"http://10.0.0.1:8001", "http://10.0.0.2:8001"}},
		{"http://10.0.0.1:8001", []kubernetes.Option{kubernetes.WithPort("8001")}, []string{"http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.5:8001"}},
	} {
		p := run(t, newCluster(all...), test.self, test.opts...)
		select {
		case v := <-p.views:
			if got := strings.Join(v.Peers, " "); got != strings.Join(test.want, " ") || v.Lapsed {
				t.Errorf("%s: the view is %s, lapsed: %t; want %s, false", test.self, got, v.Lapsed, test.want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: no view", test.self)
		}
		p.stop()
	}
}

// A watch that ends, in whatever way, is begun anew, and what happened meanwhile
// is not lost.
func TestWatchAgain(t *testing.T) {
	for name, end := range map[string]func(w watch.Interface){
		"closed": func(w watch.Interface) { w.Stop() },
		"expired": func(w watch.Interface) {
			w.(interface{ Error(runtime.Object) }).Error(&metav1.Status{
				Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old resource version",
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(slice("a", pod("10.0.0.1")))
			p := run(t, c, self)
			p.await(t, self)
			end(c.watched(t))
			c.update(t, slice("a", pod("10.0.0.1"), pod("10.0.0.2")))
			p.await(t, self, "http://10.0.0.2:8001")
			c.watched(t)
			c.delete(t, "a")
			p.await(t)
		})
	}
}

// An API server that refuses, as without the right RBAC, is asked again.
func TestForbidden(t *testing.T) {
	t.Parallel()
	c := newCluster(slice("a", pod("10.0.0.1")))
	refusals := 2
	c.PrependReactor("list", "endpointslices", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if refusals == 0 {
			return false, nil, nil
		}
		refusals--
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", nil)
	})
	p := run(t, c, self)
	p.await(t, self)
	if log := p.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "forbidden") || !strings.Contains(log, "can be read again") {
		t.Errorf("the log is %s\nwant one warning that it is forbidden, and the end of that", log)
	}
}

// Run ends with its context, also when it has not seen anything yet.
func TestEndBeforeView(t *testing.T) {
	t.Parallel()
	c := newCluster()
	asked := make(chan struct{}, 100)
	c.PrependReactor("list", "endpointslices", func(a clienttesting.Action) (bool, runtime.Object, error) {
		asked <- struct{}{}
		return true, nil, apierrors.NewServiceUnavailable("down")
	})
	p := run(t, c, self)
	<-asked
	p.stop()
	if len(p.views) > 0 {
		t.Errorf("a view of nothing: %+v", <-p.views)
	}
}

func TestNewErrors(t *testing.T) {
	client := kubernetes.WithClient(newCluster().DiscoveryV1())
	for _, test := range []struct {
		name, service, want string
		opts                []kubernetes.Option
	}{
		{"no service", "", "the name of the service", nil},
		{"a service with its namespace", "shop/peercache", "the name of the service", nil},
		{"a namespace with capitals", service, `WithNamespace("Shop")`, []kubernetes.Option{kubernetes.WithNamespace("Shop")}},
		{"port 0", service, `WithPort("0")`, []kubernetes.Option{kubernetes.WithPort("0")}},
		{"a large port", service, "want a number", []kubernetes.Option{kubernetes.WithPort("70000")}},
		{"no port", service, "want a number", []kubernetes.Option{kubernetes.WithPort("")}},
		{"no client", service, "WithClient(nil)", []kubernetes.Option{kubernetes.WithClient(nil)}},
		{"nil", service, "option 0 is nil", []kubernetes.Option{nil}},
		{"outside of a pod", service, "want WithNamespace", []kubernetes.Option{client}},
		{"outside of a cluster", service, "want WithClient", []kubernetes.Option{kubernetes.WithNamespace(namespace)}},
	} {
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		d, err := kubernetes.New(test.service, test.opts...)
		if d != nil || err == nil || !strings.HasPrefix(err.Error(), "kubernetes: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v: want %s", test.name, err, test.want)
		}
	}
}

// A self that the endpoints cannot give is an error, before anything is asked.
func TestRunErrors(t *testing.T) {
	for _, test := range []struct{ self, port, want string }{
		{"http://peercache-0.peercache:8001", "8001", "the address of the pod"},
		{"http://10.0.0.1", "8001", "look for it at port 8001"},
		{"http://10.0.0.1:0", "8001", "want a port of 1 to 65535"},
		{"http://10.0.0.1:80", "80", `would know it as "http://10.0.0.1"`},
		{"10.0.0.1:8001", "8001", "first path segment"},
		{"ftp://10.0.0.1:8001", "8001", "want http:// or https://"},
		{"http://10.0.0.1:8001", "8002", "look for it at port 8002"},
		{"http://10.0.0.1:8001/", "8001", `would know it as "http://10.0.0.1:8001"`},
		{"http://[FD00::1]:8001", "peers", `would know it as "http://[fd00::1]:8001"`},
	} {
		c := newCluster()
		d, err := kubernetes.New(service, kubernetes.WithNamespace(namespace), kubernetes.WithClient(c.DiscoveryV1()), kubernetes.WithPort(test.port))
		if err != nil {
			t.Fatal(err)
		}
		err = d.Run(t.Context(), test.self, func(discovery.View) { t.Error("a view before an error") })
		if err == nil || !strings.Contains(err.Error(), test.want) || len(c.Actions()) > 0 {
			t.Errorf("%s: error %v after %d requests: want %s, and none", test.self, err, len(c.Actions()), test.want)
		}
	}
}
