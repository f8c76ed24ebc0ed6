package integration

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// kinds are those that the chart may make.
var kinds = map[string]func() metav1.Object{
	"v1/Service":                               func() metav1.Object { return new(corev1.Service) },
	"v1/ConfigMap":                             func() metav1.Object { return new(corev1.ConfigMap) },
	"v1/ServiceAccount":                        func() metav1.Object { return new(corev1.ServiceAccount) },
	"apps/v1/StatefulSet":                      func() metav1.Object { return new(appsv1.StatefulSet) },
	"apps/v1/Deployment":                       func() metav1.Object { return new(appsv1.Deployment) },
	"policy/v1/PodDisruptionBudget":            func() metav1.Object { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":       func() metav1.Object { return new(networkingv1.NetworkPolicy) },
	"rbac.authorization.k8s.io/v1/Role":        func() metav1.Object { return new(rbacv1.Role) },
	"rbac.authorization.k8s.io/v1/RoleBinding": func() metav1.Object { return new(rbacv1.RoleBinding) },
	"monitoring.coreos.com/v1/ServiceMonitor":  func() metav1.Object { return new(monitoringv1.ServiceMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule":  func() metav1.Object { return new(monitoringv1.PrometheusRule) },
}

// manifests renders the chart, and reads all objects as the API server would: an unknown field, a
// field that stands twice and a value of the wrong kind are errors.
func manifests(t testing.TB, release string, v map[string]any) (all []metav1.Object) {
	t.Helper()
	files, err := template(release, v)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".txt") {
			continue
		}
		for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, doc)
			}
			if meta.Kind == "" {
				if rest := regexp.MustCompile(`(?m)^(#.*|---|\s*)$\n?`).ReplaceAllString(doc+"\n", ""); rest != "" {
					t.Errorf("%s has a document without a kind:\n%s", name, rest)
				}
				continue
			}
			kind, ok := kinds[meta.APIVersion+"/"+meta.Kind]
			if !ok {
				t.Fatalf("%s: unknown kind %s/%s", name, meta.APIVersion, meta.Kind)
			}
			object := kind()
			if err := yaml.UnmarshalStrict([]byte(doc), object); err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, doc)
			}
			all = append(all, object)
		}
	}
	return all
}

// of returns the objects of one kind.
func of[T any](objects []metav1.Object) (some []*T) {
	for _, o := range objects {
		if one, ok := any(o).(*T); ok {
			some = append(some, one)
		}
	}
	return some
}

// workload is a StatefulSet or a Deployment.
type workload struct {
	name     string
	replicas int32
	selector *metav1.LabelSelector
	pod      corev1.PodTemplateSpec
}

func (w workload) container() corev1.Container { return w.pod.Spec.Containers[0] }

// port returns the number of a port of the pod, by its name.
func (w workload) port(name string) int32 {
	for _, p := range w.container().Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

func workloads(objects []metav1.Object) (all []workload) {
	for _, s := range of[appsv1.StatefulSet](objects) {
		all = append(all, workload{s.Name, *s.Spec.Replicas, s.Spec.Selector, s.Spec.Template})
	}
	for _, d := range of[appsv1.Deployment](objects) {
		all = append(all, workload{d.Name, *d.Spec.Replicas, d.Spec.Selector, d.Spec.Template})
	}
	return all
}

// eachChart runs a test with what the chart makes of each file of values.
func eachChart(t *testing.T, test func(t *testing.T, objects []metav1.Object)) {
	for name, v := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) { test(t, manifests(t, release, v)) })
	}
}

