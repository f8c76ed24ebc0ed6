package data

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

type place struct {
	Street string `data:"street"`
}

type user struct {
	place
	Name    string        `data:"name"`
	Age     int8          `data:"age,omitempty"`
	Seen    time.Time     `data:"seen"`
	Pause   time.Duration `data:"pause"`
	Raw     []byte        `data:"raw"`
	Weights []float64     `data:"weights"`
	Admin   bool          `data:"admin"`
	Score   float32       `data:"score"`
	Hidden  string
}

// A struct is a hash, and comes back.
func TestStructs(t *testing.T) {
	u := user{place: place{"Road 1"}, Name: "Tom", Age: -3, Seen: time.Now().UTC(), Pause: time.Minute, Raw: []byte{0, 255}, Weights: []float64{1.5, 2}, Admin: true, Score: 0.1}
	fields := make(map[string]string)
	tagged, err := tagsOf(reflect.TypeFor[user]())
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(u)
	for _, f := range tagged {
		if fields[f.name], err = format(v.FieldByIndex(f.index)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := structOf[user](fields); !reflect.DeepEqual(got, u) {
		t.Errorf("%+v, %v, want %+v", got, err, u)
	}
	for field, bad := range map[string]string{"age": "300", "seen": "now", "pause": "x", "weights": "[", "admin": "maybe", "score": "x"} {
		if got, err := structOf[user](map[string]string{field: bad}); err == nil || !strings.Contains(err.Error(), field) || got.Age != 0 {
			t.Errorf("%s %q: %+v, %v", field, bad, got, err)
		}
	}
	for _, bad := range []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[struct{ A int }](), reflect.TypeFor[struct {
		A int `data:","`
	}](), reflect.TypeFor[struct {
		A int `data:"a,other"`
	}](), reflect.TypeFor[struct {
		a int `data:"a"`
	}]()} {
		if _, err := tagsOf(bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

// Values are what a codec makes of strings.
func TestCodecs(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	codec := peercache.JSON[[]int]()
	if _, err := GetAs(ctx, c, "a", codec); !errors.Is(err, ErrNil) {
		t.Errorf("%v, want ErrNil", err)
	}
	if ok, err := SetAs(ctx, c, "a", []int{1, 2}, codec, SetOptions{TTL: time.Hour, IfAbsent: true}); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if got, err := GetAs(ctx, c, "a", codec); err != nil || len(got) != 2 || got[1] != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if ok, err := SetAs(ctx, c, "a", []int{3}, codec, SetOptions{IfAbsent: true}); ok || err != nil {
		t.Errorf("%v, %v, want that it is there", ok, err)
	}
	if err := c.Strings().Set(ctx, "bad", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := GetAs(ctx, c, "bad", codec); !errors.Is(err, peercache.ErrDecode) {
		t.Errorf("%v, want ErrDecode", err)
	}
	got, err := MGetAs(ctx, c, codec, "a", "bad", "none")
	if len(got) != 1 || !errors.Is(err, peercache.ErrDecode) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.Tx(ctx, func(tx *Tx) error {
		_, err := GetAs(ctx, tx, "a", codec)
		return err
	}); err != nil {
		t.Error(err)
	}
	var n int
	if err := c.Strings().Set(ctx, "n", "42"); err != nil {
		t.Fatal(err)
	}
	if err := c.Strings().GetAndScan(ctx, "n", &n); n != 42 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := c.Strings().GetAndScan(ctx, "n", n); err == nil {
		t.Error("no error without a pointer")
	}
}

// A pipeline's results are there when it has run.
func TestPipeline(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	p := c.Pipeline()
	set := Later(p, func(c Commands) (bool, error) { return c.Strings().SetNX(ctx, "a", "1") })
	get := Later(p, func(c Commands) (string, error) { return c.Strings().Get(ctx, "a") })
	none := Later(p, func(c Commands) (string, error) { return c.Strings().Get(ctx, "b") })
	two := Later(p, func(c Commands) (string, error) {
		_, _ = c.Strings().Get(ctx, "a")
		return c.Strings().Get(ctx, "b")
	})
	if _, err := get.Get(); !errors.Is(err, ErrNotRun) || p.Len() != 3 {
		t.Errorf("%v, %d commands", err, p.Len())
	}
	if err := p.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if ok, err := set.Get(); !ok || err != nil {
		t.Errorf("SETNX: %v, %v", ok, err)
	}
	if s, err := get.Get(); s != "1" || err != nil {
		t.Errorf("GET: %q, %v", s, err)
	}
	if _, err := none.Get(); !errors.Is(err, ErrNil) {
		t.Errorf("GET of nothing: %v", err)
	}
	if _, err := two.Get(); err == nil {
		t.Error("two commands: no error")
	}
}
