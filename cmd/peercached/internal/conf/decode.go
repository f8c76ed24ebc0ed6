package conf

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/peercache/peercache/discovery"
)

// Overrides are what is laid over the file: flags over variables over the file.
type Overrides struct {
	Flags map[string]string // by path
	Env   map[string]string // all variables that begin with Prefix
}

// Prefix is that of the variables of the environment that are keys.
const Prefix = "PEERCACHED_"

// EnvName returns the variable of a path: PEERCACHED_GROUPS_FILES_TTL for groups.files.ttl.
func EnvName(path string) string {
	return Prefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, path)
}

// Defaulter has defaults that are set before it is decoded.
type Defaulter interface{ SetDefaults() }

// Decoder writes trees to structs. It gathers all problems.
type Decoder struct {
	Problems Problems

	over      Overrides
	at        map[string]Source // of each path that is set
	usedFlags map[string]bool
	usedEnv   map[string]bool
	foreign   bool     // a Section is being decoded: its owner says whether a value may be less than 0
	broken    []string // paths whose values could not be read
	names     []string // all keys that were asked for, with a path, to find what was meant
}

// NewDecoder makes a Decoder.
func NewDecoder(over Overrides) *Decoder {
	return &Decoder{over: over, at: map[string]Source{}, usedFlags: map[string]bool{}, usedEnv: map[string]bool{}}
}

// Decode writes a tree, and what is laid over it, to what into points to.
func (d *Decoder) Decode(t *Tree, path string, into any) {
	v := reflect.ValueOf(into).Elem()
	setDefaults(v)
	d.value(t, path, v)
}

// setDefaults sets the defaults of v, if it has some.
func setDefaults(v reflect.Value) {
	if x, ok := v.Addr().Interface().(Defaulter); ok {
		x.SetDefaults()
	}
}

// Fail records a problem with a path, unless its value could not be read: then it is a default, of which
// nothing is to be said.
func (d *Decoder) Fail(path, format string, args ...any) {
	if slices.ContainsFunc(d.broken, func(b string) bool { return b == path || strings.HasPrefix(b, path+"[") }) {
		return
	}
	d.Problems = append(d.Problems, Problem{At: d.At(path), Path: path, Text: fmt.Sprintf(format, args...)})
}

// Has reports whether a path is set, in the file or over it.
func (d *Decoder) Has(path string) bool { _, ok := d.at[path]; return ok }

// At returns where a path is set, or the section around it.
func (d *Decoder) At(path string) Source {
	for {
		if at, ok := d.at[path]; ok {
			return at
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return d.at[""]
		}
		path = path[:i]
	}
}

// failAt records a problem with a value.
func (d *Decoder) failAt(t *Tree, path, format string, args ...any) {
	d.broken = append(d.broken, path)
	d.Problems = append(d.Problems, Problem{At: t.at, Path: path, Text: fmt.Sprintf(format, args...)})
}

// join returns the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// override returns what is laid over a path.
func (d *Decoder) override(path string) (text string, at Source, ok bool) {
	if path == "" {
		return "", "", false
	}
	name := EnvName(path)
	if text, ok = d.over.Env[name]; ok {
		d.usedEnv[name], at = true, Source(name)
	}
	if flag, set := d.over.Flags[path]; set {
		d.usedFlags[path], text, at, ok = true, flag, Source("--"+path), true
	}
	return text, at, ok
}

// overridden returns the tree in place of t, if something is laid over it.
func (d *Decoder) overridden(t *Tree, path string, typ reflect.Type) *Tree {
	text, at, ok := d.override(path)
	if !ok {
		return t
	}
	trimmed := strings.TrimSpace(text)
	_, short := shortField(typ)
	switch {
	case isScalar(typ), short && !strings.HasPrefix(trimmed, "{"):
		return &Tree{kind: scalar, text: text, at: at}
	case typ.Kind() == reflect.Slice && isScalar(typ.Elem()) && !strings.HasPrefix(trimmed, "["):
		whole := &Tree{kind: list, at: at}
		for _, one := range discovery.SplitList(text) {
			whole.items = append(whole.items, &Tree{kind: scalar, text: one, at: at})
		}
		return whole
	}
	parsed, err := Parse(string(at), []byte(text))
	if problems, bad := err.(Problems); bad {
		d.Problems = append(d.Problems, problems...)
		return t
	}
	parsed.at = at
	return parsed
}

