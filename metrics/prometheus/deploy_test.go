package prometheus

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/metrics"
)

const alertsFile, dashboardFile = "deploy/alerts.yaml", "deploy/dashboard.json"

// alert is a rule of alertsFile.
type alert struct {
	name, severity string
	text           string // of the rule
	annotations    map[string]string
}

// alerts reads alertsFile, whose annotations have one line each.
func alerts(t testing.TB) (all []alert) {
	t.Helper()
	for _, rule := range strings.Split(read(t, alertsFile), "- alert: ")[1:] {
		a := alert{text: rule, annotations: make(map[string]string)}
		a.name, _, _ = strings.Cut(rule, "\n")
		a.severity = regexp.MustCompile(`severity: (\w+)`).FindStringSubmatch(rule)[1]
		for _, m := range regexp.MustCompile(`(summary|description|runbook_url): (.*)`).FindAllStringSubmatch(rule, -1) {
			a.annotations[m[1]] = m[2]
		}
		all = append(all, a)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts: want those that there were", len(all))
	}
	return all
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dashboard returns the expressions of dashboardFile, with values for its variables.
func dashboard(t testing.TB) (exprs []string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	vars := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$group", ".*")
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			exprs = append(exprs, vars.Replace(target.Expr))
		}
	}
	if len(exprs) < 40 {
		t.Fatalf("%d expressions: want those that there were", len(exprs))
	}
	return exprs
}

var (
	selector  = regexp.MustCompile(`\b(peercache_\w+)(\{[^}]*\})?`)
	labelName = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
)

// selectors returns the selectors of some text, such as peercache_hits_total{cache="main"}.
func selectors(text string) [][]string { return selector.FindAllStringSubmatch(text, -1) }

// The dashboard and the alerts name metrics and labels that there are, and the dashboard shows all of
// them but those of each peer.
func TestMetricsOfDashboardAndAlertsExist(t *testing.T) {
	labels := make(map[string][]string) // by the name that is queried
	for _, f := range metrics.Figures() {
		name := f.PrometheusName()
		if f.Kind != metrics.Distribution {
			labels[name] = f.Labels
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			labels[name+part] = f.Labels
		}
	}
	check := func(where, text string) {
		for _, s := range selectors(text) {
			known, ok := labels[s[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, s[1])
			}
			for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
				if l[1] != "job" && l[1] != "instance" && !slices.Contains(known, l[1]) {
					t.Errorf("%s: %s has no label %s", where, s[1], l[1])
				}
			}
		}
	}
	for _, a := range alerts(t) {
		if len(selectors(a.text)) == 0 {
			t.Errorf("the alert %s names no metric", a.name)
		}
		check(a.name, a.text)
	}
	all := strings.Join(dashboard(t), "\n")
	check("the dashboard", all)
	for _, f := range metrics.Figures() {
		if !regexp.MustCompile(`\b` + f.PrometheusName() + `(_bucket)?\b`).MatchString(all) {
			t.Errorf("the dashboard does not show %s", f.PrometheusName())
		}
	}
}

// Each alert has its section in docs/operations.md, and each of those is an alert.
func TestRunbooks(t *testing.T) {
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^### (Peercache\w+)$`).FindAllStringSubmatch(read(t, "../../docs/operations.md"), -1) {
		sections = append(sections, m[1])
	}
	for _, a := range alerts(t) {
		if !slices.Contains(sections, a.name) {
			t.Errorf("docs/operations.md does not say what to do about %s", a.name)
		}
		if url := a.annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/operations.md#"+strings.ToLower(a.name)) {
			t.Errorf("%s has the runbook %q", a.name, url)
		}
		if a.annotations["summary"] == "" {
			t.Errorf("%s has no summary", a.name)
		}
		sections = slices.DeleteFunc(sections, func(name string) bool { return name == a.name })
	}
	if len(sections) > 0 {
		t.Errorf("docs/operations.md has sections of alerts that there are not: %q", sections)
	}
}

// promtool runs Debian's promtool on a file, which has a text in place of that of a test.
func promtool(t *testing.T, text []byte, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool: it is in Debian's package prometheus")
	}
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "ALERTS", rules)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, append(args, file)...).CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

type object = map[string]any

