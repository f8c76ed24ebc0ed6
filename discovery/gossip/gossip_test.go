package gossip

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/peercache/peercache/discovery"
)

// Base URLs for tests. Nobody listens there.
const (
	urlA = "http://127.0.0.1:8001"
	urlB = "http://127.0.0.1:8002"
	urlC = "http://127.0.0.1:8003"
)

// Processes join, by any that is there already, and those who were there see it.
// One that leaves is gone for the others at once: in the profile LAN it takes
// four seconds and more to see a crash.
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	lan := WithProfile(LAN)
	a := run(t, urlA, lan)
	await(t, []string{urlA}, a)
	b := run(t, urlB, lan, WithJoin(a.Addr()))
	c := run(t, urlC, lan, WithJoin(b.Addr()))
	await(t, []string{urlA, urlB, urlC}, a, b, c)

	start := time.Now()
	c.leave(t)
	if took := time.Since(start); took > longestLeave+time.Second {
		t.Errorf("leaving took %v, want at most %v", took, longestLeave)
	}
	await(t, []string{urlA, urlB}, a, b)
	if took := time.Since(start); took > 3500*time.Millisecond {
		t.Errorf("it took %v until the others saw that one left: so long takes a crash", took)
	}
}

// The first view of a process that joins has the others already: it never loads
// as if it were alone.
func TestFirstView(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	b := run(t, urlB, WithJoin(a.Addr()))
	if first := <-b.views; !slices.Equal(first, []string{urlA, urlB}) {
		t.Errorf("the first view is %q, want both", first)
	}
}

// All processes may have the same list, their own address among it.
func TestSameList(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	list := WithJoin(a.Addr(), "127.0.0.1:1") // nobody can have port 1
	b := run(t, urlB, WithBind(freeAddr(t)), list)
	a.leave(t)
	await(t, []string{urlB}, b)
	a = run(t, urlA, WithBind(a.Addr()), list)
	await(t, []string{urlA, urlB}, a, b)
}

// A crash is seen by those who are left, and then the process may come back
// under its name with another port, also before they have seen it.
func TestCrash(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	b := run(t, urlB, WithJoin(a.Addr()))
	crash := startDoomed(t, urlC, a.Addr())
	await(t, []string{urlA, urlB, urlC}, a, b)

	start := time.Now()
	crash()
	await(t, []string{urlA, urlB}, a, b)
	t.Logf("the crash was seen after %v", time.Since(start))

	c := run(t, urlC, WithJoin(a.Addr()))
	await(t, []string{urlA, urlB, urlC}, a, b, c)
	checkNameIsFree(t, start)
}

// checkNameIsFree checks that a process did not get in because its name had been
// forgotten: that takes 15 seconds after the crash.
func checkNameIsFree(t *testing.T, crash time.Time) {
	t.Helper()
	if took := time.Since(crash); took > 12*time.Second {
		t.Errorf("it took %v until the process was back", took)
	}
}

func TestCrashAndBackAtOnce(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	b := run(t, urlB, WithJoin(a.Addr()))
	crash := startDoomed(t, urlC, a.Addr(), WithName("c"))
	await(t, []string{urlA, urlB, urlC}, a, b)
	start := time.Now()
	crash()
	const urlD = "http://127.0.0.1:8004" // where it is now
	c := run(t, urlD, WithName("c"), WithJoin(a.Addr()))
	await(t, []string{urlA, urlB, urlD}, a, b, c)
	checkNameIsFree(t, start)
}

// startDoomed starts a member as Run does, and returns what makes it crash: it is
// silent at once, and tells nobody.
func startDoomed(t *testing.T, self, join string, opts ...Option) (crash func()) {
	t.Helper()
	g, err := New(append(opts, WithBind("127.0.0.1:0"), WithProfile(Local))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	list, err := g.listen(ctx, self, newMembers(self))
	if err != nil {
		t.Fatal(err)
	}
	crash = func() {
		cancel()
		list.Shutdown()
	}
	t.Cleanup(crash)
	if _, err := list.Join([]string{join}); err != nil {
		t.Fatal(err)
	}
	return crash
}

// The process that all others join crashes and comes back, and knows nobody: the
// others, of which each has been alone for a while, find it, and so each other.
func TestSplitHeals(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	b := run(t, urlB, WithJoin("127.0.0.1:1", a.Addr()))
	await(t, []string{urlA, urlB}, a, b)
	a.leave(t)
	await(t, []string{urlB}, b)
	c := run(t, urlC, WithJoin(a.Addr())) // of another opinion than b, and alone
	await(t, []string{urlC}, c)

	a = run(t, urlA, WithBind(a.Addr()))
	await(t, []string{urlA, urlB, urlC}, a, b, c)
}

// Nobody is at the address to join: the process is alone, says so, and meets the
// others when they come.
func TestNobodyThereYet(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	b := run(t, urlB, WithJoin(addr))
	await(t, []string{urlB}, b)
	a := run(t, urlA, WithBind(addr))
	await(t, []string{urlA, urlB}, a, b)
	if log := b.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "nobody lets this process join") || !strings.Contains(log, addr) {
		t.Errorf("the log is\n%s\nwant one warning that nobody is at %s", log, addr)
	}
}

