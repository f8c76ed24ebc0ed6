package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/kubernetes"
)

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manifests are the objects of some files, by kind and name.
type manifests map[string][]byte

// readManifests reads files of the directory deploy.
func readManifests(t *testing.T, names ...string) manifests {
	t.Helper()
	m := make(manifests)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var head struct {
				Kind     string
				Metadata struct{ Name string }
			}
			if err := yaml.Unmarshal(doc, &head); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m[head.Kind+" "+head.Metadata.Name] = doc
		}
	}
	return m
}

// object reads one of the objects, in which nothing is that Kubernetes does not
// know.
func object[T any](t *testing.T, m manifests, name string) (object T) {
	t.Helper()
	doc, ok := m[name]
	if !ok {
		t.Fatalf("there is no %s: there are %q", name, slices.Sorted(maps.Keys(m)))
	}
	if err := yaml.UnmarshalStrict(doc, &object); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return object
}

// Both variants are a node that its service finds, and that finds its service.
func TestManifests(t *testing.T) {
	for file, kind := range map[string]string{"statefulset.yaml": "StatefulSet", "deployment.yaml": "Deployment"} {
		t.Run(kind, func(t *testing.T) {
			m := readManifests(t, "rbac.yaml", file)
			headless := object[corev1.Service](t, m, "Service peercache")
			var selector map[string]string
			var pod corev1.PodTemplateSpec
			if kind == "StatefulSet" {
				set := object[appsv1.StatefulSet](t, m, "StatefulSet peercache")
				selector, pod = set.Spec.Selector.MatchLabels, set.Spec.Template
				if set.Spec.ServiceName != headless.Name {
					t.Errorf("the StatefulSet has the service %q: want %q", set.Spec.ServiceName, headless.Name)
				}
			} else {
				d := object[appsv1.Deployment](t, m, "Deployment peercache")
				selector, pod = d.Spec.Selector.MatchLabels, d.Spec.Template
			}
			if !maps.Equal(selector, pod.Labels) {
				t.Errorf("it selects %v, and its pods have %v", selector, pod.Labels)
			}
			if headless.Spec.ClusterIP != corev1.ClusterIPNone || headless.Spec.PublishNotReadyAddresses {
				t.Errorf("the service has the address %q, publishNotReadyAddresses is %t: want None, false",
					headless.Spec.ClusterIP, headless.Spec.PublishNotReadyAddresses)
			}
			checkAccount(t, m, pod.Spec)
			checkService(t, headless, pod, "peers")
			checkService(t, object[corev1.Service](t, m, "Service peercache-api"), pod, "api")
			checkContainer(t, pod.Spec, headless)
		})
	}
}

// secretName is the Secret with what the pods have in common. The commands that say how to try the
// example make it.
const secretName = "peercache"

// Wherever the manifests are applied, the secret is made before that, and of random bytes.
func TestSecretIsMade(t *testing.T) {
	const want = `kubectl create secret generic ` + secretName + ` --from-literal=secret="$(openssl rand -base64 32)"`
	for _, file := range []string{"main.go", "../deploy/statefulset.yaml", "../deploy/deployment.yaml", "../../../docs/discovery.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		made, applied := strings.Index(string(text), want), strings.Index(string(text), "kubectl apply")
		if made < 0 || applied >= 0 && applied < made {
			t.Errorf("%s: want %s, before what needs it", file, want)
		}
	}
}

// The port of the peers is for the pods alone, and that of the API for everybody.
func TestNetworkPolicy(t *testing.T) {
	policy := object[networkingv1.NetworkPolicy](t, readManifests(t, "networkpolicy.yaml"), "NetworkPolicy peercache").Spec
	for _, file := range []string{"statefulset.yaml", "deployment.yaml"} {
		pod := podOf(t, file)
		if !selects(t, &policy.PodSelector, pod.Labels) || !slices.Equal(policy.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) {
			t.Fatalf("%s: it is for %v of the pods %v: want Ingress of those of the example", file, policy.PolicyTypes, policy.PodSelector)
		}
		stranger := map[string]string{"app": "shop"}
		for _, tt := range []struct {
			who  map[string]string
			port string
			want bool
		}{
			{pod.Labels, "peers", true}, {stranger, "peers", false}, {nil, "peers", false},
			{pod.Labels, "api", true}, {stranger, "api", true}, {nil, "api", true},
			{stranger, "", false},
		} {
			number := int32(1)
			if tt.port != "" {
				number = portOf(t, pod.Spec, tt.port)
			}
			if got := letsIn(t, policy, tt.who, tt.port, number); got != tt.want {
				t.Errorf("%s: whoever has the labels %v reaches the port %q: %v, want %v", file, tt.who, tt.port, got, tt.want)
			}
		}
	}
}

