package rpc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// TestPython generates the stubs for Python, and has a program ask by them.
func TestPython(t *testing.T) {
	python := "/usr/bin/python3" // which has Debian's packages, whatever is first in the path
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import grpc, google.protobuf").Run(); err != nil {
		t.Skipf("%s has no module grpc: %v", python, err)
	}
	plugin, err := exec.LookPath("grpc_python_plugin")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	protoc := exec.Command("protoc", "-Iproto/peercache/v1", "--python_out="+dir, "--grpc_python_out="+dir, "--plugin=protoc-gen-grpc_python="+plugin, "cache.proto")
	if out, err := protoc.CombinedOutput(); err != nil {
		t.Skipf("protoc: %v: %s", err, out)
	}

	getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		if key == "none" {
			return nil, peercache.ErrNotFound
		}
		return []byte("value of " + key), nil
	})
	group, err := peercache.NewGroup("g", 1<<20, getter)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New([]door.Cache{group}, tokens(t, map[string]door.Rights{writer: {May: door.AllRights}}))
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "127.0.0.1:0")
	go s.Serve(l)
	defer s.Shutdown(within(t))
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t), python, script, l.Addr().String(), writer)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v: %s", err, out)
	}
}
