package integration

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

// goreleaser reads .goreleaser.yaml as goreleaser does: an unknown key is an error.
func goreleaser(t testing.TB) config.Project {
	t.Helper()
	p, err := config.Load(at(".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Go can compile for all platforms of a release, and all files are there.
func TestRelease(t *testing.T) {
	p := goreleaser(t)
	out, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for _, target := range p.Builds[0].Targets {
		system, arch, _ := strings.Cut(target, "_")
		arch, variant, _ := strings.Cut(arch, "_")
		if !slices.Contains(strings.Fields(string(out)), system+"/"+arch) {
			t.Errorf("Go does not know %s", target)
		}
		if system == "linux" {
			name := system + "/" + arch
			if variant != "" {
				name += "/v" + variant
			}
			images = append(images, name)
		}
	}
	if docker := p.DockersV2[0]; !slices.Equal(docker.Platforms, images) || docker.Dockerfile != "deploy/Dockerfile" || !slices.Equal(docker.Flags, []string{"--target=release"}) {
		t.Errorf("the images are of %v, by %s %v: want those of %v", docker.Platforms, docker.Dockerfile, docker.Flags, images)
	}
	var need []string
	for _, f := range p.Archives[0].Files {
		need = append(need, f.Source)
	}
	n := p.NFPMs[0]
	need = append(need, n.Scripts.PostInstall, n.Scripts.PreRemove, n.Scripts.PostRemove)
	for _, c := range n.Contents {
		need = append(need, c.Source)
	}
	for _, pattern := range need {
		if found, err := filepath.Glob(at(pattern)); err != nil || len(found) == 0 {
			t.Errorf("there is no %s: %v", pattern, err)
		}
	}
}

// packageInfo returns what .goreleaser.yaml says of the packages, for the program in a file.
func packageInfo(t testing.TB, file string) *nfpm.Info {
	t.Helper()
	n := goreleaser(t).NFPMs[0]
	info := &nfpm.Info{
		Name: n.PackageName, Arch: "amd64", Platform: "linux", Version: version, Section: n.Section, Maintainer: n.Maintainer,
		Vendor: n.Vendor, Homepage: n.Homepage, License: n.License, Description: n.Description, MTime: time.Unix(1e9, 0),
	}
	info.Recommends = n.Recommends
	info.Contents = files.Contents{{Source: file, Destination: n.Bindir + "/peercached", FileInfo: &files.ContentFileInfo{Mode: 0o755}}}
	for _, c := range n.Contents {
		info.Contents = append(info.Contents, &files.Content{
			Source: c.Source, Destination: c.Destination, Type: c.Type, FileInfo: &files.ContentFileInfo{Mode: c.FileInfo.Mode}})
	}
	info.Scripts = nfpm.Scripts{PostInstall: n.Scripts.PostInstall, PreRemove: n.Scripts.PreRemove, PostRemove: n.Scripts.PostRemove}
	return nfpm.WithDefaults(info)
}

// member is a file of a package.
type member struct {
	mode    int64
	dir     bool
	content []byte
}

// debian makes the Debian package, and opens it: the files for the system, and those of dpkg.
func debian(t testing.TB, file string) (data, control map[string]member) {
	t.Helper()
	info := packageInfo(t, file)
	t.Chdir(at()) // the sources of the packages are named from there
	var b bytes.Buffer
	if err := deb.Default.Package(info, &b); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(&b)
	if magic, err := in.ReadString('\n'); err != nil || magic != "!<arch>\n" {
		t.Fatalf("a package begins with %q, %v", magic, err)
	}
	for {
		header := make([]byte, 60)
		if _, err := io.ReadFull(in, header); err == io.EOF {
			return data, control
		} else if err != nil {
			t.Fatal(err)
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(header[48:58])))
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, size+size%2)
		if _, err := io.ReadFull(in, body); err != nil {
			t.Fatal(err)
		}
		switch name := strings.TrimRight(string(header[:16]), " /"); name {
		case "data.tar.gz":
			data = untar(t, body[:size])
		case "control.tar.gz":
			control = untar(t, body[:size])
		}
	}
}

func untar(t testing.TB, body []byte) map[string]member {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]member)
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is of user %d, group %d: want root", h.Name, h.Uid, h.Gid)
		}
		all["/"+strings.Trim(strings.TrimPrefix(h.Name, "."), "/")] = member{h.Mode & 0o7777, h.Typeflag == tar.TypeDir, content}
	}
}

// stub is a file in place of the program, where its content does not matter.
func stub(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "peercached")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDebianPackage(t *testing.T) {
	data, control := debian(t, stub(t))
	got := make(map[string]string)
	for name, m := range data {
		if !m.dir {
			got[name] = fmt.Sprintf("%o", m.mode)
		}
	}
	want := map[string]string{
		"/usr/bin/peercached":                            "755",
		"/etc/peercached/peercached.yaml":                "644",
		"/etc/default/peercached":                        "600",
		"/usr/lib/systemd/system/peercached.service":     "644",
		"/usr/lib/systemd/system/peercached-http.socket": "644",
		"/usr/lib/systemd/system/peercached-grpc.socket": "644",
		"/usr/lib/systemd/system/peercached-resp.socket": "644",
		"/usr/share/doc/peercached/copyright":            "644",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the package has %v: want %v", got, want)
	}
	conf := strings.Fields(string(control["/conffiles"].content))
	slices.Sort(conf)
	if want := []string{"/etc/default/peercached", "/etc/peercached/peercached.yaml"}; !slices.Equal(conf, want) {
		t.Errorf("an upgrade keeps %v: want %v", conf, want)
	}
	for _, line := range []string{"Package: peercached", "Version: " + version, "Architecture: amd64", "Recommends: ca-certificates"} {
		if !strings.Contains(string(control["/control"].content), line+"\n") {
			t.Errorf("control has no line %q:\n%s", line, control["/control"].content)
		}
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		script := control["/"+name]
		if script.mode != 0o755 {
			t.Errorf("%s has the mode %o", name, script.mode)
		}
		sh := exec.Command("sh", "-n")
		sh.Stdin = bytes.NewReader(script.content)
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// All units are stopped when the package goes.
func TestDebianPackageStopsItsUnits(t *testing.T) {
	data, control := debian(t, stub(t))
	for name := range data {
		if unit := filepath.Base(name); filepath.Dir(name) == "/usr/lib/systemd/system" && !strings.Contains(string(control["/prerm"].content), unit) {
			t.Errorf("prerm does not stop %s", unit)
		}
	}
}

func TestRPM(t *testing.T) {
	info := packageInfo(t, stub(t))
	t.Chdir(at())
	var b bytes.Buffer
	if err := rpm.DefaultRPM.Package(info, &b); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b.Bytes(), []byte{0xed, 0xab, 0xee, 0xdb}) {
		t.Errorf("an RPM begins with % x", b.Bytes()[:4])
	}
}
