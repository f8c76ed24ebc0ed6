package conf

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is a key whose value differs between two configurations.
type Change struct {
	Path   string
	Reload bool // a running program can change it
}

// Diff returns the keys that differ, in the order of their paths.
func Diff(before, after any) (all []Change) {
	a, b := leavesOf(before), leavesOf(after)
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if old, ok := a[path]; !ok || !reflect.DeepEqual(old.value, b[path].value) {
			all = append(all, Change{path, b[path].reload})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[path]; !ok {
			all = append(all, Change{path, a[path].reload})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// leaf is the value of a key that has no keys itself.
type leaf struct {
	value  any
	reload bool
}

func leavesOf(config any) map[string]leaf {
	all := leaves{}
	all.section(reflect.ValueOf(config).Elem(), "", false)
	return all
}

type leaves map[string]leaf

func (l leaves) section(v reflect.Value, path string, reload bool) {
	for _, k := range fieldsOf(v.Type()) {
		l.add(v.FieldByIndex(k.index), join(path, k.name), reload || k.tag.Get("reload") == "yes")
	}
}

func (l leaves) add(v reflect.Value, path string, reload bool) {
	if v.Type() == sectionType {
		if s := v.Interface().(*Section); s != nil {
			l[path] = leaf{s.into, reload}
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch {
	case isScalar(v.Type()):
		l[path] = leaf{v.Interface(), reload}
	case v.Kind() == reflect.Struct:
		l.section(v, path, reload)
	case v.Kind() == reflect.Slice && !isScalar(v.Type().Elem()):
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			if name := v.Index(i).FieldByName("Name"); name.IsValid() {
				at = join(path, name.String())
			}
			l.add(v.Index(i), at, reload)
		}
	case v.Kind() == reflect.Map:
		for _, name := range v.MapKeys() {
			l.add(v.MapIndex(name), join(path, name.String()), reload)
		}
	default:
		l[path] = leaf{v.Interface(), reload}
	}
}
