package etcd

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/discovery"
)

func TestArguments(t *testing.T) {
	good := clientv3.Config{Endpoints: []string{"http://10.0.0.9:2379"}}
	for _, tc := range []struct {
		name   string
		config clientv3.Config
		prefix string
		opt    Option
		want   string // in the error; "" if there is none
	}{
		{"good", good, "/p/", WithLeaseTTL(time.Hour), ""},
		{"no logger", good, "/p/", WithLogger(nil), ""},
		{"a logger", good, "/p/", WithLogger(slog.Default()), ""},
		{"no endpoints", clientv3.Config{}, "/p/", WithLogger(nil), "want the addresses of etcd"},
		{"an empty endpoint", clientv3.Config{Endpoints: []string{""}}, "/p/", WithLogger(nil), "want the addresses of etcd"},
		{"no password", clientv3.Config{Endpoints: good.Endpoints, Username: "shop"}, "/p/", WithLogger(nil), "want both, or neither"},
		{"no prefix", good, "", WithLogger(nil), "ends with a slash"},
		{"no slash", good, "/p", WithLogger(nil), "ends with a slash"},
		{"nil option", good, "/p/", nil, "option 0 is nil"},
		{"short lease", good, "/p/", WithLeaseTTL(time.Millisecond), "want whole seconds, from 1s"},
		{"odd lease", good, "/p/", WithLeaseTTL(1500 * time.Millisecond), "want whole seconds, from 1s"},
		{"long lease", good, "/p/", WithLeaseTTL(2 * time.Hour), "want whole seconds, from 1s"},
	} {
		d, err := NewFromConfig(tc.config, tc.prefix, tc.opt)
		if tc.want == "" {
			if d == nil || err != nil {
				t.Errorf("%s: error %v", tc.name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "discovery/etcd: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v: want one with %q", tc.name, err, tc.want)
		}
	}
	for _, client := range []*clientv3.Client{nil, clientv3.NewCtxClient(t.Context())} {
		if _, err := New(client, "/p/"); err == nil {
			t.Error("New takes a client without a connection")
		}
	}
}

func TestRunArguments(t *testing.T) {
	d, err := NewFromConfig(clientv3.Config{Endpoints: []string{"unix:///nowhere"}}, "/p/")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := func(v discovery.View) { t.Errorf("a view: %v", v) }
	if err := d.Run(ctx, "", report); err == nil || !strings.Contains(err.Error(), "base URL") {
		t.Errorf("Run without a base URL: error %v", err)
	}
	if err := d.Run(ctx, "http://10.0.0.1:8001", report); err != nil {
		t.Errorf("Run that has ended: error %v", err)
	}
	if err := d.Run(ctx, "http://10.0.0.1:8001", report); err == nil || !strings.Contains(err.Error(), "Run was called before") {
		t.Errorf("the second Run: error %v", err)
	}
}

func TestForPeople(t *testing.T) {
	for err, want := range map[error]bool{
		rpctypes.ErrAuthFailed:                       true,
		rpctypes.ErrUserEmpty:                        true,
		rpctypes.ErrPermissionDenied:                 true,
		rpctypes.ErrInvalidAuthToken:                 true,
		rpctypes.ErrGRPCPermissionDenied:             true,
		status.Error(codes.Unauthenticated, "proxy"): true,
		rpctypes.ErrNoLeader:                         false,
		rpctypes.ErrAuthOldRevision:                  false,
		rpctypes.ErrTooManyRequests:                  false,
		status.Error(codes.Unavailable, "gone"):      false,
		context.DeadlineExceeded:                     false,
		errLapsed:                                    false,
	} {
		if got := forPeople(errors.Join(errors.New("register"), err)); got != want {
			t.Errorf("forPeople(%v) = %t, want %t", err, got, want)
		}
	}
}
