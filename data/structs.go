package data

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HSetStruct sets the fields of a hash to those of a struct, or of a pointer to one, and returns how many are new. Others stay.
// The hash has a field for each field of the struct with a tag:
//
//	type User struct {
//		Name string    `data:"name"`
//		Age  int       `data:"age,omitempty"`
//		Seen time.Time `data:"seen"`
//	}
//
// Fields without a tag are left out, with omitempty those that are zero, and those of an embedded pointer that is nil: the hash keeps what
// it has there. Fields of embedded structs count as its own. A field is a string, []byte, bool (1 or 0), number, time.Time (RFC 3339),
// time.Duration (1m30s), a type with MarshalText and UnmarshalText, or anything else, as JSON. Pointers are JSON too: nil is null.
func HSetStruct[T any](ctx context.Context, c Commander, key string, v T) (int64, error) {
	of := reflect.ValueOf(&v).Elem()
	if of.Kind() == reflect.Pointer {
		if of.IsNil() {
			return 0, fmt.Errorf("data: a nil %v has no fields", of.Type())
		}
		of = of.Elem()
	}
	tagged, err := tagsOf(of.Type())
	if err != nil {
		return 0, err
	}
	fields := make(map[string]string, len(tagged))
	for _, t := range tagged {
		f, err := of.FieldByIndexErr(t.index)
		if err != nil || t.omitEmpty && f.IsZero() { // an embedded pointer is nil
			continue
		}
		if fields[t.name], err = format(f); err != nil {
			return 0, fmt.Errorf("data: the field %s: %w", t.name, err)
		}
	}
	return c.Hashes().HSet(ctx, key, fields)
}

// HGetAllAs returns the struct of all fields of a hash, by the tags that HSetStruct describes. Those without a field of the struct are left out, and the other way round. ErrNil says that there is no such key.
func HGetAllAs[T any](ctx context.Context, c Commander, key string) (v T, err error) {
	fields, err := c.Hashes().HGetAll(ctx, key)
	if err != nil {
		return v, err
	}
	if len(fields) == 0 {
		return v, ErrNil
	}
	return structOf[T](fields)
}

// HMGetStruct is HGetAllAs that asks for the fields of the struct alone. It does not tell a hash without any of them from a key that is not there: both are ErrNil.
func HMGetStruct[T any](ctx context.Context, c Commander, key string) (v T, err error) {
	tagged, err := tagsOf(reflect.TypeFor[T]())
	if err != nil {
		return v, err
	}
	names := make([]string, len(tagged))
	for i, t := range tagged {
		names[i] = t.name
	}
	values, err := c.Hashes().HMGet(ctx, key, names...)
	if err != nil {
		return v, err
	}
	fields := make(map[string]string)
	for i, value := range values {
		if value.OK {
			fields[names[i]] = value.String
		}
	}
	if len(fields) == 0 {
		return v, ErrNil
	}
	return structOf[T](fields)
}

func structOf[T any](fields map[string]string) (v T, err error) {
	of := reflect.ValueOf(&v).Elem()
	tagged, err := tagsOf(of.Type())
	if err != nil {
		return v, err
	}
	for _, t := range tagged {
		s, ok := fields[t.name]
		if !ok {
			continue
		}
		if err := parse(s, t.of(of)); err != nil {
			var none T
			return none, fmt.Errorf("data: the field %s: %w", t.name, err)
		}
	}
	return v, nil
}

// tag is a field of a struct that is one of a hash.
type tag struct {
	name      string
	index     []int
	omitEmpty bool
}

