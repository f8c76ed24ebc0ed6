package cluster

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/peer"
)

// told is a Discovery that a test tells what to report.
type told struct {
	views    chan discovery.View
	fail     chan error // makes Run return that
	withdraw func()     // what Run does when its context has ended; may be nil
}

func newTold() *told {
	return &told{views: make(chan discovery.View), fail: make(chan error)}
}

func (d *told) Run(ctx context.Context, _ string, report func(discovery.View)) error {
	for {
		select {
		case v := <-d.views:
			report(v)
		case err := <-d.fail:
			return err
		case <-ctx.Done():
			if d.withdraw != nil {
				d.withdraw()
			}
			return nil
		}
	}
}

// tell reports a view and waits until the cluster has taken it.
func (d *told) tell(peers ...string) {
	d.views <- discovery.View{Peers: peers}
	synctest.Wait()
}

const selfURL = "http://10.0.0.1:8001"

// joining is a cluster in a synctest bubble that gets its views from a test.
type joining struct {
	*Cluster
	told *told
	net  *fakeNet
	log  bytes.Buffer // to be read when nobody runs
}

// newJoining makes one with a fakeConfig that change has changed; change may be nil.
func newJoining(t *testing.T, change func(*Config)) *joining {
	t.Helper()
	j := &joining{told: newTold(), net: new(fakeNet)}
	j.Cluster = newFake(t, selfURL, j.net, func(cfg *Config) {
		cfg.Discovery, cfg.Log = j.told, slog.New(slog.NewTextHandler(&j.log, nil))
		if change != nil {
			change(cfg)
		}
	})
	t.Cleanup(func() { shutdown(context.Background(), j.Cluster) })
	return j
}

// join reports a view with this process while Join waits.
func (j *joining) join(t *testing.T, peers ...string) {
	t.Helper()
	go func() { j.told.views <- discovery.View{Peers: peers} }()
	if err := j.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// members returns the names of all in the view, sorted.
func (j *joining) members() string {
	names := []string{j.self}
	for _, p := range j.Peers() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// warnings returns what was logged at level warn, and forgets it.
func (j *joining) warnings(t *testing.T) []string {
	t.Helper()
	defer j.log.Reset()
	lines := strings.Split(strings.TrimSpace(j.log.String()), "\n")
	return slices.DeleteFunc(lines, func(s string) bool { return !strings.Contains(s, "level=WARN") })
}

// Join waits until a view is in place that holds the process, and says meanwhile
// what is missing. What it is told after the end of its context still counts.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		joins := func(want string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			err := j.Join(ctx)
			switch {
			case want == "":
				if err != nil || time.Since(start) != 0 {
					t.Errorf("Join: error %v after %v: want none, at once", err, time.Since(start))
				}
			case !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) || time.Since(start) != 10*time.Second:
				t.Errorf("Join: error %v after %v: want context.DeadlineExceeded and %q after 10s", err, time.Since(start), want)
			}
		}
		joins("no view has come yet")
		j.told.tell()
		joins("there is no peer in it")
		j.told.tell("http://10.0.0.2:8001")
		joins("lacks this process")
		if got, want := j.members(), selfURL+" http://10.0.0.2:8001"; got != want {
			t.Errorf("the view has %s: want %s", got, want)
		}
		j.told.tell(selfURL, "http://10.0.0.2:8001")
		joins("")
		j.told.tell("http://10.0.0.2:8001")
		joins("") // it was among them once

		if err := j.Set([]string{selfURL}); err == nil || !strings.Contains(err.Error(), "WithDiscovery") {
			t.Errorf("Set: error %v: want one that says WithDiscovery", err)
		}
		if err := shutdown(t.Context(), j.Cluster); err != nil {
			t.Error(err)
		}
		if err := j.Join(t.Context()); !errors.Is(err, peer.ErrClosed) {
			t.Errorf("Join after Shutdown: error %v: want ErrClosed", err)
		}
	})
}

// A caller of Join that waits does so until the view is there.
func TestJoinWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		time.AfterFunc(time.Minute, func() { j.told.views <- discovery.View{Peers: []string{selfURL}} })
		start := time.Now()
		if err := j.Join(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Join: error %v after %v: want none after 1m", err, time.Since(start))
		}

		j = newJoining(t, nil)
		time.AfterFunc(time.Minute, func() { shutdown(t.Context(), j.Cluster) })
		if err := j.Join(t.Context()); !errors.Is(err, peer.ErrClosed) {
			t.Errorf("Join when Shutdown came: error %v: want ErrClosed", err)
		}
	})
}

