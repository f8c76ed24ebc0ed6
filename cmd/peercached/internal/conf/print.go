package conf

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hider is a section that is not printed as it is: Shown returns what stands in its place, one word or
// keys in braces. path is its own.
type Hider interface{ Shown(path string) string }

// Print writes the configuration as a file, with what each key is for. A key that is not set is a
// comment.
func Print(w io.Writer, config any) error {
	p := &printer{}
	p.section(reflect.ValueOf(config).Elem(), "", "")
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b strings.Builder
	// foreign says that the struct belongs to somebody else: its defaults are not in it.
	foreign bool
}

// section prints the keys of a struct.
func (p *printer) section(v reflect.Value, path, indent string) {
	for _, k := range fieldsOf(v.Type()) {
		f, at := v.FieldByIndex(k.index), join(path, k.name)
		if path == "" && p.b.Len() > 0 {
			p.b.WriteByte('\n')
		}
		help := k.tag.Get("help")
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		hider, hidden := f.Interface().(Hider)
		switch {
		case p.foreign && !f.IsZero() && secretive.MatchString(k.name):
			p.line(indent+"# "+k.name+": (not shown)", help)
		case hidden && !f.IsZero():
			p.line(indent+k.name+": "+hider.Shown(at), help)
		case f.Kind() == reflect.Pointer, hidden, f.IsZero() && (f.Kind() == reflect.Slice || f.Kind() == reflect.Map), f.IsZero() && (p.foreign || k.tag.Get("unset") != ""):
			if unset := k.tag.Get("unset"); unset != "" {
				help += " (not set: " + unset + ")"
			}
			p.line(indent+"# "+k.name+":", help)
		case f.Kind() == reflect.Struct && !isScalar(f.Type()):
			p.line(indent+k.name+":", help)
			p.section(f, at, indent+"  ")
		case f.Kind() == reflect.Slice && !isScalar(f.Type().Elem()):
			p.line(indent+k.name+":", help)
			p.list(f, at, indent+"  ")
		case f.Kind() == reflect.Map:
			p.line(indent+k.name+":", help)
			p.mapping(f, at, indent+"  ")
		default:
			p.line(indent+k.name+": "+text(f), help)
		}
	}
}

// secretive are keys of origins that are not printed: origins have no Hider.
var secretive = regexp.MustCompile(`(?i)password|secret|token|dsn|credential|^url$|^headers$|^env$`)

// column is where the comments begin, if there is room.
const column = 44

func (p *printer) line(s, comment string) {
	p.b.WriteString(s)
	if comment != "" {
		p.b.WriteString(strings.Repeat(" ", max(column-len(s), 2)) + "# " + comment)
	}
	p.b.WriteByte('\n')
}

// list prints sections, each with a dash before its first key.
func (p *printer) list(v reflect.Value, path, indent string) {
	for i := range v.Len() {
		one := &printer{}
		at := fmt.Sprintf("%s[%d]", path, i)
		if name := v.Index(i).FieldByName("Name"); name.IsValid() {
			at = join(path, name.String())
		}
		one.section(v.Index(i), at, indent+"  ")
		lines := one.b.String()
		// The first key that is set takes the dash; comments before it stay.
		for line := range strings.Lines(lines) {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				lines = strings.Replace(lines, line, indent+"- "+line[len(indent)+2:], 1)
				break
			}
		}
		p.b.WriteString(lines)
	}
}

// mapping prints a map.
func (p *printer) mapping(v reflect.Value, path, indent string) {
	for _, name := range slices.Sorted(maps.Keys(keyNames(v))) {
		value := v.MapIndex(reflect.ValueOf(name))
		if section, ok := value.Interface().(*Section); ok {
			p.sectionOf(section, name, indent)
			continue
		}
		p.line(indent+Word(name)+": "+text(value), "")
	}
}

func keyNames(v reflect.Value) map[string]bool {
	all := map[string]bool{}
	for _, k := range v.MapKeys() {
		all[k.String()] = true
	}
	return all
}

// sectionOf prints a section whose struct belongs to somebody else: the one that it was decoded to.
func (p *printer) sectionOf(s *Section, name, indent string) {
	if s.into == nil {
		p.line(indent+Word(name)+": {}", "")
		return
	}
	p.line(indent+Word(name)+":", "")
	p.foreign = true
	p.section(reflect.ValueOf(s.into).Elem(), s.path, indent+"  ")
	p.foreign = false
}

// text returns a value in one line.
func text(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, _ := m.MarshalText()
		return Word(string(b))
	}
	if v.Type() == durationType {
		return FormatDuration(time.Duration(v.Int()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return text(v.Elem())
	case reflect.Slice:
		all := make([]string, v.Len())
		for i := range all {
			all[i] = text(v.Index(i))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case reflect.Map:
		all := []string{}
		for _, name := range slices.Sorted(maps.Keys(keyNames(v))) {
			all = append(all, Word(name)+": "+text(v.MapIndex(reflect.ValueOf(name))))
		}
		return "{" + strings.Join(all, ", ") + "}"
	case reflect.String:
		return Word(v.String())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

// plain words need no quotes in YAML. It leaves out much that would need none either.
var plain = regexp.MustCompile(`^[A-Za-z/.][A-Za-z0-9_./:+-]*[A-Za-z0-9_/]$`)

// Word returns a text as YAML.
func Word(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", ".inf", ".nan":
	default:
		if plain.MatchString(s) || sizeLike.MatchString(s) {
			return s
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return strconv.Quote(s)
	}
	return string(b)
}

var sizeLike = regexp.MustCompile(`^[0-9]+[A-Za-z]*$`)
