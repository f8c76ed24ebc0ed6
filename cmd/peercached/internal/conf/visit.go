package conf

import (
	"fmt"
	"reflect"
)

// Visit calls f for each key of a configuration that has a value: sections first, then what is in them.
func (d *Decoder) Visit(config any, f func(path string, v reflect.Value, tag reflect.StructTag)) {
	visit(reflect.ValueOf(config).Elem(), "", f)
}

func visit(v reflect.Value, path string, f func(path string, v reflect.Value, tag reflect.StructTag)) {
	for _, k := range fieldsOf(v.Type()) {
		one := v.FieldByIndex(k.index)
		visitOne(one, join(path, k.name), k.tag, f)
	}
}

func visitOne(v reflect.Value, path string, tag reflect.StructTag, f func(path string, v reflect.Value, tag reflect.StructTag)) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.Type() == sectionType.Elem() {
		return
	}
	f(path, v, tag)
	switch {
	case isScalar(v.Type()):
	case v.Kind() == reflect.Struct:
		visit(v, path, f)
	case v.Kind() == reflect.Slice && !isScalar(v.Type().Elem()):
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			if name := v.Index(i).FieldByName("Name"); name.IsValid() {
				at = join(path, name.String())
			}
			visitOne(v.Index(i), at, "", f)
		}
	case v.Kind() == reflect.Map:
		for _, name := range v.MapKeys() {
			one := reflect.New(v.Type().Elem()).Elem()
			one.Set(v.MapIndex(name))
			visitOne(one, join(path, name.String()), "", f)
		}
	}
}
