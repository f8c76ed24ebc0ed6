package admin

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Charts are drawn here, so that they are there without scripts. The page stretches them.

// fewestPoints is how many points a chart has room for at least: two minutes.
const fewestPoints = 24

// chart is one picture of the last 15 minutes.
type chart struct {
	Title string
	Now   string // the newest values, as text
	Top   string // what the upper end of the chart stands for
	Label string // for those who do not see it
	Lines []line
	Width int    // of the SVG, whose height is 100: the time of Since in points
	Since string // how long ago the left end is
	Span  int    // the same in seconds
	// Texts has what stands for each point, from the oldest to the newest, separated by "|". The page
	// shows that of the point under the pointer.
	Texts string
}

// line is one line of a chart.
type line struct {
	Name  string // the class of its style
	Title string // what it shows; empty: what the chart does
	Path  string // of an SVG; empty: there are no values
	Area  string // below it
}

// curve is the values of one line. NaN stands for none.
type curve struct {
	name, title string
	values      []float64
}

// newChart draws curves, which are equally long. top is the value at the upper end; zero means what
// fits. format makes text of a value.
func newChart(title, of string, top float64, format func(float64) string, curves ...curve) chart {
	n := len(curves[0].values)
	c := chart{Title: title, Width: min(mostPoints, max(fewestPoints, n)) - 1}
	c.Span = c.Width * int(sampleEvery/time.Second)
	c.Since = fmt.Sprintf("%d min ago", (c.Span+59)/60)
	if top == 0 {
		for _, one := range curves {
			top = max(top, highest(one.values))
		}
		top = rounded(top)
	}
	c.Top = format(top)
	texts := make([]string, n)
	for i := range n {
		texts[i] = textAt(curves, i, format)
	}
	c.Texts, c.Now = strings.Join(texts, "|"), "no values yet"
	if n > 0 {
		c.Now = texts[n-1]
	}
	for _, one := range curves {
		c.Lines = append(c.Lines, draw(one, top, c.Width))
	}
	var names []string
	for _, one := range curves {
		names = append(names, one.title)
	}
	c.Label = fmt.Sprintf("%s (%s) of %s since %s; now: %s; upper end: %s", title, strings.Join(names, ", "), of, c.Since, c.Now, c.Top)
	c.Label = strings.Replace(c.Label, " ()", "", 1)
	return c
}

// textAt returns the values of curves at a point, as text, in the order of the legend.
func textAt(curves []curve, i int, format func(float64) string) string {
	var parts []string
	for _, one := range curves {
		text := "–"
		if v := one.values[i]; !math.IsNaN(v) {
			text = format(v)
		}
		parts = append(parts, text)
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

// rounded returns a round number that is no less than v, and less than one and a half times as much.
func rounded(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range [...]float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		if n*unit >= v {
			return n * unit
		}
	}
	return 10 * unit
}

// draw draws a curve, the newest value at the right end.
func draw(c curve, top float64, width int) line {
	var path, area strings.Builder
	first := -1.0 // the place where the present part of the line begins; less than 0: there is none
	end := func(last float64) {
		if first >= 0 {
			fmt.Fprintf(&area, "L%g 100L%g 100Z", last, first)
			first = -1
		}
	}
	for i, v := range c.values {
		x := float64(width + 1 - len(c.values) + i)
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
	end(float64(width))
	return line{Name: c.name, Title: c.title, Path: path.String(), Area: area.String()}
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
