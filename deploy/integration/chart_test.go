package integration

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

var (
	chartDir = at("deploy", "helm", "peercached")
	update   = flag.Bool("update", false, "write the files of the chart that are copies")
)

// valuesFiles are those that the chart is tried with, by their names.
func valuesFiles(t testing.TB) map[string]map[string]any {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(names) < 3 {
		t.Fatalf("%d files of values, %v: want those that there were", len(names), err)
	}
	all := make(map[string]map[string]any)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), "-values.yaml")] = values(t, string(text))
	}
	return all
}

func values(t testing.TB, text string) (v map[string]any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// release is the name that templates are rendered with. Its namespace is shop.
const release = "pages"

// template does what helm template does.
func template(release string, v map[string]any) (map[string]string, error) {
	chart, err := loader.LoadDir(chartDir)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: "shop", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, v, options, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

func TestChartLints(t *testing.T) {
	all := valuesFiles(t)
	all["default"] = nil
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			for _, m := range lint.RunAll(chartDir, v, "shop").Messages {
				if m.Severity >= support.WarningSev {
					t.Error(m)
				}
			}
		})
	}
}

func TestChartRenders(t *testing.T) {
	for name, v := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			files, err := template(release, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range slices.Sorted(maps.Keys(files)) {
				if strings.Contains(files[file], "<no value>") {
					t.Errorf("%s has a value that is not there:\n%s", file, files[file])
				}
			}
		})
	}
}

// What is wrong is refused before anything reaches the cluster, and the message says where.
func TestChartRefuses(t *testing.T) {
	const group = `{name: pages, bytes: 64MiB, ttl: 1m, origin: {http: {url: "http://backend/{key}"}}}`
	for _, test := range []struct{ name, values, want string }{
		{"no group", `{}`, "config.groups is empty"},
		{"no nodes", `replicas: 0`, "replicas"},
		{"an unknown value", `replica: 3`, "replica"},
		{"an unknown value inside", `image: {repo: x}`, "repo"},
		{"a port of root", `http: {enabled: true, port: 80}`, "http/port"},
		{"a text for a port", `ports: {peers: "8001", admin: 8002}`, "ports/peers"},
		{"an unknown discovery", `discovery: etcd`, "discovery"},
		{"peers.listen", `config: {peers: {listen: ":1"}}`, "config/peers/listen"},
		{"peers.secret", `config: {peers: {secret: x}}`, "config/peers/secret"},
		{"http.listen", `config: {http: {listen: ":1"}}`, "config/http/listen"},
		{"shutdown", `config: {shutdown: {timeout: 1s}}`, "config/shutdown"},
		{"a group without an origin", `config: {groups: [{name: a, bytes: 1MiB}]}`, "config/groups/0"},
		{"a TTL without a unit", `config: {groups: [{name: a, ttl: 60, origin: {http: {}}}]}`, "config/groups/0/ttl"},
		{"bytes of an unknown unit", `config: {groups: [{name: a, bytes: 64megs, origin: {http: {}}}]}`, "config/groups/0/bytes"},
		{"a tag for a digest", `image: {repository: a, digest: v1}`, "image/digest"},
		{"an unknown pull policy", `image: {repository: a, pullPolicy: Sometimes}`, "image/pullPolicy"},
		{"no time to end", `{terminationGracePeriodSeconds: 20, drainSeconds: 15, config: {groups: [` + group + `]}}`, "terminationGracePeriodSeconds is too short"},
		{"a number in the environment", `env: [{name: A, value: 1}]`, "env/0/value"},
		{"no name of the secret", `secret: {name: "", key: secret}`, "secret/name"},
		{"no memory", `resources: {limits: {memory: lots}}`, "resources/limits/memory"},
		{"an unknown address family", `ipFamily: ipv4`, "ipFamily"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := template(release, values(t, test.values))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v: want %q in it", err, test.want)
			}
		})
	}
}

// A chart can read no file outside of it, so it has copies.
func TestChartHasTheAlertsAndTheDashboard(t *testing.T) {
	for _, name := range []string{"alerts.yaml", "dashboard.json"} {
		want := read(t, "metrics", "prometheus", "deploy", name)
		file := filepath.Join(chartDir, "files", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what metrics/prometheus/deploy has: go test ./deploy/integration -update (%v)", file, err)
		}
	}
}
