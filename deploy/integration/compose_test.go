package integration

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// project reads compose.yaml as docker compose does.
func project(t testing.TB, env ...string) (*types.Project, error) {
	t.Helper()
	file, err := filepath.Abs(at("deploy", "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// secret is one that the tests set.
const secret = "PEERCACHE_SECRET=a secret of the tests alone"

// composeConfig is what the tests want to know of deploy/compose/peercached.yaml.
type composeConfig struct {
	Peers struct {
		Listen    string
		Discovery struct{ Static []string }
	}
	Admin, HTTP, GRPC, RESP struct{ Listen string }
}

func TestComposeWantsASecret(t *testing.T) {
	if _, err := project(t); err == nil || !strings.Contains(err.Error(), "PEERCACHE_SECRET") {
		t.Errorf("without a secret the error is %v: want one that names it", err)
	}
}

func TestCompose(t *testing.T) {
	p, err := project(t, secret)
	if err != nil {
		t.Fatal(err)
	}
	if names, want := p.ServiceNames(), []string{"gateway", "grafana", "node1", "node2", "node3", "prometheus"}; !slices.Equal(names, want) {
		t.Fatalf("the services are %v: want %v", names, want)
	}
	var c composeConfig
	if err := yaml.Unmarshal([]byte(read(t, "deploy", "compose", "peercached.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s mounts %s, read-only %v: %v", s.Name, v.Source, v.ReadOnly, err)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s can be reached from other machines, at %s:%s", s.Name, port.HostIP, port.Published)
			}
		}
		self := s.Environment["PEERCACHED_PEERS_SELF"]
		if self == nil {
			continue
		}
		if want := "http://" + s.Name + c.Peers.Listen; *self != want {
			t.Errorf("%s calls itself %s: want %s", s.Name, *self, want)
		}
		if got := s.Environment["PEERCACHED_PEERS_SECRET"]; got == nil || "PEERCACHE_SECRET="+*got != secret {
			t.Errorf("%s has another secret", s.Name)
		}
		peer := *self
		if s.Name == "gateway" {
			peer += "#owns=nothing"
		}
		listed = append(listed, peer)
		if s.Build.Context != abs(t, at()) || s.Build.Dockerfile != "deploy/Dockerfile" {
			t.Errorf("%s is built of %s in %s", s.Name, s.Build.Dockerfile, s.Build.Context)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s may do more than it has to", s.Name)
		}
	}
	slices.Sort(listed)
	want := slices.Sorted(slices.Values(c.Peers.Discovery.Static))
	if !slices.Equal(listed, want) {
		t.Errorf("the peers are %v: the file lists %v", listed, want)
	}
	gateway := p.Services["gateway"]
	for _, port := range gateway.Ports {
		if at := ":" + port.Published; at != c.HTTP.Listen && at != c.GRPC.Listen && at != c.RESP.Listen {
			t.Errorf("the gateway publishes %s, where it does not listen for clients", port.Published)
		}
	}
}

func abs(t testing.TB, file string) string {
	t.Helper()
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// mounted returns where the file is on this machine that a service has at a path.
func mounted(t testing.TB, s types.ServiceConfig, path string) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Target == path {
			return v.Source
		}
	}
	t.Fatalf("%s has nothing at %s", s.Name, path)
	return ""
}

func text(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Prometheus reads the files where compose.yaml puts them, and asks all processes.
func TestComposePrometheus(t *testing.T) {
	p, err := project(t, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Services["prometheus"]
	config := text(t, mounted(t, s, "/etc/prometheus/prometheus.yml"))
	for _, service := range p.Services {
		if service.Environment["PEERCACHED_PEERS_SELF"] != nil && !strings.Contains(config, service.Name+":8002") {
			t.Errorf("Prometheus does not ask %s", service.Name)
		}
	}
	rules := regexp.MustCompile(`rule_files: \[(.*)\]`).FindStringSubmatch(config)
	if rules == nil {
		t.Fatal("Prometheus has no rules")
	}
	if want := abs(t, at("metrics", "prometheus", "deploy", "alerts.yaml")); mounted(t, s, rules[1]) != want {
		t.Errorf("the rules are %s: want %s", mounted(t, s, rules[1]), want)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not there: it is in the Debian package prometheus")
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	config = strings.ReplaceAll(config, rules[1], mounted(t, s, rules[1]))
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "config", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// Grafana finds the data and the dashboard, and shows it first.
func TestComposeGrafana(t *testing.T) {
	p, err := project(t, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Services["grafana"]
	const provisioning = "/etc/grafana/provisioning/"
	var sources struct {
		APIVersion  int
		Datasources []struct {
			Name, Type, URL string
			IsDefault       bool
		}
	}
	if err := yaml.UnmarshalStrict([]byte(text(t, mounted(t, s, provisioning+"datasources/peercache.yaml"))), &sources); err != nil {
		t.Fatal(err)
	}
	prometheus := p.Services["prometheus"]
	if d := sources.Datasources; len(d) != 1 || d[0].Type != "prometheus" || !d[0].IsDefault || d[0].URL != "http://"+prometheus.Name+":9090" {
		t.Errorf("the sources of data are %+v", d)
	}
	var dashboards struct {
		APIVersion int
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	if err := yaml.UnmarshalStrict([]byte(text(t, mounted(t, s, provisioning+"dashboards/peercache.yaml"))), &dashboards); err != nil {
		t.Fatal(err)
	}
	home := *s.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if dir := dashboards.Providers[0].Options.Path; filepath.Dir(home) != dir {
		t.Errorf("the first dashboard is %s: want one in %s", home, dir)
	}
	file := mounted(t, s, home)
	if want := abs(t, at("metrics", "prometheus", "deploy", "dashboard.json")); file != want || !json.Valid([]byte(text(t, file))) {
		t.Errorf("the dashboard is %s: want %s", file, want)
	}
}
