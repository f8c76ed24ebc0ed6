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
	document := filepath.Join(t.TempDir(), "peercached.cdx.json")
	sbom := goreleaser(t).SBOMs[0]
	args := []string{"tool", sbom.Cmd}
	for _, arg := range sbom.Args {
		args = append(args, strings.NewReplacer("$artifact", file, "$document", document).Replace(arg))
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off") // it needs nobody
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	f, err := os.Open(document)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(f, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, c := range *bom.Components {
		listed[c.Name] = true
		if c.PackageURL == "" {
			t.Errorf("%s has no package URL", c.Name)
		}
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if !listed[m.Path] {
			t.Errorf("%s is not on the list", m.Path)
		}
		delete(listed, m.Path)
	}
	delete(listed, "std")
	if len(listed) > 0 {
		t.Errorf("the list has %v, which are not in the program", listed)
	}
	if bom.Metadata.Component.Name != info.Main.Path {
		t.Errorf("the list is of %s: want %s", bom.Metadata.Component.Name, info.Main.Path)
	}
}
