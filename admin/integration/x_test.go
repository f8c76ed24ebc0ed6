package integration

import (
	_ "github.com/chromedp/cdproto/emulation"
	_ "github.com/chromedp/chromedp"
	_ "github.com/peercache/peercache/example/operations/show"
	"testing"
)

func TestX(t *testing.T) {}
