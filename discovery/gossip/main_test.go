package gossip

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/discovery"
)

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what takes a few seconds at most.
const patience = 30 * time.Second

// process is a Gossip that runs.
type process struct {
	*Gossip
	self  string
	views chan []string
	ended chan error
	stop  context.CancelFunc
	log   *record
}

// run runs a Gossip on a free port of this machine, with the profile Local, until
// the end of the test. It returns after the first view.
func run(t *testing.T, self string, opts ...Option) *process {
	t.Helper()
	p := &process{
		self:  self,
		views: make(chan []string, 1000),
		ended: make(chan error, 1),
		log:   new(record),
	}
	defaults := []Option{WithBind("127.0.0.1:0"), WithProfile(Local), WithLogger(slog.New(slog.NewTextHandler(p.log, nil)))}
	var err error
	if p.Gossip, err = New(append(defaults, opts...)...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	go func() {
		p.ended <- p.Run(ctx, self, func(v discovery.View) {
			if v.Lapsed {
				t.Errorf("%s: a view that has lapsed: gossip has no lease", self)
			}
			p.views <- v.Peers
		})
	}()
	t.Cleanup(func() {
		p.leave(t)
		if t.Failed() {
			t.Logf("%s at %s\n%s", self, p.Addr(), p.log)
		}
	})
	select {
	case first := <-p.views:
		p.views <- first
	case err := <-p.ended:
		t.Fatalf("%s: %v", self, err)
	case <-time.After(patience):
		t.Fatalf("%s: no view", self)
	}
	return p
}

// leave ends the process in good order. It may be called again.
func (p *process) leave(t *testing.T) {
	t.Helper()
	p.stop()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%s: %v: want nil", p.self, err)
		}
		p.ended <- nil
	case <-time.After(patience):
		t.Fatalf("%s has not ended", p.self)
	}
}

// await waits until the view of all processes is peers.
func await(t *testing.T, peers []string, processes ...*process) {
	t.Helper()
	deadline := time.After(patience)
	for _, p := range processes {
		for view := []string(nil); !slices.Equal(view, peers); {
			select {
			case view = <-p.views:
			case <-deadline:
				t.Fatalf("%s: the last view is %q, want %q", p.self, view, peers)
			}
		}
	}
}

// record keeps what is written to it, for any number of goroutines.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