func TestManifestsHaveNamesThatKubernetesTakes(t *testing.T) {
	for _, release := range []string{release, "peercached", "a", strings.Repeat("long-name-", 5) + "abc"} {
		for name, v := range valuesFiles(t) {
			seen := make(map[string]bool)
			for _, o := range manifests(t, release, v) {
				id := fmt.Sprintf("%T %s", o, o.GetName())
				for _, wrong := range validation.IsDNS1035Label(o.GetName()) {
					t.Errorf("%s of %s, %s: %s", id, name, release, wrong)
				}
				for _, wrong := range metavalidation.ValidateLabels(o.GetLabels(), field.NewPath("labels")) {
					t.Errorf("%s of %s, %s: %v", id, name, release, wrong)
				}
				if seen[id] {
					t.Errorf("%s is there twice", id)
				}
				if o.GetNamespace() != "shop" {
					t.Errorf("%s has the namespace %q: want the release's", id, o.GetNamespace())
				}
				seen[id] = true
			}
			// A StatefulSet labels its pods with its name and a hash of ten letters.
			for _, s := range of[appsv1.StatefulSet](manifests(t, release, v)) {
				if len(s.Name) > 52 {
					t.Errorf("the StatefulSet %s cannot name its pods", s.Name)
				}
			}
		}
	}
}

// selects reports whether a selector selects the pods of a workload.
func selects(selector labels.Selector, w workload) bool {
	return selector.Matches(labels.Set(w.pod.Labels))
}

