package kubernetes_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/peercache/peercache/discovery/kubernetes"
)

// The requests as they go over the network, with client-go's own client: a list,
// then a watch of what the list was at, which lasts until Run ends.
func TestOverHTTP(t *testing.T) {
	listSeen, watchEnded := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.URL.Path != "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices" ||
			query.Get("labelSelector") != "kubernetes.io/service-name=peercache" {
			t.Errorf("%s %s: want the slices of the service", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		kind := metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSliceList"}
		if query.Get("watch") == "" {
			json.NewEncoder(w).Encode(discoveryv1.EndpointSliceList{
				TypeMeta: kind,
				ListMeta: metav1.ListMeta{ResourceVersion: "7"},
				Items:    []discoveryv1.EndpointSlice{*slice("a", pod("10.0.0.1"))},
			})
			return
		}
		if v := query.Get("resourceVersion"); v != "7" {
			t.Errorf("a watch from version %q: want 7, the list's", v)
		}
		select {
		case <-listSeen: // else both may be one view
		case <-r.Context().Done():
			return
		}
		added := slice("b", pod("10.0.0.2"))
		added.TypeMeta = metav1.TypeMeta{APIVersion: kind.APIVersion, Kind: "EndpointSlice"}
		added.ResourceVersion = "8"
		json.NewEncoder(w).Encode(map[string]any{"type": "ADDED", "object": added})
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(watchEnded)
	}))
	t.Cleanup(server.Close) // when Run has ended, also if the test fails: its watch would be waited for
	client, err := typedv1.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, newCluster(), self, kubernetes.WithClient(client))
	p.await(t, self)
	close(listSeen)
	p.await(t, self, "http://10.0.0.2:8001")
	p.stop()
	<-watchEnded
}
