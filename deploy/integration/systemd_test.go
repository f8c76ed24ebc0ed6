package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// units writes the units to a directory, with true in place of peercached.
func units(t testing.TB) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	names, err := filepath.Glob(at("deploy", "systemd", "*"))
	if err != nil || len(names) != 4 {
		t.Fatalf("the units are %v, %v: want a service and three sockets", names, err)
	}
	for _, name := range names {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text(t, name), "/usr/bin/peercached", "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return dir, files
}

func analyze(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there: it is in the Debian package systemd")
	}
	return program
}

func TestUnitsVerify(t *testing.T) {
	program := analyze(t)
	_, files := units(t)
	out, err := exec.Command(program, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// What systemd-analyze says of how much a service may do: 10 is all, and 1.4 what is left here, which
// is the network and files that anybody can read.
func TestUnitIsHardened(t *testing.T) {
	program := analyze(t)
	dir, _ := units(t)
	out, err := exec.Command(program, "security", "--no-pager", "--offline=yes", "--threshold=15", filepath.Join(dir, "peercached.service")).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// The socket units are of the doors, and listen where the file of the package says.
func TestSocketsAreThoseOfTheFile(t *testing.T) {
	var c map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "deploy", "package", "peercached.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	for _, door := range []string{"http", "grpc", "resp"} {
		unit := strings.Split(read(t, "deploy", "systemd", "peercached-"+door+".socket"), "\n")
		for _, want := range []string{"ListenStream=" + c[door].(map[string]any)["listen"].(string), "FileDescriptorName=" + door, "Service=peercached.service"} {
			if !slices.Contains(unit, want) {
				t.Errorf("peercached-%s.socket has no line %s", door, want)
			}
		}
	}
}
