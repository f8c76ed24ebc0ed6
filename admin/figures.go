package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// The figures of a group or a peer are shown as the library has them, whichever these are: a new field
// of a Stats shows up by itself.

// figures are the fields of a struct in order. Its JSON is an object.
type figures []figure

type figure struct {
	Name  string // in lower camel case; that of a duration ends in Seconds
	Value any    // a number, a bool, a string, or figures
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	histogramType = reflect.TypeFor[peercache.Histogram]()
)

// figuresOf returns the exported fields of a struct.
func figuresOf(v any) figures { return fieldsOf(reflect.ValueOf(v)) }

func fieldsOf(v reflect.Value) (all figures) {
	for field, value := range v.Fields() {
		if !field.IsExported() {
			continue
		}
		name := strings.ToLower(field.Name[:1]) + field.Name[1:]
		switch {
		case field.Type == durationType:
			all = append(all, figure{name + "Seconds", time.Duration(value.Int()).Seconds()})
		case field.Type == histogramType:
			all = append(all, figure{name, quantilesOf(value.Interface().(peercache.Histogram))})
		case field.Type.Kind() == reflect.Struct:
			all = append(all, figure{name, fieldsOf(value)})
		case field.Type.Implements(reflect.TypeFor[fmt.Stringer]()):
			all = append(all, figure{name, fmt.Sprint(value.Interface())})
		case value.CanInt(), value.CanUint(), value.CanFloat(), value.Kind() == reflect.Bool, value.Kind() == reflect.String:
			all = append(all, figure{name, value.Interface()})
		}
	}
	return all
}

// quantilesOf returns what is shown of a histogram.
func quantilesOf(h peercache.Histogram) figures {
	return figures{
		{"p50Seconds", h.Quantile(0.5).Seconds()},
		{"p90Seconds", h.Quantile(0.9).Seconds()},
		{"p99Seconds", h.Quantile(0.99).Seconds()},
	}
}

// MarshalJSON implements json.Marshaler.
func (f figures) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(one.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", one.Name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// flat returns all figures in one list: those of a part have its name before them.
func (f figures) flat(before string) (all []figure) {
	for _, one := range f {
		name := strings.TrimSpace(before + " " + one.Name)
		if inner, ok := one.Value.(figures); ok {
			all = append(all, inner.flat(name)...)
			continue
		}
		all = append(all, figure{name, one.Value})
	}
	return all
}

// since returns what h has counted more than before.
func since(h, before peercache.Histogram) peercache.Histogram {
	for i, n := range before.Counts {
		h.Counts[i] -= n
	}
	h.Sum -= before.Sum
	return h
}