// The expressions of the dashboard and of the alerts are Prometheus'.
func TestExpressionsParse(t *testing.T) {
	promtool(t, []byte(read(t, alertsFile)), "check", "rules")
	var rules []object
	for i, expr := range dashboard(t) {
		rules = append(rules, object{"record": fmt.Sprint("expr:", i), "expr": expr})
	}
	text, err := json.Marshal(object{"groups": []object{{"name": "dashboard", "rules": rules}}}) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, text, "check", "rules")
}

// situation is a time, and what was scraped until then, once a minute. What has no labels of its own
// is of the process a.
type situation struct {
	minute int
	series map[string]string
}

// alertCase is a situation in which an alert fires, with some labels, and one in which it does not.
type alertCase struct {
	name   string
	labels object
	fires  situation
	quiet  situation
}

// ofProcess and ofGroup are the labels of an alert.
var (
	ofProcess = object{"job": "p", "instance": "a"}
	ofGroup   = object{"job": "p", "group": "g"}
	ofBoth    = object{"job": "p", "instance": "a", "group": "g"}
)

// gauge is a situation of one figure.
func gauge(minute int, series, values string) situation {
	return situation{minute, map[string]string{series: values}}
}

var alertCases = []alertCase{
	{"PeercacheChangeIncomplete", ofBoth,
		situation{5, map[string]string{`peercache_removes_total{group="g",result="incomplete"}`: "0x3 1x30", `peercache_sets_total{group="g",result="incomplete"}`: "0x30", `peercache_clears_total{group="g",result="incomplete"}`: "0x30"}},
		situation{20, map[string]string{`peercache_removes_total{group="g",result="incomplete"}`: "0x3 1x30", `peercache_removes_total{group="g",result="ok"}`: "0+9x30", `peercache_sets_total{group="g",result="incomplete"}`: "0x30", `peercache_clears_total{group="g",result="incomplete"}`: "0x30"}}},
	{"PeercacheChangeIncomplete", ofBoth,
		situation{5, map[string]string{`peercache_removes_total{group="g",result="incomplete"}`: "0x30", `peercache_sets_total{group="g",result="incomplete"}`: "0x30", `peercache_clears_total{group="g",result="incomplete"}`: "0x3 1x30"}},
		situation{5, map[string]string{`peercache_removes_total{group="g",result="incomplete"}`: "7x30", `peercache_sets_total{group="g",result="incomplete"}`: "0x30", `peercache_clears_total{group="g",result="incomplete"}`: "0x30"}}},
	{"PeercacheViewsDiffer", ofProcess, gauge(5, "peercache_peers_disagreeing", "1x30"), gauge(5, "peercache_peers_disagreeing", "0 0 0 0 1 1 0x9")},
	{"PeercacheViewTooSmall", ofProcess,
		situation{10, map[string]string{"peercache_view_peers": "1x30", `peercache_view_peers{job="p",instance="b"}`: "2x30"}},
		situation{10, map[string]string{"peercache_view_peers": "2x30", `peercache_view_peers{job="p",instance="b"}`: "2x30", `peercache_view_peers{job="q",instance="c"}`: "1x30"}}},
	{"PeercacheLapsed", ofProcess, gauge(5, "peercache_lapsed", "0 1x30"), gauge(5, "peercache_lapsed", "0x30")},
	{"PeercacheMisconfigured", ofProcess, gauge(5, "peercache_peers_misconfigured", "2x30"), gauge(5, "peercache_peers_misconfigured", "0x30")},
	{"PeercacheMisconfigured", ofProcess, gauge(5, "peercache_own_address_wrong", "1x30"), gauge(5, "peercache_own_address_wrong", "0x30")},
	{"PeercacheRefusals", object{"job": "p", "instance": "a", "reason": "unauthorized"},
		gauge(30, `peercache_refusals_total{reason="unauthorized"}`, "0+6x60"),
		situation{30, map[string]string{`peercache_refusals_total{reason="unauthorized"}`: "0x5 100x60", `peercache_refusals_total{reason="unauthenticated"}`: "0+1x60"}}},
	{"PeercacheIsolated", ofProcess,
		situation{5, map[string]string{"peercache_peers_failing": "2x30", "peercache_view_peers": "4x30"}},
		situation{5, map[string]string{"peercache_peers_failing": "1x30", "peercache_view_peers": "4x30", `peercache_peers_failing{job="p",instance="b"}`: "0x30", `peercache_view_peers{job="p",instance="b"}`: "1x30"}}},
	{"PeercachePeersFailing", ofProcess, gauge(10, "peercache_peers_failing", "1x30"), gauge(10, "peercache_peers_failing", "1 1 1 0x30")},
	{"PeercacheNotReady", ofProcess, gauge(15, "peercache_ready", "0x30"), gauge(15, "peercache_ready", "0 0 0 1x30")},
	{"PeercacheViewsChange", ofProcess, gauge(45, "peercache_view_changes_total", "0+1x60"), gauge(45, "peercache_view_changes_total", "0+1x20 21x60")},
	{"PeercacheLoadsFail", ofGroup,
		situation{15, map[string]string{`peercache_load_failures_total{group="g",reason="error"}`: "0+6x30", `peercache_loads_total{group="g"}`: "0+60x30"}},
		situation{15, map[string]string{`peercache_load_failures_total{group="g",reason="error"}`: "0+1x30", `peercache_load_failures_total{group="g",reason="not_found"}`: "0+50x30", `peercache_loads_total{group="g"}`: "0+60x30"}}},
	{"PeercacheLoadsSlow", ofGroup, loadTimes("0x30", "0+60x30"), loadTimes("0+60x30", "0+60x30")},
	{"PeercacheHitRatioDropped", ofGroup,
		situation{1740, map[string]string{`peercache_hits_total{group="g",cache="main"}`: "0+70x1500 105000+20x300", `peercache_gets_total{group="g"}`: "0+100x1800"}},
		situation{1740, map[string]string{`peercache_hits_total{group="g",cache="main"}`: "0+70x1500 105000+60x300", `peercache_gets_total{group="g"}`: "0+100x1800"}}},
	{"PeercacheCacheTooSmall", object{"job": "p", "instance": "a", "group": "g", "cache": "main"},
		gauge(90, `peercache_cache_youngest_evicted_age_seconds{group="g",cache="main"}`, "30x120"),
		situation{90, map[string]string{`peercache_cache_youngest_evicted_age_seconds{group="g",cache="main"}`: "0x120", `peercache_cache_youngest_evicted_age_seconds{group="g",cache="hot"}`: "30x120", `peercache_cache_youngest_evicted_age_seconds{group="h",cache="main"}`: "600x120"}}},
	{"PeercachePlainWay", ofProcess,
		situation{30, map[string]string{"peercache_plain_requests_total": "0+60x60", "peercache_peer_requests_total": "0+60x60"}},
		situation{30, map[string]string{"peercache_plain_requests_total": "0+6x60", "peercache_peer_requests_total": "0+60x60"}}},
	{"PeercachePanics", ofBoth, gauge(5, `peercache_panics_total{group="g"}`, "0x3 1x30"), gauge(25, `peercache_panics_total{group="g"}`, "0x3 1x30")},
}