func selector(t testing.TB, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	l, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What selects pods selects those that it is meant for, and no others.
func TestManifestsSelect(t *testing.T) {
	eachChart(t, func(t *testing.T, objects []metav1.Object) {
		all := workloads(objects)
		clients := "node"
		if len(all) > 1 {
			clients = "gateway"
		}
		want := func(what string, s labels.Selector, components ...string) {
			for _, w := range all {
				component := w.pod.Labels["app.kubernetes.io/component"]
				if got, want := selects(s, w), strings.Contains(strings.Join(components, " "), component); got != want {
					t.Errorf("%s selects the pods of %s: %v, want %v", what, w.name, got, want)
				}
			}
		}
		for _, w := range all {
			want(w.name, selector(t, w.selector), w.pod.Labels["app.kubernetes.io/component"])
			for _, c := range w.pod.Spec.TopologySpreadConstraints {
				want("the spread of "+w.name, selector(t, c.LabelSelector), w.pod.Labels["app.kubernetes.io/component"])
			}
		}
		component := map[string]string{"peers": "node", "gateways": "gateway", "": clients}
		for _, s := range of[corev1.Service](objects) {
			name := strings.TrimPrefix(strings.TrimPrefix(s.Name, release+"-peercached"), "-")
			if peers := name == "peers" || name == "gateways"; peers != s.Spec.PublishNotReadyAddresses || peers != (s.Spec.ClusterIP == corev1.ClusterIPNone) {
				t.Errorf("%s publishes pods that are not ready: %v, want %v: a pod is a peer before it is ready, and has clients when it is", s.Name, s.Spec.PublishNotReadyAddresses, peers)
			}
			want("the service "+s.Name, labels.SelectorFromSet(s.Spec.Selector), component[name])
		}
		for _, p := range of[policyv1.PodDisruptionBudget](objects) {
			if strings.HasSuffix(p.Name, "-gateway") {
				want("the budget "+p.Name, selector(t, p.Spec.Selector), "gateway")
			} else {
				want("the budget "+p.Name, selector(t, p.Spec.Selector), "node")
			}
		}
		for _, p := range of[networkingv1.NetworkPolicy](objects) {
			want("the network policy", selector(t, &p.Spec.PodSelector), "node", "gateway")
			want("who reaches the peers", selector(t, p.Spec.Ingress[0].From[0].PodSelector), "node", "gateway")
		}
		for _, m := range of[monitoringv1.ServiceMonitor](objects) {
			s, jobs, scraped := selector(t, &m.Spec.Selector), make(map[string]bool), 0
			for _, service := range of[corev1.Service](objects) {
				if !s.Matches(labels.Set(service.Labels)) {
					continue
				}
				scraped++
				jobs[service.Labels[m.Spec.JobLabel]] = true
				if i := portOf(service, m.Spec.Endpoints[0].Port); i < 0 {
					t.Errorf("the monitor wants the port %s, which %s has not", m.Spec.Endpoints[0].Port, service.Name)
				}
			}
			if scraped != len(all) || len(jobs) != 1 || jobs[""] {
				t.Errorf("the monitor finds %d services of the jobs %v: want those of %d kinds of pods, and one job", scraped, jobs, len(all))
			}
		}
	})
}

func portOf(s *corev1.Service, name string) int {
	for i, p := range s.Spec.Ports {
		if p.Name == name {
			return i
		}
	}
	return -1
}

// Ports have names, and each name is one of the pods'.
func TestManifestsHavePorts(t *testing.T) {
	eachChart(t, func(t *testing.T, objects []metav1.Object) {
		for _, w := range workloads(objects) {
			for _, s := range of[corev1.Service](objects) {
				if !selects(labels.SelectorFromSet(s.Spec.Selector), w) {
					continue
				}
				for _, p := range s.Spec.Ports {
					if w.port(p.TargetPort.StrVal) == 0 || p.Port != w.port(p.TargetPort.StrVal) {
						t.Errorf("the service %s leads %d to the port %s of %s, which is %d", s.Name, p.Port, p.TargetPort.StrVal, w.name, w.port(p.TargetPort.StrVal))
					}
				}
			}
			for _, policy := range of[networkingv1.NetworkPolicy](objects) {
				for _, rule := range policy.Spec.Ingress {
					for _, p := range rule.Ports {
						if w.port(p.Port.StrVal) == 0 {
							t.Errorf("the network policy has the port %s, which %s has not", p.Port.StrVal, w.name)
						}
					}
				}
			}
			for what, probe := range map[string]*corev1.Probe{"/readyz": w.container().ReadinessProbe, "/livez": w.container().LivenessProbe} {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != what || w.port(probe.HTTPGet.Port.StrVal) == 0 {
					t.Errorf("%s has no probe of %s: %v", w.name, what, probe)
				}
			}
		}
	})
}

// Nobody but the nodes and the gateways reaches the port of the peers, and admin is for those who are named.
func TestManifestsKeepStrangersOut(t *testing.T) {
	for name, v := range valuesFiles(t) {
		for _, policy := range of[networkingv1.NetworkPolicy](manifests(t, release, v)) {
			for _, rule := range policy.Spec.Ingress {
				for _, p := range rule.Ports {
					if port := p.Port.StrVal; (port == "peers" || port == "admin") && len(rule.From) == 0 {
						t.Errorf("%s: everybody reaches %s", name, port)
					}
				}
			}
		}
	}
}

// What Kubernetes' standard "restricted" asks for, and what the image is made for.
func TestManifestsAreRestricted(t *testing.T) {
	eachChart(t, func(t *testing.T, objects []metav1.Object) {
		for _, w := range workloads(objects) {
			pod, c := w.pod.Spec.SecurityContext, w.container().SecurityContext
			if !*pod.RunAsNonRoot || *pod.RunAsUser != 65532 || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("the pods of %s run as %+v", w.name, pod)
			}
			if *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !reflect.DeepEqual(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("the container of %s runs as %+v", w.name, c)
			}
			if res := w.container().Resources; res.Limits.Memory().IsZero() || res.Requests.Memory().IsZero() {
				t.Errorf("the container of %s has no bound of memory", w.name)
			}
			for _, e := range w.container().Env {
				if secret := strings.HasSuffix(e.Name, "_SECRET") || strings.HasSuffix(e.Name, "_TOKEN"); secret && (e.Value != "" || e.ValueFrom.SecretKeyRef == nil) {
					t.Errorf("%s of %s is not in a Secret", e.Name, w.name)
				}
			}
		}
		// The token of the service account is for those who ask the API server.
		accounts := make(map[string]bool)
		for _, b := range of[rbacv1.RoleBinding](objects) {
			accounts[b.Subjects[0].Name] = true
		}
		for _, w := range workloads(objects) {
			if got, want := *w.pod.Spec.AutomountServiceAccountToken, accounts[w.pod.Spec.ServiceAccountName]; got != want {
				t.Errorf("the pods of %s have a token: %v, want %v", w.name, got, want)
			}
		}
	})
}
