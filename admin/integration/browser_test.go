package integration

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/peercache/peercache/admin"
	"github.com/peercache/peercache/example/operations/show"
)

// newCluster starts three processes with pages, and users if wanted.
func newCluster(t *testing.T, users bool, opts ...admin.Option) *show.Cluster {
	t.Helper()
	cluster, err := show.Start(show.Config{Processes: 3, Admin: opts})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var playing sync.WaitGroup
	if users {
		playing.Go(func() { cluster.Play(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		playing.Wait()
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// complaints are what the browser does not like: errors and warnings of scripts, of the policy, of
// files that cannot be loaded.
type complaints struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, text)
}

// check fails the test for each complaint.
func (c *complaints) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.all {
		t.Errorf("the browser complains: %s", text)
	}
	c.all = nil
}

// newBrowser starts a browser with one tab of a size. The test is skipped where there is none.
func newBrowser(t *testing.T, width, height int) (context.Context, *complaints) {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("there is no chromium here: want Debian's package of that name")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(width, height), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	var c complaints
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if thrown := e.ExceptionDetails.Exception; thrown != nil {
				text += " " + thrown.Description
			}
			c.add(text)
		case *runtime.EventConsoleAPICalled:
			c.add(fmt.Sprintf("console.%s with %d arguments", e.Type, len(e.Args)))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				c.add(fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
			}
		}
	})
	if err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	call(t, ctx, log.Enable, cdp.Empty{})
	run(t, ctx, chromedp.EmulateViewport(int64(width), int64(height)))
	return ctx, &c
}

// run does things in the browser.
func run(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// call calls the browser's own protocol.
func call[P, R any](t *testing.T, ctx context.Context, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// do runs a script in the page.
func do(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	run(t, ctx, chromedp.Evaluate[chromedp.Void](script))
}

// eval returns what an expression is in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until waits until an expression is true in the page, and returns how long that took.
func until(t *testing.T, ctx context.Context, expression string) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !eval[bool](t, ctx, "!!("+expression+")") {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("it does not come that %s", expression)
		}
		<-tick.C
	}
	return time.Since(start)
}

// live waits until the page says that it is live.
const live = `document.getElementById("connection").textContent === "live"`

// peerState is an expression that is true if the page says that a peer is in one of the states.
func peerState(name string, states ...string) string {
	return fmt.Sprintf(`["%s"].includes(document.querySelector('tr[data-peer="%s"]')?.dataset.state)`, strings.Join(states, `","`), name)
}