// With a key gossip is encrypted, and who has another key, or none, stays out,
// serves alone, and is told so.
func TestKey(t *testing.T) {
	t.Parallel()
	key := WithKey(bytes.Repeat([]byte{1}, 32))
	a := run(t, urlA, key)
	other := run(t, urlB, WithKey(bytes.Repeat([]byte{2}, 32)), WithJoin(a.Addr()))
	none := run(t, urlC, WithJoin(a.Addr()))
	await(t, []string{urlB}, other)
	await(t, []string{urlC}, none)
	b := run(t, urlB, key, WithJoin(a.Addr()))
	await(t, []string{urlA, urlB}, a, b)

	for _, p := range []*process{other, none} {
		p.leave(t)
		if len(p.views) > 0 {
			t.Errorf("%s: another view %q: want it to stay alone", p.self, <-p.views)
		}
		if log := p.log.String(); !strings.Contains(log, "nobody lets this process join") {
			t.Errorf("%s: the log lacks a warning:\n%s", p.self, log)
		}
	}
}

// A key is replaced in three deploys, at each moment of which the processes are one cluster.
func TestKeyIsReplaced(t *testing.T) {
	t.Parallel()
	before, after := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 32)
	steps := []Option{WithKey(before), WithKey(before, after), WithKey(after, before), WithKey(after)}
	for i, step := range steps[1:] {
		t.Run(fmt.Sprint("step ", i+1), func(t *testing.T) {
			t.Parallel()
			a := run(t, urlA, steps[i])
			b := run(t, urlB, step, WithJoin(a.Addr()))
			c := run(t, urlC, steps[i], WithJoin(b.Addr()))
			await(t, []string{urlA, urlB, urlC}, a, b, c)
		})
	}
}

// Without a key one warning says what that means, unless only this machine reaches the process.
func TestWithoutAKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []Option
		want int
	}{
		"all interfaces":            {[]Option{WithBind(":0"), WithAdvertise("127.0.0.1:0")}, 1},
		"all interfaces, and a key": {[]Option{WithBind(":0"), WithAdvertise("127.0.0.1:0"), WithKey(make([]byte, 32))}, 0},
		"loopback":                  {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := run(t, urlA, tt.opts...)
			p.leave(t)
			if log := p.log.String(); strings.Count(log, "want WithKey") != tt.want || strings.Count(log, "level=WARN") != tt.want {
				t.Errorf("the log is\n%s\nwant %d warnings that there is no key", log, tt.want)
			}
		})
	}
}

// Clusters of two names stay two, though one is told to join the other.
func TestCluster(t *testing.T) {
	t.Parallel()
	a := run(t, urlA, WithCluster("scores"))
	b := run(t, urlB, WithCluster("users"), WithJoin(a.Addr()))
	c := run(t, urlC, WithCluster("scores"), WithJoin(a.Addr()))
	await(t, []string{urlA, urlC}, a, c)
	await(t, []string{urlB}, b)
}

// What a member carries is passed on as it is, for the taker of the view to check.
func TestRubbish(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	rubbish := strings.Repeat("\xff\x00", memberlist.MetaMaxSize/2)
	startDoomed(t, rubbish, a.Addr())
	await(t, []string{urlA, rubbish}, a)
}

// A process that came back under another name is one peer, not two.
func TestSameURL(t *testing.T) {
	t.Parallel()
	a := run(t, urlA)
	b := run(t, urlB, WithName("b1"), WithJoin(a.Addr()))
	again := run(t, urlB, WithName("b2"), WithJoin(a.Addr()))
	await(t, []string{urlA, urlB}, a, b, again)
	b.leave(t)
	run(t, urlC, WithJoin(a.Addr())) // to see that a has the news
	await(t, []string{urlA, urlB, urlC}, a, again)
}

// Whom the process tries to join takes its connection, and is silent. The first
// view comes all the same, and so does the end.
func TestSilentAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	p := run(t, urlA, WithProfile(LAN), WithJoin(l.Addr().String()))
	await(t, []string{urlA}, p)
	if took := time.Since(start); took < firstJoin || took > 5*firstJoin {
		t.Errorf("the first view came after %v, want about %v", took, firstJoin)
	}
	start = time.Now()
	p.leave(t)
	if took := time.Since(start); took > longestLeave+time.Second {
		t.Errorf("it took %v to end, want at most %v", took, longestLeave)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		bind, self, want string
	}{
		{l.Addr().String(), urlA, "address already in use"},
		{"127.0.0.1:0", "", "want 1 to 512"},
		{"127.0.0.1:0", "http://" + strings.Repeat("a", 512), "want 1 to 512"},
		{"0.0.0.0:0", "http://[::1]:8001", "want both of one family"},
		{"[::]:0", "http://name:8001", "want WithAdvertise"},
	} {
		g, err := New(WithBind(test.bind))
		if err != nil {
			t.Fatal(err)
		}
		err = g.Run(t.Context(), test.self, func(discovery.View) { t.Error("a view before an error") })
		if err == nil || !strings.HasPrefix(err.Error(), "gossip: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %s: error %v: want %s", test.bind, test.self, err, test.want)
		}
	}

	p := run(t, urlA)
	if err := p.Run(t.Context(), urlA, nil); err == nil || !strings.Contains(err.Error(), "called before") {
		t.Errorf("a second Run: error %v, want one", err)
	}
}

// freeAddr returns an address of this machine that is free at this moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