// deref returns the type that a field's type is, or points to.
func deref(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Pointer {
		return typ.Elem()
	}
	return typ
}

var (
	textType    = reflect.TypeFor[encoding.TextUnmarshaler]()
	sectionType = reflect.TypeFor[*Section]()
)

// isScalar reports whether values of a type are written as one word.
func isScalar(typ reflect.Type) bool {
	if reflect.PointerTo(typ).Implements(textType) {
		return true
	}
	switch typ.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint16, reflect.Float64:
		return true
	}
	return false
}

// value writes a tree to v. t is nil if the file has nothing there.
func (d *Decoder) value(t *Tree, path string, v reflect.Value) {
	t = d.overridden(t, path, deref(v.Type()))
	if t != nil {
		d.at[path] = t.at
	}
	if v.Kind() == reflect.Pointer && v.Type() != sectionType {
		if t == nil && !d.anyOver(path, v.Type().Elem()) {
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			setDefaults(v.Elem())
		}
		v = v.Elem()
	}
	switch {
	case isScalar(v.Type()):
		if t != nil {
			d.scalar(t, path, v)
		}
	case v.Type() == sectionType:
		v.Set(reflect.ValueOf(&Section{tree: t, path: path, d: d}))
	case v.Kind() == reflect.Struct:
		d.section(t, path, v)
	case v.Kind() == reflect.Slice && !isScalar(v.Type().Elem()):
		d.list(t, path, v)
	case v.Kind() == reflect.Slice:
		d.words(t, path, v)
	case v.Kind() == reflect.Map:
		d.mapping(t, path, v)
	default:
		panic(fmt.Sprintf("conf: %s is of type %v", path, v.Type()))
	}
}

// section writes keys to the fields of a struct.
func (d *Decoder) section(t *Tree, path string, v reflect.Value) {
	if short, ok := shortField(v.Type()); ok && t != nil && t.kind == scalar {
		d.scalar(t, path, v.FieldByIndex(short.Index))
		t = nil
	}
	keys := fieldsOf(v.Type())
	if t != nil && t.kind != mapping && t.kind != null {
		d.failAt(t, path, "%s: want keys, such as {%s: …}; these are %s", t.kind, names(keys)[0], strings.Join(names(keys), ", "))
		t = nil
	}
	if t != nil {
		for _, f := range t.fields {
			if slices.Contains(names(keys), f.name) || path == "" && strings.HasPrefix(f.name, "x-") {
				continue
			}
			d.Problems = append(d.Problems, Problem{At: f.at, Path: join(path, f.name), Text: unknown(f.name, names(keys))})
		}
	}
	for _, k := range keys {
		d.names = append(d.names, join(path, k.name))
		d.value(t.lookup(k.name), join(path, k.name), v.FieldByIndex(k.index))
	}
}

// unknown returns what is said of a key that does not exist.
func unknown(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("no such key: did you mean %s?", near)
	}
	return "no such key: want one of " + strings.Join(known, ", ")
}

