package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// fileOf returns peercached.yaml.
func fileOf(t testing.TB, objects []metav1.Object) string {
	t.Helper()
	for _, c := range of[corev1.ConfigMap](objects) {
		if file, ok := c.Data["peercached.yaml"]; ok {
			return file
		}
	}
	t.Fatal("there is no peercached.yaml")
	return ""
}

// The program accepts what the chart writes, with the environment of the pods.
func TestManifestsAreRightForTheProgram(t *testing.T) {
	file := program(t)
	eachChart(t, func(t *testing.T, objects []metav1.Object) {
		config := filepath.Join(t.TempDir(), "peercached.yaml")
		if err := os.WriteFile(config, []byte(fileOf(t, objects)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, w := range workloads(objects) {
			cmd := exec.Command(file, "check", "-c", config)
			for _, e := range w.container().Env {
				value := e.Value
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					value = "a-secret-of-the-tests-alone"
				}
				pod := "10.0.0.7"
				if strings.Contains(value, "[$(POD_IP)]") {
					pod = "fd00::7"
				}
				cmd.Env = append(cmd.Env, e.Name+"="+strings.ReplaceAll(value, "$(POD_IP)", pod))
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("the pods of %s: %v\n%s\n%s", w.name, err, out, text(t, config))
			}
		}
	})
}

// The ports and the times of the pods are those of the file.
func TestManifestsFitTheFile(t *testing.T) {
	eachChart(t, func(t *testing.T, objects []metav1.Object) {
		var c map[string]struct{ Listen, Delay, Timeout string }
		file := fileOf(t, objects)
		var whole map[string]any
		if err := yaml.Unmarshal([]byte(file), &whole); err != nil {
			t.Fatal(err)
		}
		for name := range whole {
			if _, section := whole[name].(map[string]any); !section {
				delete(whole, name)
			}
		}
		sections, err := yaml.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(sections, &c); err != nil {
			t.Fatal(err)
		}
		for _, w := range workloads(objects) {
			ports := make(map[string]bool)
			for _, p := range w.container().Ports {
				ports[p.Name] = true
				if want := ":" + itoa(p.ContainerPort); c[p.Name].Listen != want {
					t.Errorf("%s listens at %s: want %s", p.Name, c[p.Name].Listen, want)
				}
			}
			for name, section := range c {
				if section.Listen != "" && !ports[name] {
					t.Errorf("the pods of %s have no port %s", w.name, name)
				}
			}
			grace := seconds(t, itoa(int32(*w.pod.Spec.TerminationGracePeriodSeconds))+"s")
			if end := seconds(t, c["shutdown"].Delay) + seconds(t, c["shutdown"].Timeout); end >= grace {
				t.Errorf("the pods of %s take %v to end, and are killed after %v", w.name, end, grace)
			}
		}
	})
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }

func seconds(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
