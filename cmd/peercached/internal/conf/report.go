package conf

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Section is a part of the file whose keys are known to others: Decode writes it to their struct.
type Section struct {
	tree *Tree
	path string
	d    *Decoder
	into any // what it was decoded to last, to print it
}

// Decode writes the section to what into points to, a struct with yaml tags. Its error is what is
// wrong with it; the Decoder has that too.
func (s *Section) Decode(into any) error {
	before := len(s.d.Problems)
	s.into = into
	s.d.foreign = true
	defer func() { s.d.foreign = false }()
	s.d.value(s.tree, s.path, reflect.ValueOf(into).Elem())
	if len(s.d.Problems) > before {
		return slices.Clone(s.d.Problems[before:])
	}
	return nil
}

// Unused records each flag that is no key, and returns what is to be said of variables that are none.
func (d *Decoder) Unused() (warnings []string) {
	for _, flag := range slices.Sorted(maps.Keys(d.over.Flags)) {
		if !d.usedFlags[flag] {
			text := "no such key"
			if near := nearestPath(flag, d.names, "--"); near != "" {
				text += ": " + near
			}
			d.Problems = append(d.Problems, Problem{At: Source("--" + flag), Text: text})
		}
	}
	var known []string
	for _, n := range d.names {
		known = append(known, EnvName(n))
	}
	for _, name := range slices.Sorted(maps.Keys(d.over.Env)) {
		if d.usedEnv[name] || ofKubernetes(name) {
			continue
		}
		text := name + " is the variable of no key"
		if near := Nearest(name, known); near != "" {
			text += ": did you mean " + near + "?"
		}
		warnings = append(warnings, text)
	}
	return warnings
}

// ofKubernetes reports whether a variable is one that Kubernetes sets for a service whose name
// begins with peercached: PEERCACHED_PORT_8001_TCP_ADDR.
func ofKubernetes(name string) bool {
	for _, part := range []string{"_SERVICE_HOST", "_SERVICE_PORT", "_PORT"} {
		if i := strings.LastIndex(name, part); i >= 0 {
			rest := name[i+len(part):]
			if rest == "" || rest[0] == '_' {
				return true
			}
		}
	}
	return false
}

// bits returns the size of a number's type, for strconv.
func bits(v reflect.Value) int {
	if v.Kind() == reflect.Int {
		return strconv.IntSize
	}
	return v.Type().Bits()
}

// HasBelow reports whether a key of a section is set.
func (d *Decoder) HasBelow(path string) bool {
	for at := range d.at {
		if strings.HasPrefix(at, path+".") {
			return true
		}
	}
	return false
}

// Sorted returns the problems in the order of the file, then those of flags and variables.
func (d *Decoder) Sorted() Problems {
	all := slices.Clone(d.Problems)
	slices.SortStableFunc(all, func(a, b Problem) int { return comparePlaces(a.At, b.At) })
	return slices.Compact(all)
}

// comparePlaces orders places by their lines and columns.
func comparePlaces(a, b Source) int {
	lineA, colA, okA := place(a)
	lineB, colB, okB := place(b)
	switch {
	case okA && okB:
		return cmp.Or(cmp.Compare(lineA, lineB), cmp.Compare(colA, colB))
	case okA:
		return -1
	case okB:
		return 1
	}
	return cmp.Compare(a, b)
}

// place returns the line and the column of a place in a file.
func place(s Source) (line, col int, ok bool) {
	parts := strings.Split(string(s), ":")
	if len(parts) < 3 {
		return 0, 0, false
	}
	line, err1 := strconv.Atoi(parts[len(parts)-2])
	col, err2 := strconv.Atoi(parts[len(parts)-1])
	return line, col, err1 == nil && err2 == nil
}