// podOf returns the template of the pods of a manifest.
func podOf(t *testing.T, file string) corev1.PodTemplateSpec {
	t.Helper()
	m := readManifests(t, file)
	if file == "statefulset.yaml" {
		return object[appsv1.StatefulSet](t, m, "StatefulSet peercache").Spec.Template
	}
	return object[appsv1.Deployment](t, m, "Deployment peercache").Spec.Template
}

// letsIn reports whether a policy lets in a pod of the same namespace that has some labels, or
// with none somebody who is no pod, to a port.
func letsIn(t *testing.T, policy networkingv1.NetworkPolicySpec, who map[string]string, name string, number int32) bool {
	t.Helper()
	return slices.ContainsFunc(policy.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return (len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
			return p.Port == nil || p.EndPort != nil || p.Port.StrVal != "" && p.Port.StrVal == name || p.Port.IntVal == number
		})) && (len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(from networkingv1.NetworkPolicyPeer) bool {
			if from.IPBlock != nil || from.NamespaceSelector != nil {
				return true // others than pods of the namespace
			}
			return who != nil && selects(t, from.PodSelector, who)
		}))
	})
}

// selects reports whether a selector selects what has the labels.
func selects(t *testing.T, s *metav1.LabelSelector, with map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(with))
}

// checkAccount checks that the account of the pods is bound to the role.
func checkAccount(t *testing.T, m manifests, pod corev1.PodSpec) {
	t.Helper()
	account := object[corev1.ServiceAccount](t, m, "ServiceAccount "+pod.ServiceAccountName)
	binding := object[rbacv1.RoleBinding](t, m, "RoleBinding peercache")
	object[rbacv1.Role](t, m, "Role "+binding.RoleRef.Name)
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account.Name}
	if !slices.Contains(binding.Subjects, subject) || binding.RoleRef.Kind != "Role" || binding.RoleRef.APIGroup != rbacv1.GroupName {
		t.Errorf("the binding is of %v to %v: want %v to a Role", binding.Subjects, binding.RoleRef, subject)
	}
}

// checkService checks that a service selects the pods, and leads to their port of
// a name.
func checkService(t *testing.T, s corev1.Service, pod corev1.PodTemplateSpec, port string) {
	t.Helper()
	if !maps.Equal(s.Spec.Selector, pod.Labels) {
		t.Errorf("the service %s selects %v, and the pods have %v", s.Name, s.Spec.Selector, pod.Labels)
	}
	ports := s.Spec.Ports
	if len(ports) != 1 || ports[0].Name != port || ports[0].TargetPort.StrVal != port || ports[0].Port != portOf(t, pod.Spec, port) {
		t.Errorf("the service %s has the ports %v: want %s, as the pods have it", s.Name, ports, port)
	}
}

// portOf returns the number of a port of the pods.
func portOf(t *testing.T, pod corev1.PodSpec, name string) int32 {
	t.Helper()
	for _, p := range pod.Containers[0].Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	t.Fatalf("the pods have no port %s", name)
	return 0
}

