package prometheus

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Prometheus that scrapes a process with two groups answers queries about them, and all that the
// dashboard and the alerts ask for is there.
func TestPrometheusScrapes(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus: it is in Debian's package of that name")
	}
	p := cluster(t, 2)[0]
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(p.pool, p.scores, p.sessions))
	scraped := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	t.Cleanup(scraped.Close)
	for i := range 30 {
		p.scores.Get(t.Context(), fmt.Sprint(i))
	}
	server := startPrometheus(t, program, strings.TrimPrefix(scraped.URL, "http://"))

	want := fmt.Sprint(30)
	server.await(t, `peercache_gets_total{job="peercache",group="scores"}`, func(r []result) bool { return len(r) == 1 && r[0].value() == want })
	if r := server.query(t, `sum by (group) (peercache_gets_total)`); len(r) != 2 {
		t.Errorf("%d groups, want two: %v", len(r), r)
	}
	if r := server.query(t, `peercache_view_peers`); len(r) != 1 || r[0].value() != "2" {
		t.Errorf("the view: %v", r)
	}
	for _, expr := range dashboard(t) {
		server.query(t, expr)
		for _, s := range selectors(expr) {
			if len(server.query(t, s[0])) == 0 {
				t.Errorf("the dashboard asks for %s, and there is none", s[0])
			}
		}
	}
	for _, a := range alerts(t) {
		for _, s := range selectors(a.text) {
			if len(server.query(t, s[0])) == 0 {
				t.Errorf("%s asks for %s, and there is none", a.name, s[0])
			}
		}
	}
}

// prometheusServer is a Prometheus of the test's own.
type prometheusServer struct{ url string }

// startPrometheus starts a Prometheus that scrapes a target, on a port that is free.
func startPrometheus(t *testing.T, program, target string) prometheusServer {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"global": {"scrape_interval": "200ms", "evaluation_interval": "1s"}, "rule_files": [%q],
		"scrape_configs": [{"job_name": "peercache", "static_configs": [{"targets": [%q]}]}]}`, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, said := make(chan string, 1), make(chan string, 1)
	go func() {
		var all strings.Builder
		listening := regexp.MustCompile(`msg="Listening on".* address=(\S+)`)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
		}
		io.Copy(io.Discard, log) // what is too long for a line
		close(address)
		said <- all.String()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		text := <-said
		cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", text)
		}
	})
	select {
	case a, ok := <-address:
		if !ok {
			t.Fatal("Prometheus ended before it listened")
		}
		return prometheusServer{"http://" + a}
	case <-time.After(time.Minute):
		t.Fatal("Prometheus does not listen after a minute")
	}
	return prometheusServer{}
}

// result is one series of the answer to a query.
type result struct {
	Metric map[string]string
	Value  []any
}

// value returns the value as Prometheus writes it.
func (r result) value() string { return fmt.Sprint(r.Value[1]) }

// ask asks a query.
func (s prometheusServer) ask(query string) ([]result, error) {
	resp, err := http.Get(s.url + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []result }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("HTTP status %s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", query, answer.Error)
	}
	return answer.Data.Result, nil
}

// query asks a query that must be answered.
func (s prometheusServer) query(t *testing.T, query string) []result {
	t.Helper()
	r, err := s.ask(query)
	if err != nil {
		t.Error(err)
	}
	return r
}

// await asks a query until the answer is what is wanted: Prometheus scrapes when it wants to.
func (s prometheusServer) await(t *testing.T, query string, ok func([]result) bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for {
		r, err := s.ask(query)
		if err == nil && ok(r) {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: %v, %v", query, r, err)
		}
	}
}
