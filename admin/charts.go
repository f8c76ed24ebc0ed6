package admin

import (
	"fmt"
	"math"
	"strings"
)

// Charts are drawn here, so that they are there without scripts. A chart is mostPoints wide and 100
// high; the page stretches it.

// chart is one picture of the last 15 minutes.
type chart struct {
	Title string
	Now   string // the newest values, as text
	Top   string // what the upper end of the chart stands for
	Label string // for those who do not see it
	Lines []line
	// Texts has what stands for each point, from the oldest to the newest, separated by "|". The page
	// shows that of the point under the pointer.
	Texts string
}

// line is one line of a chart.
type line struct {
	Name string // the class of its style
	Path string // of an SVG; empty: there are no values
	Area string // below it
}

// curve is the values of one line. NaN stands for none.
type curve struct {
	name, title string
	values      []float64
}

// newChart draws curves, which are equally long. top is the value at the upper end; zero means what
// fits. format makes text of a value.
func newChart(title, of string, top float64, format func(float64) string, curves ...curve) chart {
	c := chart{Title: title}
	if top == 0 {
		for _, one := range curves {
			top = max(top, highest(one.values))
		}
		top = rounded(top)
	}
	c.Top = format(top)
	n := len(curves[0].values)
	texts := make([]string, n)
	for i := range n {
		texts[i] = textAt(curves, i, format)
	}
	c.Texts, c.Now = strings.Join(texts, "|"), "no values yet"
	if n > 0 {
		c.Now = texts[n-1]
	}
	for _, one := range curves {
		c.Lines = append(c.Lines, draw(one, top))
	}
	c.Label = fmt.Sprintf("%s of %s, last 15 minutes; now: %s; upper end: %s", title, of, c.Now, c.Top)
	return c
}

// textAt returns the values of curves at a point, as text.
func textAt(curves []curve, i int, format func(float64) string) string {
	var parts []string
	for _, one := range curves {
		text := "–"
		if v := one.values[i]; !math.IsNaN(v) {
			text = format(v)
		}
		parts = append(parts, strings.TrimSpace(one.title+" "+text))
	}
	return strings.Join(parts, " · ")
}

// highest returns the highest of values, at least 0.
func highest(values []float64) (top float64) {
	for _, v := range values {
		if v > top { // not NaN
			top = v
		}
	}
	return top
}

// rounded returns the least of 1, 2 or 5 times a power of ten that is no less than v.
func rounded(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range [...]float64{1, 2, 5, 10} {
		if n*unit >= v {
			return n * unit
		}
	}
	return 10 * unit
}

// draw draws a curve, the newest value at the right end.
func draw(c curve, top float64) line {
	var path, area strings.Builder
	first := -1.0 // the place where the present part of the line begins; less than 0: there is none
	end := func(last float64) {
		if first >= 0 {
			fmt.Fprintf(&area, "L%g 100L%g 100Z", last, first)
			first = -1
		}
	}
	for i, v := range c.values {
		x := float64(mostPoints - len(c.values) + i)
		if math.IsNaN(v) {
			end(x - 1)
			continue
		}
		y := 100 - 96*min(1, v/top)
		command := "L"
		if first < 0 {
			command, first = "M", x
		}
		fmt.Fprintf(&path, "%s%g %.1f", command, x, y)
		fmt.Fprintf(&area, "%s%g %.1f", command, x, y)
	}
	end(mostPoints - 1)
	return line{Name: c.name, Path: path.String(), Area: area.String()}
}

// arc is a peer's part of the ring, of a circle that is 100 round.
type arc struct {
	Class string
	Title string
	Dash  string // what is drawn, and what is not
	From  string // where it begins, negated
}

// arcs returns the parts of the ring, with a gap between two.
func arcs(peers []peerState) (all []arc) {
	at, gap := 0.0, 0.0
	if len(peers) > 1 {
		gap = min(0.8, 30/float64(len(peers)))
	}
	for i, p := range peers {
		part := 100 * p.Share
		if part > 0 {
			drawn := max(0.05, part-gap)
			all = append(all, arc{
				Class: hue(i) + " " + p.State, Title: fmt.Sprintf("%s: %s, %s", p.Peer, percent(p.Share), p.State),
				Dash: fmt.Sprintf("%.3f %.3f", drawn, 100-drawn), From: fmt.Sprintf("%.3f", -(at + gap/2)),
			})
		}
		at += part
	}
	return all
}

// hue returns the class of the colour of the i-th peer.
func hue(i int) string { return fmt.Sprint("hue", i%8) }