// list writes a list of sections. If they have names, these are part of the paths, and flags may
// add some.
func (d *Decoder) list(t *Tree, path string, v reflect.Value) {
	items := []*Tree{}
	if t != nil && t.kind == list {
		items = t.items
	} else if t != nil && t.kind != null {
		d.failAt(t, path, "%s: want a list, such as [{%s: …}]", t.kind, names(fieldsOf(v.Type().Elem()))[0])
	}
	elem := v.Type().Elem()
	name, named := elem.FieldByName("Name")
	named = named && name.Tag.Get("yaml") == "name"
	seen := map[string]bool{}
	for i, item := range items {
		to := reflect.New(elem).Elem()
		setDefaults(to)
		at := fmt.Sprintf("%s[%d]", path, i)
		if id := item.lookup("name"); named && id != nil && id.text != "" {
			at = join(path, id.text)
			if seen[id.text] {
				d.failAt(id, at, "the name stands there twice: want another")
			}
			seen[id.text] = true
		}
		d.value(item, at, to)
		v.Set(reflect.Append(v, to))
	}
	if !named {
		return
	}
	for _, id := range d.flagged(path, elem) {
		if !seen[id] {
			to := reflect.New(elem).Elem()
			setDefaults(to)
			to.FieldByIndex(name.Index).SetString(id)
			d.value(nil, join(path, id), to)
			v.Set(reflect.Append(v, to))
		}
	}
}

// flagged returns the names that flags give to elements of the list at path.
func (d *Decoder) flagged(path string, elem reflect.Type) []string {
	found := map[string]bool{}
	for flag := range d.over.Flags {
		rest, ok := strings.CutPrefix(flag, path+".")
		if !ok {
			continue
		}
		for _, k := range fieldsOf(elem) {
			if i := strings.Index(rest+".", "."+k.name+"."); i > 0 {
				found[rest[:i]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// words writes a list of scalars.
func (d *Decoder) words(t *Tree, path string, v reflect.Value) {
	switch {
	case t == nil, t.kind == null:
		return
	case t.kind != list:
		d.failAt(t, path, "%s: want a list, such as [%s]", t.kind, t.text)
		return
	}
	all := reflect.MakeSlice(v.Type(), 0, len(t.items))
	for i, item := range t.items {
		to := reflect.New(v.Type().Elem()).Elem()
		at := fmt.Sprintf("%s[%d]", path, i)
		d.at[at] = item.at
		d.scalar(item, at, to)
		all = reflect.Append(all, to)
	}
	v.Set(all)
}

// mapping writes keys that are not known before to a map.
func (d *Decoder) mapping(t *Tree, path string, v reflect.Value) {
	if t != nil && t.kind != mapping && t.kind != null {
		example := "{NAME: VALUE}"
		if v.Type().Elem() == sectionType {
			example = "{KIND: {…}}"
		}
		d.failAt(t, path, "%s: want keys, such as %s", t.kind, example)
		t = nil
	}
	all := reflect.MakeMap(v.Type())
	set := func(name string, value *Tree) {
		to := reflect.New(v.Type().Elem()).Elem()
		d.value(value, join(path, name), to)
		all.SetMapIndex(reflect.ValueOf(name), to)
	}
	if t != nil {
		for _, f := range t.fields {
			set(f.name, f.tree)
		}
	}
	for flag := range d.over.Flags {
		rest, ok := strings.CutPrefix(flag, path+".")
		name := rest
		if v.Type().Elem() == sectionType {
			name, _, _ = strings.Cut(rest, ".")
		}
		if ok && !all.MapIndex(reflect.ValueOf(name)).IsValid() {
			set(name, nil)
		}
	}
	if all.Len() > 0 || t != nil {
		v.Set(all)
	}
}

// anyOver reports whether something is laid over a key of a section that the file does not have.
func (d *Decoder) anyOver(path string, typ reflect.Type) bool {
	for flag := range d.over.Flags {
		if strings.HasPrefix(flag, path+".") {
			return true
		}
	}
	if typ.Kind() != reflect.Struct || isScalar(typ) {
		return false
	}
	for _, k := range fieldsOf(typ) {
		p := join(path, k.name)
		if _, ok := d.over.Env[EnvName(p)]; ok || d.anyOver(p, deref(k.typ)) {
			return true
		}
	}
	return false
}
