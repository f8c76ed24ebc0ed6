package integration

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
)

// The list of what is in the program has each module that Go has compiled in, and no other.
func TestSBOM(t *testing.T) {
	file := program(t)
	// goreleaser runs it in dist, and names the files from there.
	dist := t.TempDir()
	args := goreleaser(t).SBOMs[0].Args
	for i, arg := range args {
		args[i] = strings.NewReplacer("../deploy/integration", abs(t, "."), "../../dist", dist, "{{ .Version }}", version,
			"$artifact", file, "$document", "peercached.cdx.json").Replace(arg)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dist
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=") // it needs nobody
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	f, err := os.Open(filepath.Join(dist, "peercached.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(f, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]string)
	for _, c := range *bom.Components {
		listed[c.Name] = c.Version
		if want := "pkg:golang/" + c.Name + "@" + c.Version; c.PackageURL != want {
			t.Errorf("%s has the package URL %s: want %s", c.Name, c.PackageURL, want)
		}
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		want := m.Version
		if m.Replace != nil {
			want = version // it is of this repository
		}
		if listed[m.Path] != want {
			t.Errorf("the list has %s %q: want %q", m.Path, listed[m.Path], want)
		}
		delete(listed, m.Path)
	}
	if "go"+listed["std"] != info.GoVersion || len(listed) != 1 {
		t.Errorf("the list has %v as well: want std of %s", listed, info.GoVersion)
	}
	if c := bom.Metadata.Component; c.Name != info.Main.Path || c.Version != version {
		t.Errorf("the list is of %s %s: want %s %s", c.Name, c.Version, info.Main.Path, version)
	}
}
