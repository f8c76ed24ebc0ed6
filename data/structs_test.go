package data

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// upper has MarshalText with a pointer as its receiver, lower with a value.
type (
	upper struct{ s string }
	lower struct{ s string }
	raw   []byte
	level string
)

func (u *upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(u.s)), nil }
func (u *upper) UnmarshalText(b []byte) error { u.s = strings.ToLower(string(b)); return nil }
func (l lower) MarshalText() ([]byte, error)  { return []byte("(" + l.s + ")"), nil }
func (l *lower) UnmarshalText(b []byte) error { l.s = strings.Trim(string(b), "()"); return nil }

// onlyMarshals cannot be read, and onlyUnmarshals not be written.
type (
	onlyMarshals   struct{}
	onlyUnmarshals struct{ s string }
)

func (onlyMarshals) MarshalText() ([]byte, error)      { return nil, nil }
func (u *onlyUnmarshals) UnmarshalText(b []byte) error { u.s = string(b); return nil }

// kinds returns values of all kinds that a field may have, with the strings that they are.
func kinds() []struct {
	value any
	text  string
} {
	at := time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC)
	pause, number, text, bytes, large := 90*time.Second, 42, "a\xff", []byte{0, 255}, *new(big.Int).Lsh(big.NewInt(1), 100)
	numberPointer := &number
	return []struct {
		value any
		text  string
	}{
		{text, text}, {bytes, string(bytes)}, {true, "1"}, {false, "0"}, {number, "42"}, {int8(-3), "-3"}, {uint64(1) << 63, "9223372036854775808"},
		{float32(0.1), "0.1"}, {1e100, "1e+100"}, {at, "2026-05-01T12:00:00.000000005Z"}, {pause, "1m30s"}, {level("x"), "x"}, {raw("ab"), `"YWI="`},
		{large, "1267650600228229401496703205376"}, {upper{"a"}, "A"}, {lower{"a"}, "(a)"}, {netip.MustParseAddr("::1"), "::1"},
		{json.RawMessage(`{"a":1}`), `{"a":1}`}, {[]float64{1.5, 2}, "[1.5,2]"}, {map[string]int{"a": 1}, `{"a":1}`}, {[2]bool{true}, "[true,false]"},
		{struct{ A *int }{&number}, `{"A":42}`}, {[]upper{{"a"}}, `["A"]`},
		{&at, `"2026-05-01T12:00:00.000000005Z"`}, {(*time.Time)(nil), "null"}, {&pause, "90000000000"}, {(*time.Duration)(nil), "null"},
		{&number, "42"}, {(*int)(nil), "null"}, {&numberPointer, "42"}, {(*string)(nil), "null"}, {&bytes, `"AP8="`},
		{&large, "1267650600228229401496703205376"}, {(*big.Int)(nil), "null"}, {&upper{"a"}, `"A"`}, {(*upper)(nil), "null"}, {&lower{"a"}, `"(a)"`},
		{(*lower)(nil), "null"},
	}
}

// A field of each kind comes back as it was.
func TestKindsOfFields(t *testing.T) {
	for _, c := range kinds() {
		v := reflect.ValueOf(c.value)
		text, err := format(v)
		if err != nil || text != c.text {
			t.Errorf("%T %v is %q, %v, want %q", c.value, c.value, text, err, c.text)
		}
		back := reflect.New(v.Type()).Elem()
		if err := parse(text, back); err != nil || !reflect.DeepEqual(back.Interface(), c.value) {
			t.Errorf("%T %v comes back as %v, %v", c.value, c.value, back, err)
		}
	}
	for _, bad := range []any{onlyMarshals{}, onlyUnmarshals{}, make(chan int), func() {}, complex(1, 1), []any{make(chan int)}} {
		if text, err := format(reflect.ValueOf(bad)); err == nil {
			t.Errorf("%T is %q, and cannot be read", bad, text)
		}
	}
}

// Base is embedded as a pointer.
type Base struct {
	ID   int    `data:"id"`
	Note string `data:"note,omitempty"`
}

// Fields of embedded pointers are those of the struct: of one that is nil they are left out.
func TestEmbeddedPointers(t *testing.T) {
	type article struct {
		*Base
		Title string `data:"title"`
	}
	c, ctx := newClient(t), t.Context()
	for want, a := range map[string]article{"a": {&Base{ID: 7}, "a"}, "b": {nil, "b"}} {
		if _, err := HSetStruct(ctx, c, "key:"+want, a); err != nil {
			t.Fatal(err)
		}
		if _, err := HSetStruct(ctx, c, "pointer:"+want, &a); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"key:", "pointer:"} {
			if got, err := HGetAllAs[article](ctx, c, key+want); err != nil || !reflect.DeepEqual(got, a) {
				t.Errorf("%s: %+v, %v, want %+v", want, got, err, a)
			}
		}
	}
	for name, bad := range map[string]reflect.Type{
		"an embedded pointer that cannot be set": reflect.TypeFor[struct{ *place }](),
		"one name for two fields": reflect.TypeFor[struct {
			A int `data:"a"`
			B int `data:"a"`
		}](),
	} {
		if _, err := tagsOf(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
