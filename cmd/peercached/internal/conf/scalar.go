package conf

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Forever is how a duration without end is written.
const Forever = "forever"

// scalar writes one word to v.
func (d *Decoder) scalar(t *Tree, path string, v reflect.Value) {
	switch {
	case t.kind == null:
		d.failAt(t, path, "nothing: want %s, or leave the key out", Want(v.Type()))
		return
	case t.kind != scalar:
		d.failAt(t, path, "%s: want %s", t.kind, Want(v.Type()))
		return
	}
	if err := d.set(v, t.text); err != nil {
		d.failAt(t, path, "%v", err)
	}
}

var durationType = reflect.TypeFor[time.Duration]()

// set parses a word.
func (d *Decoder) set(v reflect.Value, text string) error {
	wrong := func() error { return fmt.Errorf("%q: want %s", text, Want(v.Type())) }
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		n, err := parseDuration(text)
		if err == nil && n < 0 && !d.foreign {
			err = fmt.Errorf("%q: want at least 0", text)
		}
		if err == nil {
			v.SetInt(int64(n))
		}
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return wrong()
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, bits(v))
		if err != nil {
			return wrong()
		}
		v.SetInt(n)
	case reflect.Uint16:
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return wrong()
		}
		v.SetUint(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return wrong()
		}
		v.SetFloat(n)
	}
	return nil
}

// parseDuration reads a duration.
func parseDuration(text string) (time.Duration, error) {
	if text == Forever {
		return math.MaxInt64, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && strings.Trim(text, "0") != "" {
		return 0, fmt.Errorf("%q has no unit: want %ss for seconds, or another of ms, s, m, h", text, text)
	}
	n, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q: want %s", text, Want(durationType))
	}
	return n, nil
}

// FormatDuration writes a duration as people do: 1m, not 1m0s.
func FormatDuration(d time.Duration) string {
	if d == math.MaxInt64 {
		return Forever
	}
	s := d.String()
	for _, tail := range [][2]string{{"m0s", "m"}, {"h0m", "h"}} {
		if short, ok := strings.CutSuffix(s, tail[0]); ok {
			s = short + tail[1]
		}
	}
	return s
}

// wanter says what its values look like.
type wanter interface{ Want() string }

// Want says what the values of a type look like.
func Want(typ reflect.Type) string {
	if w, ok := reflect.Zero(typ).Interface().(wanter); ok {
		return w.Want()
	}
	switch {
	case typ == durationType:
		return "a duration, such as 500ms, 10s, 1m30s or 24h, or forever"
	case typ.Name() == "Bytes":
		return "a size, such as 64MiB, 1GB or 4096"
	case typ.Name() == "Prefix":
		return "a network, such as 10.0.0.0/8"
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint16:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}
