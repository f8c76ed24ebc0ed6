package integration

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// image is what a stage of deploy/Dockerfile makes, with all stages that it stands on.
type image struct {
	base       string // what the first of them stands on
	labels     map[string]string
	user       string
	ports      []string
	health     []string
	entrypoint []string
	cmd        []string
	copies     []*instructions.CopyCommand
	runs       int
}

// stages parses deploy/Dockerfile as BuildKit does.
func stages(t testing.TB) []instructions.Stage {
	t.Helper()
	result, err := parser.Parse(strings.NewReader(read(t, "deploy", "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Warnings {
		t.Error(w.Short)
	}
	all, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// imageOf returns what a stage makes; "" is the last one.
func imageOf(t testing.TB, name string) (made image) {
	t.Helper()
	all := stages(t)
	i := len(all) - 1
	if name != "" {
		if i = slices.IndexFunc(all, func(s instructions.Stage) bool { return s.Name == name }); i < 0 {
			t.Fatalf("there is no stage %s", name)
		}
	}
	var chain []instructions.Stage
	for i >= 0 {
		chain = append(chain, all[i])
		made.base = all[i].BaseName
		i = slices.IndexFunc(all[:i], func(s instructions.Stage) bool { return s.Name == made.base })
	}
	made.labels = make(map[string]string)
	for _, s := range slices.Backward(chain) {
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.LabelCommand:
				for _, l := range c.Labels {
					made.labels[l.Key] = l.Value
				}
			case *instructions.UserCommand:
				made.user = c.User
			case *instructions.ExposeCommand:
				made.ports = c.Ports
			case *instructions.HealthCheckCommand:
				made.health = c.Health.Test
			case *instructions.EntrypointCommand:
				made.entrypoint = c.CmdLine
			case *instructions.CmdCommand:
				made.cmd = c.CmdLine
			case *instructions.CopyCommand:
				made.copies = append(made.copies, c)
			case *instructions.RunCommand:
				made.runs++
			}
		}
	}
	return made
}

func TestImage(t *testing.T) {
	for _, stage := range []string{"", "release"} {
		made := imageOf(t, stage)
		if made.base != "scratch" || made.runs > 0 {
			t.Errorf("the image stands on %q and runs %d commands: want nothing but what is copied", made.base, made.runs)
		}
		if made.user != "65532:65532" {
			t.Errorf("it runs as %q: want 65532", made.user)
		}
		for _, l := range []string{"title", "description", "url", "source", "documentation", "vendor", "licenses", "version"} {
			if made.labels["org.opencontainers.image."+l] == "" {
				t.Errorf("the image has no label %s", l)
			}
		}
		var targets []string
		for _, c := range made.copies {
			targets = append(targets, c.DestPath)
		}
		if want := []string{"/etc/ssl/certs/ca-certificates.crt", "/peercached"}; !slices.Equal(targets, want) {
			t.Errorf("the image has %v: want %v", targets, want)
		}
		if !slices.Equal(made.entrypoint, []string{"/peercached"}) || made.cmd[0] != "serve" {
			t.Errorf("it runs %v %v", made.entrypoint, made.cmd)
		}
		if len(made.health) < 3 || made.health[0] != "CMD" || made.health[1] != "/peercached" || made.health[2] != "ready" {
			t.Errorf("its health is checked by %v: want the program, because there is no shell", made.health)
		}
		if want := []string{"6380", "8001", "8002", "8003", "8004"}; !slices.Equal(made.ports, want) {
			t.Errorf("it exposes %v: want %v", made.ports, want)
		}
	}
}

// The image, the release and the tests compile with the same flags.
func TestImageAndReleaseCompileAlike(t *testing.T) {
	docker, release := read(t, "deploy", "Dockerfile"), read(t, ".goreleaser.yaml")
	for _, flag := range []string{"CGO_ENABLED=0", "GOWORK=off", "-trimpath", "-buildvcs=false", "-s -w -X " + versionName + "="} {
		if !strings.Contains(docker, flag) || !strings.Contains(release, flag) {
			t.Errorf("Dockerfile has %s: %v, .goreleaser.yaml: %v", flag, strings.Contains(docker, flag), strings.Contains(release, flag))
		}
	}
}

// dockerContext copies to dir what Docker sends of the repository.
func dockerContext(t testing.TB, dir string) {
	t.Helper()
	lines, err := ignorefile.ReadAll(strings.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(lines)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(at(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(at(), path)
		if err != nil || name == "." {
			return err
		}
		if skip, err := ignored.MatchesOrParentMatches(name); err != nil || skip {
			if d.IsDir() && err == nil {
				return fs.SkipDir // no line takes anything back
			}
			return err
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			return os.Mkdir(to, 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// .dockerignore leaves all that the program needs, and the same source makes the same bytes wherever
// it is.
func TestImageBuildsOfItsContext(t *testing.T) {
	here := program(t)
	dir := t.TempDir()
	dockerContext(t, dir)
	for _, name := range []string{".git", "docs", "deploy", "group_test.go"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("Docker is sent %s, which no image needs", name)
		}
	}
	there := filepath.Join(t.TempDir(), "peercached")
	if err := compile(dir, there); err != nil {
		t.Fatal(err)
	}
	if sum(t, here) != sum(t, there) {
		t.Error("the same source has made other bytes in another directory")
	}
}

func sum(t testing.TB, file string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(abs(t, at())+"/cmd")) {
		t.Errorf("%s has the directory in it that it was made in", file)
	}
	return sha256.Sum256(b)
}