// of returns the field of a struct, and makes what embedded pointers on the way point to.
func (t *tag) of(v reflect.Value) reflect.Value {
	for _, i := range t.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// tagsOf returns the fields of a struct that have tags.
func tagsOf(t reflect.Type) (tags []tag, err error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("data: %v is no struct", t)
	}
	for _, f := range reflect.VisibleFields(t) {
		text, ok := f.Tag.Lookup("data")
		if !ok || text == "-" {
			continue
		}
		name, options, _ := strings.Cut(text, ",")
		if name == "" || !f.IsExported() || options != "" && options != "omitempty" {
			return nil, fmt.Errorf("data: the field %s of %v has the tag %q: want a name, or one with ,omitempty, for an exported field", f.Name, t, text)
		}
		if slices.ContainsFunc(tags, func(other tag) bool { return other.name == name }) {
			return nil, fmt.Errorf("data: two fields of %v have the name %q", t, name)
		}
		for i := range f.Index {
			on := t.FieldByIndex(f.Index[:i+1])
			if i+1 < len(f.Index) && on.Type.Kind() == reflect.Pointer && !on.IsExported() {
				return nil, fmt.Errorf("data: the field %s of %v is in an embedded pointer to a type that is not exported, which cannot be set", f.Name, t)
			}
		}
		tags = append(tags, tag{name, f.Index, options != ""})
	}
	if len(tags) == 0 {
		return nil, fmt.Errorf("data: no field of %v has a tag such as `data:\"name\"`", t)
	}
	return tags, nil
}

var (
	marshalsText   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalsText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// format returns a value as a string.
func format(v reflect.Value) (string, error) {
	if !v.CanAddr() {
		addressable := reflect.New(v.Type()).Elem()
		addressable.Set(v)
		v = addressable
	}
	to := v.Addr().Type() // its methods are those with either receiver
	if to.Implements(marshalsText) != to.Implements(unmarshalsText) {
		return "", fmt.Errorf("%v has MarshalText or UnmarshalText, and not both", v.Type())
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Duration:
		return x.String(), nil
	case *[]byte:
		return string(*x), nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return string(b), err
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return bitOf(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return itoa(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()), nil
	}
	b, err := json.Marshal(v.Addr().Interface())
	return string(b), err
}

// parse sets v, which can be set, to what format has made a string of.
func parse(s string, v reflect.Value) (err error) {
	switch x := v.Addr().Interface().(type) {
	case *time.Duration:
		*x, err = time.ParseDuration(s)
		return err
	case *[]byte:
		*x = []byte(s)
		return nil
	case encoding.TextUnmarshaler:
		return x.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		v.SetBool(b)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		v.SetInt(n)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		v.SetUint(n)
		return err
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(s, v.Type().Bits())
		v.SetFloat(f)
		return err
	}
	return json.Unmarshal([]byte(s), v.Addr().Interface())
}

// scanInto sets what a pointer points to, to what a string says.
func scanInto(s string, dest any) error {
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("data: cannot scan into %T: want a pointer", dest)
	}
	if err := parse(s, v.Elem()); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}

// scanAll sets the slice that a pointer points to.
func scanAll(texts []string, dest any) error {
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Slice {
		return fmt.Errorf("data: cannot scan into %T: want a pointer to a slice", dest)
	}
	all := reflect.MakeSlice(v.Elem().Type(), len(texts), len(texts))
	for i, s := range texts {
		if err := parse(s, all.Index(i)); err != nil {
			return fmt.Errorf("data: element %d: %w", i, err)
		}
	}
	v.Elem().Set(all)
	return nil
}

// GetAndScan sets what dest points to, to what the string of a key says: dest is a pointer to what a field of HSetStruct may be.
func (s Strings) GetAndScan(ctx context.Context, key string, dest any) error {
	text, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	return scanInto(text, dest)
}

// HGetAndScan sets what dest points to, as GetAndScan does, to what the string of a field says.
func (h Hashes) HGetAndScan(ctx context.Context, key, field string, dest any) error {
	text, err := h.HGet(ctx, key, field)
	if err != nil {
		return err
	}
	return scanInto(text, dest)
}

// LRangeAndScan sets the slice that dest points to, to what the elements of LRange say.
func (l Lists) LRangeAndScan(ctx context.Context, key string, start, end int64, dest any) error {
	texts, err := l.LRange(ctx, key, start, end)
	if err != nil {
		return err
	}
	return scanAll(texts, dest)
}

// SMembersAndScan sets the slice that dest points to, to what the members of SMembers say.
func (s Sets) SMembersAndScan(ctx context.Context, key string, dest any) error {
	texts, err := s.SMembers(ctx, key)
	if err != nil {
		return err
	}
	return scanAll(texts, dest)
}
