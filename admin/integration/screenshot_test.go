package integration

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	screenshot = flag.String("screenshot", "", "the folder for pictures of the page, such as ../../docs; empty: take none")
	playFor    = flag.Duration("play", 4*time.Minute, "how long users play before -screenshot")
)

// TestScreenshot takes the pictures of the documentation.
func TestScreenshot(t *testing.T) {
	if *screenshot == "" {
		t.Skip("it is asked for with -screenshot")
	}
	cluster := newCluster(t, true)
	first, last := cluster.Processes[0], cluster.Processes[2]
	time.Sleep(*playFor * 3 / 4)
	last.Kill()
	time.Sleep(*playFor / 24)
	if err := last.Revive(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(*playFor / 5)
	ctx, complaints := newBrowser(t, 1280, 1340)
	run(t, ctx, chromedp.Navigate(first.Page+"?group=scores&key=player-0008"))
	until(t, ctx, live)
	for name, file := range map[string]string{"light": "admin.png", "dark": "admin-dark.png"} {
		scheme(t, ctx, name)
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*screenshot, file), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	complaints.check(t)
}
