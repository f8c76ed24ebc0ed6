package admin

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"
)

// formats are the functions of the templates.
var formats = template.FuncMap{
	"percent": percent, "rate": rate, "seconds": seconds, "bytes": bytesText, "count": count,
	"hue":      hue,
	"length":   duration,
	"instant":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"float":    func(v float32) float64 { return float64(v) },
	"value":    valueText,
	"symbol":   func(state string) string { return symbols[state] },
	"positive": func(v float64) bool { return v > 0 },
}

// symbols tell states apart without colour.
var symbols = map[string]string{
	stateUp: "●", stateDown: "✕", stateTrying: "◐", stateMisconfigured: "▲", stateLeaving: "↗",
	"info": "●", "warn": "▲", "error": "✕",
}

// percent shows a part of 1.
func percent(v float64) string {
	switch {
	case v >= 1:
		return "100 %"
	case v >= 0.9995:
		return "99.9 %" // not yet all
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// rate shows what happens in a second.
func rate(v float64) string { return short(v) + "/s" }

// short shows a number in at most four digits.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 9.95:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	case v < 9999.5:
		return fmt.Sprintf("%.0f", v)
	case v < 999_950:
		return fmt.Sprintf("%.1fk", v/1e3)
	case v < 999_950_000:
		return fmt.Sprintf("%.1fM", v/1e6)
	}
	return fmt.Sprintf("%.1fG", v/1e9)
}

// count shows a number of things.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:] // a narrow space, which does not break
	}
	return text
}

// seconds shows a time in seconds with its unit.
func seconds(v float64) string { return duration(time.Duration(v * 1e9)) }

// duration shows a time with two or three digits.
func duration(d time.Duration) string {
	if d < 0 {
		return "-" + duration(-d)
	}
	switch {
	case d == 0:
		return "0 s"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return digits(float64(d)/1e3) + " µs"
	case d < time.Second:
		return digits(float64(d)/1e6) + " ms"
	case d < time.Minute:
		return digits(d.Seconds()) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// digits shows a number below 1000.
func digits(v float64) string {
	if v < 9.95 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// bytesText shows a number of bytes.
func bytesText(n int64) string {
	v := float64(n)
	for _, unit := range [...]string{"B", "KiB", "MiB", "GiB"} {
		if math.Abs(v) < 1023.5 {
			if unit == "B" {
				return fmt.Sprintf("%d B", n)
			}
			return digits(v) + " " + unit
		}
		v /= 1024
	}
	return digits(v) + " TiB"
}

// valueText shows a figure.
func valueText(v any) string {
	switch v := v.(type) {
	case int64:
		return count(v)
	case int:
		return count(int64(v))
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	return fmt.Sprint(v)
}