// loadTimes is a situation with loads that took up to a tenth of a second, and up to two.
func loadTimes(short, long string) situation {
	const name = `peercache_load_duration_seconds_bucket{group="g",le="%s"}`
	return situation{30, map[string]string{fmt.Sprintf(name, "0.067108864"): short, fmt.Sprintf(name, "2.147483648"): long, fmt.Sprintf(name, "+Inf"): long}}
}

// Each alert fires when it should, and does not when it should not.
func TestAlertsFire(t *testing.T) {
	var tests []object
	for _, a := range alerts(t) {
		n := 0
		for _, c := range alertCases {
			if c.name != a.name {
				continue
			}
			n++
			labels := object{"severity": a.severity}
			for name, value := range c.labels {
				labels[name] = value
			}
			tests = append(tests,
				c.test(c.fires, []object{{"exp_labels": labels, "exp_annotations": a.annotations}}),
				c.test(c.quiet, []object{}))
		}
		if n == 0 {
			t.Errorf("there is no case of %s", a.name)
		}
	}
	text, err := json.Marshal(object{"rule_files": []string{"ALERTS"}, "evaluation_interval": "1m", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, text, "test", "rules")
}

// test returns a test of promtool.
func (c alertCase) test(s situation, want []object) object {
	var series []object
	for name, values := range s.series {
		switch bare, labels, ok := strings.Cut(name, "{"); {
		case !ok:
			name = bare + `{job="p",instance="a"}`
		case !strings.HasPrefix(labels, "job"):
			name = bare + `{job="p",instance="a",` + labels
		}
		series = append(series, object{"series": name, "values": values})
	}
	return object{
		"interval": "1m", "input_series": series,
		"alert_rule_test": []object{{"eval_time": fmt.Sprintf("%dm", s.minute), "alertname": c.name, "exp_alerts": want}},
	}
}
