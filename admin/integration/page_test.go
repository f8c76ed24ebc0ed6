package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A peer that is killed is shown as down within two seconds, and one that is back as up.
func TestKilledPeerIsShown(t *testing.T) {
	cluster := newCluster(t, true)
	ctx, complaints := newBrowser(t, 1280, 900)
	first, last := cluster.Processes[0], cluster.Processes[2]
	run(t, ctx, chromedp.Navigate(first.Page))
	until(t, ctx, live)
	until(t, ctx, peerState(last.Name, "up"))
	do(t, ctx, `said = ""; new MutationObserver(() => said += document.getElementById("announce").textContent).observe(document.getElementById("announce"), {childList: true, characterData: true, subtree: true})`)
	const want = 2 * time.Second
	for try := 1; ; try++ {
		last.Kill()
		took := until(t, ctx, peerState(last.Name, "down", "trying"))
		t.Logf("it is shown after %v", took)
		until(t, ctx, `said.includes("the breaker of a peer has opened")`)
		if err := last.Revive(); err != nil {
			t.Fatal(err)
		}
		until(t, ctx, peerState(last.Name, "up"))
		if took <= want {
			break
		}
		if try == 3 { // the machine may be busy, but not each time
			t.Errorf("it is shown after %v: want at most %v", took, want)
			break
		}
	}
	until(t, ctx, `[...document.querySelectorAll("#events li")].some((e) => e.textContent.includes("breaker of a peer has closed"))`)
	complaints.check(t)
}

