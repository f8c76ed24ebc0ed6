package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// root is the directory of the repository.
const root = "../.."

func at(elem ...string) string { return filepath.Join(append([]string{root}, elem...)...) }

func read(t testing.TB, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(at(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tmp is of all tests together.
var tmp string

func TestMain(m *testing.M) {
	var err error
	if tmp, err = os.MkdirTemp("", "peercached"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(tmp)
	os.Exit(code)
}

// version is what programs of the tests say that they are.
const version = "1.2.3"

// versionName is the variable of the program that has it.
const versionName = "github.com/peercache/peercache/cmd/peercached/node.Version"

var build = sync.OnceValues(func() (string, error) {
	file, err := filepath.Abs(filepath.Join(tmp, "peercached"))
	if err != nil {
		return "", err
	}
	return file, compile(at(), file)
})

// compile makes the program of the source in dir, as Dockerfile and .goreleaser.yaml say.
func compile(dir, file string) error {
	cmd := exec.Command("go", "-C", filepath.Join(dir, "cmd", "peercached"), "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X "+versionName+"="+version, "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// program returns the file of peercached.
func program(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles peercached")
	}
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}