// checkContainer checks what the node is told, what it is asked to know whether it
// is ready, and that it has time to end.
func checkContainer(t *testing.T, pod corev1.PodSpec, headless corev1.Service) {
	t.Helper()
	c := pod.Containers[0]
	if len(c.Env) != 2 || c.Env[0].Name != "POD_IP" || c.Env[0].ValueFrom.FieldRef.FieldPath != "status.podIP" {
		t.Errorf("the environment is %v: want POD_IP, which is status.podIP, and the secret", c.Env)
	}
	if s := c.Env[1]; s.Name != "PEERCACHE_SECRET" || s.Value != "" || s.ValueFrom.SecretKeyRef == nil ||
		s.ValueFrom.SecretKeyRef.Name != secretName || s.ValueFrom.SecretKeyRef.Key != "secret" || s.ValueFrom.SecretKeyRef.Optional != nil {
		t.Errorf("the environment has %v: want PEERCACHE_SECRET of the Secret, without which no pod starts", s)
	}
	peers := portOf(t, pod, "peers")
	told := make(map[string]string)
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(arg, "=")
		told[name] = value
	}
	for flag, want := range map[string]string{
		"-discovery":   "kubernetes",
		"-k8s-service": headless.Name,
		"-port":        "8001",
		"-self":        "http://$(POD_IP):8001",
		"-api":         ":9999",
	} {
		if told[flag] != want {
			t.Errorf("%s is %q: want %q", flag, told[flag], want)
		}
	}
	if peers != 8001 || portOf(t, pod, "api") != 9999 {
		t.Errorf("the ports of the container are %v: want those of -port and -api", c.Ports)
	}
	for name, probe := range map[string]*corev1.Probe{"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe == nil || probe.TCPSocket == nil || probe.TCPSocket.Port.StrVal != "peers" {
			t.Errorf("the %s probe is %v: want a TCP probe of the port peers", name, probe)
		}
	}
	if sleep := c.Lifecycle.PreStop.Sleep; sleep == nil || *pod.TerminationGracePeriodSeconds < sleep.Seconds+15 {
		t.Errorf("preStop sleeps %v, and all ends after %d seconds: want 15 more", sleep, *pod.TerminationGracePeriodSeconds)
	}

	// The node takes these flags. The address is what Kubernetes puts in.
	var args []string
	for _, arg := range c.Args {
		args = append(args, strings.ReplaceAll(arg, "$(POD_IP)", "10.0.0.1"))
	}
	var stderr bytes.Buffer
	if code := run(append(args, "-h"), nil, io.Discard, &stderr); code != 0 {
		t.Errorf("%q: status %d: %s", args, code, &stderr)
	}
}

// The role allows what is asked of the API server, and nothing that is not.
func TestRole(t *testing.T) {
	client := fake.NewClientset()
	d, err := kubernetes.New("peercache", kubernetes.WithNamespace("shop"), kubernetes.WithClient(client.DiscoveryV1()))
	if err != nil {
		t.Fatal(err)
	}
	watching := make(chan struct{}, 1)
	client.PrependWatchReactor("*", func(clienttesting.Action) (bool, watch.Interface, error) {
		select {
		case watching <- struct{}{}:
		default:
		}
		return false, nil, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx, "http://10.0.0.1:8001", func(discovery.View) {}) }()
	<-watching
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	role := object[rbacv1.Role](t, readManifests(t, "rbac.yaml"), "Role peercache")
	for _, a := range client.Actions() {
		if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
			return slices.Contains(r.Verbs, a.GetVerb()) && slices.Contains(r.APIGroups, a.GetResource().Group) && slices.Contains(r.Resources, a.GetResource().Resource)
		}) {
			t.Errorf("the role does not allow to %s %s", a.GetVerb(), a.GetResource())
		}
	}
	if n := len(client.Actions()); n < 2 {
		t.Errorf("%d requests: want a list and a watch", n)
	}
	for _, r := range role.Rules {
		for _, verb := range r.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) || !slices.Equal(r.Resources, []string{"endpointslices"}) {
				t.Errorf("the role allows to %s %s: that is not needed", verb, r.Resources)
			}
		}
	}
}

// What is wrong with the flags is said, and ends the program.
func TestFlags(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("PEERCACHE_SECRET", "a secret of a test")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "want -k8s-service"},
		{[]string{"-k8s-service", "a/b"}, "the name of the service"},
		{[]string{"-k8s-service", "a", "-k8s-port", "0"}, "WithPort"},
		{[]string{"-k8s-service", "a", "-k8s-namespace", "b"}, "want WithClient, or to run in a pod"},
	} {
		var stderr bytes.Buffer
		args := append([]string{"-port", "8001", "-self", "http://10.0.0.1:8001", "-discovery", "kubernetes"}, test.args...)
		if code := run(args, nil, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: status %d, %q: want 2, %q", args, code, &stderr, test.want)
		}
	}
}
