package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// watch reads the live events of p until test ends, and sends name and data of each.
func watch(t *testing.T, p *process) <-chan [2]string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.admin.URL+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	events := make(chan [2]string, 100)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 4<<20)
		name := ""
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = rest
			}
			if rest, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- [2]string{name, rest}
			}
		}
	}()
	return events
}

// A viewer is sent all sections, and of a warning at once, to be read out.
func TestLive(t *testing.T) {
	p := newProcesses(t, 1)[0]
	events := watch(t, p)
	seen := make(map[string]bool)
	warned := false
	limit := time.After(20 * time.Second)
	for said := false; !said; {
		select {
		case e := <-events:
			switch e[0] {
			case "section":
				var s struct{ ID, HTML string }
				if err := json.Unmarshal([]byte(e[1]), &s); err != nil || !strings.Contains(s.HTML, `id="`+s.ID+`"`) {
					t.Fatalf("a section %q: %v", e[1], err)
				}
				seen[s.ID] = true
			case "say":
				said = strings.Contains(e[1], "warn: something odd, peer a")
			}
		case <-limit:
			t.Fatal("the warning did not come")
		}
		if len(seen) == 4 && !warned {
			warned = true
			p.pool.Logger().Warn("something odd", "peer", "a")
		}
	}
}

// The end of the server ends the live pages, so that its Shutdown does not wait for them.
func TestLiveEndsWithTheServer(t *testing.T) {
	p := newProcesses(t, 1)[0]
	events := watch(t, p)
	<-events
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.admin.Config.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown waits for the live page: %v", err)
	}
	for range events { // until it ends
	}
}

// There are so many live pages, and no more.
func TestLiveIsBounded(t *testing.T) {
	p := newProcesses(t, 1)[0]
	for range 32 {
		<-watch(t, p)
	}
	if a := p.ask(t, "GET", "/api/v1/live", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("the 33rd viewer: status %d, want 503", a.status)
	}
}
