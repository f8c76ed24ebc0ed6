package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/peercache/peercache/example/node"
)

// What is wrong with the flags is said, and ends the program. How it runs, the module
// integration tests.
func TestFlags(t *testing.T) {
	t.Setenv(passwordVariable, "")
	for _, tc := range []struct{ args, want string }{
		{"-etcd ,", "want the addresses of etcd"},
		{"-etcd-prefix /x", "ends with a slash"},
		{"-etcd-lease 1ms", "whole seconds"},
		{"-etcd-user shop", "want the password"},
		{"-etcd-cacert /no/such/file", "-etcd-cacert"},
		{"-etcd-cert main.go", "-etcd-cert-key"},
	} {
		var stderr bytes.Buffer
		args := append([]string{"-port", "0", "-discovery", "etcd"}, strings.Fields(tc.args)...)
		code := node.Main(args, nil, io.Discard, &stderr, source)
		if code != 2 || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%s: status %d, %q: want 2, %q", tc.args, code, &stderr, tc.want)
		}
	}
}
