package conf

import (
	"reflect"
	"strings"
)

// key is a field of a struct that is a key.
type key struct {
	name  string
	index []int
	typ   reflect.Type
	tag   reflect.StructTag
}

// fieldsOf returns the keys of a struct.
func fieldsOf(typ reflect.Type) (keys []key) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct && name == "":
			for _, k := range fieldsOf(f.Type) {
				k.index = append([]int{i}, k.index...)
				keys = append(keys, k)
			}
		case f.IsExported() && name != "-":
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			keys = append(keys, key{name, f.Index, f.Type, f.Tag})
		}
	}
	return keys
}

// names returns the names of keys.
func names(keys []key) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.name
	}
	return all
}

// shortField returns the field that a scalar in place of the section means.
func shortField(typ reflect.Type) (f reflect.StructField, ok bool) {
	if typ.Kind() != reflect.Struct {
		return f, false
	}
	for i := range typ.NumField() {
		if f = typ.Field(i); strings.HasSuffix(f.Tag.Get("yaml"), ",short") {
			return f, true
		}
	}
	return f, false
}

// Key says what there is to know of one key.
type Key struct {
	Path    string // with NAME for the name of a group
	Help    string
	Want    string // what its values look like
	Default string // or what happens if it is not set
	Reload  bool   // a running program can change it
	Section bool   // it has keys, which come next
}

// Keys returns all keys of a struct, with the defaults that it holds.
func Keys(config any) []Key {
	return keysOf(reflect.ValueOf(config).Elem(), "", false)
}

func keysOf(v reflect.Value, path string, reload bool) (all []Key) {
	for _, k := range fieldsOf(v.Type()) {
		f := v.FieldByIndex(k.index)
		one := Key{Path: join(path, k.name), Help: k.tag.Get("help"), Want: k.tag.Get("want"),
			Default: k.tag.Get("unset"), Reload: reload || k.tag.Get("reload") == "yes"}
		if inner, at, ok := within(f, one.Path); ok {
			one.Section = true
			all = append(all, one)
			all = append(all, keysOf(inner, at, one.Reload)...)
			continue
		}
		if one.Want == "" {
			one.Want = wantOf(f.Type())
		}
		if text := text(f); one.Default == "" || !f.IsZero() {
			one.Default = text
		}
		all = append(all, one)
	}
	return all
}

// within returns the struct inside of a field, with its defaults, and the path of its keys.
func within(f reflect.Value, path string) (inner reflect.Value, at string, ok bool) {
	typ := deref(f.Type())
	switch {
	case isScalar(typ), typ == sectionType.Elem():
	case typ.Kind() == reflect.Struct && f.Kind() == reflect.Pointer:
		inner = reflect.New(typ).Elem()
		setDefaults(inner)
		return inner, path, true
	case typ.Kind() == reflect.Struct:
		return f, path, true
	case typ.Kind() == reflect.Slice && !isScalar(typ.Elem()):
		inner = reflect.New(typ.Elem()).Elem()
		setDefaults(inner)
		if _, named := typ.Elem().FieldByName("Name"); named {
			return inner, path + ".NAME", true
		}
		return inner, path + "[]", true
	}
	return inner, path, false
}

// wantOf says what a field's values look like.
func wantOf(typ reflect.Type) string {
	switch {
	case typ.Kind() == reflect.Slice:
		return "a list"
	case typ.Kind() == reflect.Map:
		return "keys"
	}
	return Want(typ)
}
