package origin_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/peercache/peercache/origin"
)

func TestHeadersTravel(t *testing.T) {
	codec := origin.HeaderCodec("accept-language", "X-Tenant", "X-None")
	ctx := origin.WithHeaders(t.Context(), http.Header{
		"Accept-Language": {"de", "", "fr;q=0.5\xff"}, "X-Tenant": {"one"}, "Authorization": {"Bearer x"},
	})
	b := codec.Encode(ctx)
	want := http.Header{"Accept-Language": {"de", "", "fr;q=0.5\xff"}, "X-Tenant": {"one"}}
	if got := origin.Headers(codec.Decode(context.Background(), b)); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if again := codec.Encode(codec.Decode(context.Background(), b)); !bytes.Equal(again, b) {
		t.Errorf("%q is %q the next time", b, again)
	}
	if got := origin.Headers(origin.HeaderCodec("X-Tenant").Decode(context.Background(), b)); !reflect.DeepEqual(got, http.Header{"X-Tenant": {"one"}}) {
		t.Errorf("%v: want what is in its own list only", got)
	}
	if b := codec.Encode(t.Context()); b != nil {
		t.Errorf("%q of a context without headers", b)
	}
	if h := origin.Headers(t.Context()); h != nil {
		t.Errorf("%v of a context without headers", h)
	}
	if b := origin.HeaderCodec().Encode(ctx); b != nil {
		t.Errorf("%q without names", b)
	}
}

// What others send is checked: nothing of it ends a header, and it is bounded.
func FuzzHeaderCodec(f *testing.F) {
	codec := origin.HeaderCodec("X-Tenant", "Accept")
	f.Add(codec.Encode(origin.WithHeaders(context.Background(), http.Header{"X-Tenant": {"one"}, "Accept": {"a", "b"}})))
	f.Add([]byte("\x08X-Tenant\x05a\r\nb:"))
	f.Add([]byte("\x06Cookie\x01a"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add(bytes.Repeat([]byte("\x06Accept\x01a"), 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for name, values := range origin.Headers(codec.Decode(context.Background(), b)) {
			for _, v := range values {
				if n++; origin.ValidHeader(name, v) != nil || strings.ContainsAny(v, "\r\n\x00") || name != "X-Tenant" && name != "Accept" {
					t.Errorf("%q: %q", name, v)
				}
			}
		}
		if n > 64 {
			t.Errorf("%d headers of %d bytes", n, len(b))
		}
	})
}

func ExampleHeaderCodec() {
	codec := origin.HeaderCodec("X-Tenant") // for peercache.WithContextCodec
	ctx := origin.WithHeaders(context.Background(), http.Header{"X-Tenant": {"one"}, "Cookie": {"secret"}})
	there := codec.Decode(context.Background(), codec.Encode(ctx)) // in the process of the owner
	fmt.Println(origin.Headers(there))
	// Output: map[X-Tenant:[one]]
}
