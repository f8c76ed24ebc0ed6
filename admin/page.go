package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/peercache/peercache"
)

//go:embed assets
var embedded embed.FS

// pages has what the page is made of. All of it comes from this process, and is a file of its own, as
// the policy wants it.
type pages struct {
	templates *template.Template
	assets    map[string]asset
}

type asset struct {
	kind string // the media type
	tag  string // of its content
	text []byte
}

func newPages() (*pages, error) {
	t, err := template.New("page").Funcs(formats).ParseFS(embedded, "assets/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{t, make(map[string]asset)}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	return p, fs.WalkDir(embedded, "assets", func(name string, _ fs.DirEntry, err error) error {
		if kind, ok := kinds[path.Ext(name)]; ok && err == nil {
			text, err := embedded.ReadFile(name)
			sum := sha256.Sum256(text)
			p.assets[path.Base(name)] = asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, text}
			return err
		}
		return err
	})
}

func (p *pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", a.tag)
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(a.text)
}

// section is a part of the page that changes by itself. Its HTML is one element with its ID.
type section struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// The templates of the sections, which are also their IDs.
var sectionNames = [...]string{"status", "peers", "groups", "events"}

// sections returns all sections. All viewers are sent the same ones.
func (a *handler) sections() []section {
	a.renderMu.Lock()
	defer a.renderMu.Unlock()
	if a.rendered != nil && time.Since(a.renderedAt) < leastLive/2 {
		return a.rendered
	}
	v := a.view()
	all := make([]section, 0, len(sectionNames))
	for _, name := range sectionNames {
		var b bytes.Buffer
		if err := a.page.templates.ExecuteTemplate(&b, name, v); err != nil {
			continue // the template is at fault, and a test finds that
		}
		all = append(all, section{name, b.String()})
	}
	a.rendered, a.renderedAt = all, time.Now()
	return all
}

// pageView is what the page shows.
type pageView struct {
	Self, Cluster string
	Now           time.Time
	Ready         bool
	Why           string // it is not ready
	ReadOnly      bool

	View    string
	ViewAge time.Duration
	Peers   []peerState
	Arcs    []arc
	Away    int // peers that are not up

	Groups []groupView
	Events []eventView

	Notice *notice
	Key    keyView
}

// notice says what an action has done.
type notice struct {
	Text string
	Bad  bool
}

// keyView is what the form for keys shows.
type keyView struct {
	Group, Key string
	Found      *keyState
	Problem    string
}

type eventView struct {
	peercache.Event
	Kind string // info, warn or error
}

func (a *handler) view() *pageView {
	ring, err := a.pool.Ring(), a.ready()
	v := &pageView{
		Self: a.self, Cluster: a.pool.Identity().Cluster, Now: time.Now(), Ready: err == nil, ReadOnly: a.readOnly,
		View: viewText(ring.View), ViewAge: ring.Age, Peers: a.peers(ring),
	}
	if err != nil {
		v.Why = readiness(err)
	}
	v.Arcs = arcs(v.Peers)
	for _, p := range v.Peers {
		if p.State != stateUp {
			v.Away++
		}
	}
	points, _ := a.past.ofAll()
	for _, g := range a.pool.Groups() {
		v.Groups = append(v.Groups, newGroupView(g, points[g.Name()]))
	}
	for _, e := range slices.Backward(a.pool.Events()) {
		v.Events = append(v.Events, eventView{e, levelText(e.Level)})
	}
	return v
}

// servePage answers with the whole page, and where the key of the parameters lives.
func (a *handler) servePage(w http.ResponseWriter, r *http.Request) {
	var n notice
	form := r.URL.Query() // FormValue would read a body, of any size
	switch form.Get("done") {
	case doneRemoved:
		n.Text = "The key is removed everywhere."
	case doneCleared:
		n.Text = "The group is cleared everywhere."
	case doneDrained:
		n.Text = "This process has left its peers, and is not ready any more."
	}
	a.writePage(w, http.StatusOK, form.Get("group"), form.Get("key"), n)
}

func (a *handler) writePage(w http.ResponseWriter, status int, group, key string, n notice) {
	v := a.view()
	v.Key = keyView{Group: group, Key: key}
	if n.Text != "" {
		v.Notice = &n
	}
	if group != "" && key != "" {
		found, _, err := a.key(group, key)
		if v.Key.Found = found; err != nil {
			v.Key.Problem = err.Error()
		}
	}
	var b bytes.Buffer
	if err := a.page.templates.ExecuteTemplate(&b, "page.html", v); err != nil {
		a.pool.Logger().Error("the page cannot be made", "err", err)
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	io.Copy(w, &b)
}

// groupView is what the page shows of a group.
type groupView struct {
	Name    string
	Tiles   []figure // the most important figures, as text
	Charts  []chart
	Figures []figure
	Minutes []minute
}

// minute is what a group did in a minute.
type minute struct {
	Ago int
	point
}

func newGroupView(g *peercache.Group, points []point) groupView {
	s := g.Stats()
	v := groupView{Name: g.Name(), Figures: figuresOf(s).flat(""), Minutes: minutes(points)}
	ratio, p99 := "–", "–"
	if all := average(points); all.HitRatio >= 0 {
		ratio = percent(float64(all.HitRatio))
		if all.P99 >= 0 {
			p99 = seconds(float64(all.P99))
		}
	}
	v.Tiles = []figure{
		{"hit ratio, 15 min", ratio},
		{"slowest loads, 15 min", p99},
		{"values", count(s.Main.Items + s.Hot.Items)},
		{"memory", bytesText(s.Main.Bytes + s.Hot.Bytes)},
		{"evicted", count(s.Main.Evictions + s.Hot.Evictions)},
		{"failed loads", count(s.LoadErrors)},
	}
	v.Charts = []chart{
		newChart("Hit ratio", g.Name(), 1, percent, curve{"first", "", values(points, func(p *point) float32 { return p.HitRatio })}),
		newChart("Gets", g.Name(), 0, rate, curve{"first", "", values(points, func(p *point) float32 { return p.Gets })}),
		newChart("Loads", g.Name(), 0, rate,
			curve{"first", "all", values(points, func(p *point) float32 { return p.Loads })},
			curve{"second", "failed", values(points, func(p *point) float32 { return p.Errors })}),
		newChart("Load latency", g.Name(), 0, seconds,
			curve{"first", "p99", values(points, func(p *point) float32 { return p.P99 })},
			curve{"second", "p50", values(points, func(p *point) float32 { return p.P50 })}),
	}
	return v
}

// minutes returns the averages of the last minutes, the newest first.
func minutes(points []point) (all []minute) {
	const each = int(time.Minute / sampleEvery)
	for end := len(points); end > 0; end -= each {
		all = append(all, minute{len(all), average(points[max(0, end-each):end])})
	}
	return all
}

// average returns the averages of points, and the highest quantiles.
func average(points []point) point {
	p := point{HitRatio: -1, P50: -1, P99: -1}
	var hits float32
	for _, one := range points {
		n := float32(len(points))
		p.Gets, p.Loads, p.Errors = p.Gets+one.Gets/n, p.Loads+one.Loads/n, p.Errors+one.Errors/n
		hits += max(0, one.HitRatio) * one.Gets / n
		p.P50, p.P99 = max(p.P50, one.P50), max(p.P99, one.P99)
	}
	if p.Gets > 0 {
		p.HitRatio = hits / p.Gets
	}
	return p
}