// The page says so if its process does not answer any more, and is live again when it does.
func TestLostConnectionIsShown(t *testing.T) {
	cluster := newCluster(t, false)
	ctx, _ := newBrowser(t, 1280, 900) // which complains, as it should
	run(t, ctx, chromedp.Navigate(cluster.Processes[0].Page))
	until(t, ctx, live)
	if err := cluster.Processes[0].ClosePage(); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.getElementById("connection").textContent.startsWith("connection lost")`)
}

// scheme makes the browser prefer light or dark.
func scheme(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	call(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// open opens or closes all that can be.
func open(t *testing.T, ctx context.Context, open bool) {
	t.Helper()
	do(t, ctx, fmt.Sprintf(`document.querySelectorAll("details").forEach((d) => d.open = %t)`, open))
}

// contrasts is an expression that lists the texts of the page that are hard to read: those whose
// contrast is less than 4.5 to 1, as WCAG wants it.
const contrasts = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility({opacityProperty: true}) || e.closest("noscript")) continue;
		const style = getComputedStyle(e), a = light(rgba(e instanceof SVGElement ? style.fill : style.color)), b = light(behind(e));
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (contrast < 4.5) bad.push(e.tagName + "." + e.className + " " + JSON.stringify(e.textContent.slice(0, 30)) + " " + contrast.toFixed(2));
	}
	return bad;
})()`

// The page is legible in light and dark, where all is well and where it is not.
func TestLightAndDark(t *testing.T) {
	cluster := newCluster(t, true)
	ctx, complaints := newBrowser(t, 1280, 900)
	cluster.Processes[1].Kill()
	log := cluster.Processes[0].Pool.Logger()
	log.Info("calm")
	log.Error("bad")
	run(t, ctx, chromedp.Navigate(cluster.Processes[0].Page+"?group=none&key=k"))
	until(t, ctx, live)
	until(t, ctx, peerState(cluster.Processes[1].Name, "down", "trying"))
	grounds := make(map[string]bool)
	for _, name := range []string{"light", "dark"} {
		scheme(t, ctx, name)
		open(t, ctx, true)
		grounds[eval[string](t, ctx, `getComputedStyle(document.body).backgroundColor`)] = true
		for _, bad := range eval[[]string](t, ctx, contrasts) {
			t.Errorf("%s: %s", name, bad)
		}
	}
	if len(grounds) != 2 {
		t.Errorf("the ground is %v: want another one in the dark", grounds)
	}
	complaints.check(t)
}

// On a phone nothing stands out to the right, whatever is open.
func TestOnAPhone(t *testing.T) {
	cluster := newCluster(t, true)
	ctx, complaints := newBrowser(t, 360, 740)
	run(t, ctx, chromedp.Navigate(cluster.Processes[0].Page+"?group=scores&key=player-0001"))
	until(t, ctx, live)
	for _, width := range []int64{320, 360, 768, 1024} {
		run(t, ctx, chromedp.EmulateViewport(width, 740))
		for _, all := range []bool{false, true} {
			open(t, ctx, all)
			if wide := eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > width {
				culprits := eval[[]string](t, ctx, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + "." + e.className).slice(0, 10)`)
				t.Errorf("at %d the page is %d wide, open %t: %q", width, wide, all, culprits)
			}
		}
	}
	complaints.check(t)
}

// A key is found by keyboard alone, the focus is seen all the way, and it is not lost when the page
// changes.
func TestByKeyboard(t *testing.T) {
	cluster := newCluster(t, true)
	ctx, complaints := newBrowser(t, 1280, 900)
	run(t, ctx, chromedp.Navigate(cluster.Processes[0].Page))
	until(t, ctx, live)
	reached := false
	for range 40 {
		run(t, ctx, chromedp.KeyEvent(kb.Tab))
		if ring := eval[string](t, ctx, `getComputedStyle(document.activeElement).outlineStyle`); ring == "none" {
			t.Errorf("%s does not show that it has the focus", eval[string](t, ctx, `document.activeElement.outerHTML.slice(0, 80)`))
		}
		if reached = eval[bool](t, ctx, `document.activeElement.name === "group" && document.activeElement.form.id === "find"`); reached {
			break
		}
	}
	if !reached {
		t.Fatal("40 times the Tab key do not lead to the form")
	}
	run(t, ctx, chromedp.KeyEvent("s"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("player-0001"), chromedp.KeyEvent(kb.Enter))
	until(t, ctx, `document.querySelector("#found .thekey")?.textContent === "player-0001" && /Owner\s*http/.test(document.querySelector("#found").textContent)`)
	if at := eval[string](t, ctx, `location.search`); at != "?group=scores&key=player-0001" {
		t.Errorf("the address has %q: want what was found, to be passed on", at)
	}
	// The focus is in a section that changes: it stays.
	run(t, ctx, chromedp.Focus(`#groups summary`), chromedp.KeyEvent(kb.Enter))
	was := eval[string](t, ctx, `document.querySelector("#status time").textContent`)
	until(t, ctx, fmt.Sprintf(`document.querySelector("#status time").textContent > %q`, was))
	if !eval[bool](t, ctx, `document.activeElement.matches("#groups summary") && document.activeElement.parentElement.open`) {
		t.Error("the page has changed, and the focus is lost, or what was open is closed")
	}
	complaints.check(t)
}

// Actions are done without loading the page again, and say what they have done.
func TestActions(t *testing.T) {
	cluster := newCluster(t, false)
	ctx, complaints := newBrowser(t, 1280, 900)
	p := cluster.Processes[0]
	if _, err := p.Scores.Get(t.Context(), "player-0001"); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, chromedp.Navigate(p.Page+"?group=scores&key=player-0001"))
	until(t, ctx, live)
	run(t, ctx, chromedp.Click(`#found button`))
	until(t, ctx, `document.querySelector("#notice .notice")?.textContent === "The key is removed everywhere."`)
	until(t, ctx, `[...document.querySelectorAll("#events li")].some((e) => e.textContent.includes("remove \"player-0001\""))`)
	drain := `form[action="api/v1/drain"]`
	open(t, ctx, true)
	run(t, ctx, chromedp.Click(drain+" button")) // not without the box
	if !eval[bool](t, ctx, `document.querySelector("#status .pill").classList.contains("up")`) {
		t.Error("it drains without the box that says yes")
	}
	run(t, ctx, chromedp.Click(drain+" input[type=checkbox]"), chromedp.Click(drain+" button"))
	until(t, ctx, `document.querySelector("#status .pill").textContent.includes("not ready")`)
	until(t, ctx, `document.querySelector("#notice .notice")?.textContent.startsWith("This process has left")`)
	complaints.check(t)
}

// Without scripts, the page shows the same, and its forms work.
func TestWithoutScripts(t *testing.T) {
	cluster := newCluster(t, false)
	ctx, complaints := newBrowser(t, 1280, 900)
	p := cluster.Processes[0]
	if _, err := p.Scores.Get(t.Context(), "player-0002"); err != nil {
		t.Fatal(err)
	}
	call(t, ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	run(t, ctx, chromedp.Navigate(p.Page))
	if rows := eval[int](t, ctx, `document.querySelectorAll("#peers tbody tr").length`); rows != 3 {
		t.Errorf("%d peers in the table: want 3", rows)
	}
	if said := eval[string](t, ctx, `document.getElementById("connection").innerText`); said != "Not live without scripts: load it again." {
		t.Errorf("it says %q: want that it is not live", said)
	}
	run(t, ctx, chromedp.SetValue(`#find select`, "scores"), chromedp.SendKeys(`#find input`, "player-0002"), chromedp.Click(`#find button`),
		chromedp.WaitVisible(`#found .thekey`), chromedp.Click(`#found button`), chromedp.WaitVisible(`#notice .notice`))
	if said := eval[string](t, ctx, `document.querySelector("#notice").innerText`); said != "The key is removed everywhere." {
		t.Errorf("it says %q: want that the key is removed", said)
	}
	complaints.check(t)
}

// All that can be used or looked at has a name for those who do not see it.
func TestNames(t *testing.T) {
	cluster := newCluster(t, true)
	ctx, complaints := newBrowser(t, 1280, 900)
	run(t, ctx, chromedp.Navigate(cluster.Processes[0].Page+"?group=scores&key=player-0001"))
	until(t, ctx, live)
	open(t, ctx, true)
	named := make(map[string]int)
	for _, n := range call(t, ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		role := text(n.Role)
		switch role {
		case "button", "textbox", "combobox", "checkbox", "link", "image", "img", "region", "heading", "columnheader", "rowheader", "DisclosureTriangle":
			if named[role]++; !n.Ignored && text(n.Name) == "" {
				t.Errorf("a %s without a name: node %d", role, n.BackendDOMNodeID)
			}
		}
	}
	if named["textbox"] != 1 || named["combobox"] != 2 || named["button"] < 4 || named["image"]+named["img"] < 5 || named["columnheader"] < 11 {
		t.Errorf("there are %v: want the forms, the charts and the table", named)
	}
	complaints.check(t)
}

// text returns the text of a value.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return string(v.Value)[1 : len(v.Value)-1] // in quotes
}