// What a view may have in it, whoever registered that. The others are unharmed.
func TestViews(t *testing.T) {
	const b, c = "http://10.0.0.2:8001", "http://10.0.0.3:8001"
	long := "http://" + strings.Repeat("x", 600) + ":8001"
	steps := []struct {
		what     string
		told     []string
		want     string
		warnings []string // what each says
	}{
		{"all", []string{c, selfURL, b}, selfURL + " " + b + " " + c, nil},
		{"twice", []string{b, selfURL, b, c, selfURL, c}, selfURL + " " + b + " " + c, nil},
		{"nobody", nil, selfURL + " " + b + " " + c, []string{"no peer in it"}},
		{"nobody again", []string{}, selfURL + " " + b + " " + c, nil},
		{"one less", []string{selfURL, b}, selfURL + " " + b, nil},
		{"rubbish", []string{"", selfURL, "rubbish", b, "HTTP://10.0.0.3:8001", b + "/", "http://10.0.0.3:99999", "\x00", long, c},
			selfURL + " " + b + " " + c,
			[]string{`peer \"\"`, "rubbish", "http://10.0.0.3:8001", "http://10.0.0.2:8001", "port of 1 to 65535", `x00`, "at most 512 bytes"}},
		{"known rubbish", []string{"rubbish", selfURL, b}, selfURL + " " + b, nil},
		{"rubbish alone", []string{"rubbish", "junk"}, selfURL + " " + b, []string{"junk", "no peer in it"}},
		{"without self", []string{c}, selfURL + " " + c, []string{"lacks this process"}},
		{"without self, once more", []string{b}, selfURL + " " + b, nil},
		{"alone", []string{selfURL}, selfURL, nil},
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		j.join(t, selfURL)
		for _, step := range steps {
			j.told.tell(step.told...)
			if got := j.members(); got != step.want {
				t.Errorf("%s: the view has %s: want %s", step.what, got, step.want)
			}
			warnings := j.warnings(t)
			if len(warnings) != len(step.warnings) {
				t.Errorf("%s: warnings %q: want %d", step.what, warnings, len(step.warnings))
				continue
			}
			for i, want := range step.warnings {
				if !strings.Contains(warnings[i], want) || len(warnings[i]) > 500 {
					t.Errorf("%s: warning %s: want a short one with %q", step.what, warnings[i], want)
				}
			}
		}
	})
}

// A view that is the one in place is not made again. A lapse is known, and when it is over
// the view is made anew, as if the process had just come.
func TestViewUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		j.join(t, selfURL, "http://10.0.0.2:8001")
		before := j.view.Load()
		j.told.views <- discovery.View{Peers: []string{"http://10.0.0.2:8001", selfURL}, Lapsed: true}
		synctest.Wait()
		if j.view.Load() != before || !j.Lapsed() {
			t.Errorf("another view %t, lapsed %t: want the same view, lapsed", j.view.Load() != before, j.Lapsed())
		}
		if warnings := j.warnings(t); len(warnings) != 1 || !strings.Contains(warnings[0], "has run out") {
			t.Errorf("warnings %q: want one that the registration has run out", warnings)
		}
		j.told.tell("http://10.0.0.2:8001", selfURL)
		anew := j.view.Load()
		if anew == before || anew.id != before.id || anew.before != nil || j.Lapsed() {
			t.Errorf("the view %+v, was %+v, lapsed %t: want the same peers, made anew, not lapsed", anew, before, j.Lapsed())
		}
		j.told.tell(selfURL, "http://10.0.0.2:8001")
		if j.view.Load() != anew {
			t.Error("the view was made again, though there was no lapse")
		}
	})
}

// A process is sure of its place in the cluster while the last view says so, and its
// registration holds. A pool without a discovery has nothing to be sure of.
func TestLapsed(t *testing.T) {
	const b = "http://10.0.0.2:8001"
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		check := func(when string, want bool) {
			t.Helper()
			if got := j.Lapsed(); got != want {
				t.Errorf("%s: lapsed %t: want %t", when, got, want)
			}
		}
		check("before Join", true)
		j.join(t, selfURL, b)
		check("joined", false)
		for when, peers := range map[string][]string{"a view without it": {b}, "an empty view": {}} {
			j.told.tell(peers...)
			check(when, true)
			j.told.tell(selfURL, b)
			check("back", false)
		}
		if err := shutdown(t.Context(), j.Cluster); err != nil {
			t.Error(err)
		}
		check("after Shutdown", true)

		j = newJoining(t, nil)
		j.join(t, selfURL)
		j.told.fail <- errors.New("broken")
		synctest.Wait()
		check("after the discovery has failed", true)
	})
	if newFake(t, selfURL, new(fakeNet), nil).Lapsed() {
		t.Error("without a discovery: lapsed")
	}
}

// A Discovery that fails, or ends, is an error of Join, then and later. The pool
// goes on with what it knows.
func TestDiscoveryFails(t *testing.T) {
	broken := errors.New("broken")
	for _, failure := range []error{broken, nil} {
		synctest.Test(t, func(t *testing.T) {
			j := newJoining(t, nil)
			go func() {
				j.told.views <- discovery.View{Peers: []string{"http://10.0.0.2:8001"}}
				j.told.fail <- failure
			}()
			for range 2 {
				err := j.Join(t.Context())
				if err == nil || failure != nil && !errors.Is(err, failure) || failure == nil && !strings.Contains(err.Error(), "ended by itself") {
					t.Errorf("Join: error %v: want %v", err, failure)
				}
			}
			if got, want := j.members(), selfURL+" http://10.0.0.2:8001"; got != want {
				t.Errorf("the view has %s: want %s", got, want)
			}

			j = newJoining(t, nil)
			j.join(t, selfURL)
			j.told.fail <- failure
			synctest.Wait()
			for range 20 { // two things have happened, and it must not pick one
				if err := j.Join(t.Context()); err == nil {
					t.Error("Join after the discovery has failed: no error")
				}
			}
			if !strings.Contains(j.log.String(), "level=ERROR") {
				t.Errorf("logged %s: want an error", &j.log)
			}
		})
	}
}
