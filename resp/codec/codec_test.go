package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/resp/codec"
)

var limits = codec.Limits{Arguments: 1000, Bulk: 1 << 20, Query: 2 << 20}

// feed gives r a text in pieces of that size, and returns the commands in it.
func feed(r *codec.Requests, text string, size int) (commands [][]string, err error) {
	for {
		for {
			args, err := r.Next()
			if err != nil {
				return commands, err
			}
			if args == nil {
				break
			}
			var words []string
			for _, a := range args {
				words = append(words, string(a))
			}
			commands = append(commands, words)
		}
		if text == "" {
			return commands, nil
		}
		space, err := r.Space()
		if err != nil {
			return commands, err
		}
		n := copy(space, text[:min(size, len(text))])
		r.Fed(n)
		text = text[n:]
	}
}

func TestRequests(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, test := range []struct {
		text string
		want string // of the commands
		err  string
	}{
		{"*1\r\n$4\r\nPING\r\n", `[["PING"]]`, ""},
		{"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n*1\r\n$0\r\n\r\n", `[["GET" "a\r\n"] [""]]`, ""},
		{"PING\r\n\r\n  SET a \"b c\\x41\\n\" 'd\\'e'\nQUIT\n", `[["PING"] ["SET" "a" "b cA\n" "d'e"] ["QUIT"]]`, ""},
		{"*0\r\n*-1\r\n*1\r\n$1\r\na\r\n", `[["a"]]`, ""},
		{"*1\r\n$4\r\nPI", `[]`, ""},
		{"*1\r\n$9223372036854775807\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$99999999999999999999\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$-1\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$01\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$+1\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$ 1\r\n", `[]`, "invalid bulk length"},
		{"*1\r\n$1048577\r\n", `[]`, "invalid bulk length"},
		{"*9223372036854775807\r\n", `[]`, "invalid multibulk length"},
		{"*1001\r\n", `[]`, "invalid multibulk length"},
		{"*x\r\n", `[]`, "invalid multibulk length"},
		{"*1\r\n*1\r\n", `[]`, "expected '$', got '*'"},
		{"*1\r\n\x00", `[]`, "expected '$', got '?'"},
		{"SET \"a\r\n", `[]`, "unbalanced quotes in request"},
		{"SET \"a\"b\r\n", `[]`, "unbalanced quotes in request"},
		{"SET " + long, `[]`, "too big inline request"},
		{"*" + strings.Repeat("1", 70<<10), `[]`, "too big mbulk count string"},
		{"*1\r\n$" + strings.Repeat("1", 70<<10), `[]`, "too big bulk count string"},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			r := &codec.Requests{Limits: limits}
			commands, err := feed(r, test.text, size)
			got := "[]"
			if len(commands) > 0 {
				got = fmt.Sprintf("%q", commands)
			}
			text := ""
			if err != nil {
				text = strings.TrimPrefix(err.Error(), "ERR Protocol error: ")
			}
			if got != test.want || text != test.err {
				t.Errorf("%.60q in pieces of %d: %s, %q; want %s, %q", test.text, size, got, text, test.want, test.err)
			}
		}
	}
}

// A length that is announced costs nothing until the bytes come.
func TestAnnouncedLengthsCostNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		r := &codec.Requests{Limits: codec.Limits{Arguments: 1 << 20, Bulk: 1 << 30, Query: 1 << 30}}
		if _, err := feed(r, "*1048576\r\n$1073741824\r\nabc", 100); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 64<<10 {
		t.Errorf("%d bytes for a command of which nothing has come", each)
	}
}

// Bytes are looked at once, however slowly they come.
func TestPiecesAreNotReadAgain(t *testing.T) {
	text := strings.Repeat("$1\r\na\r\n", 60_000) // 420 kB, byte by byte: quadratic would not end
	r := &codec.Requests{Limits: codec.Limits{Arguments: 60_000, Bulk: 10, Query: 1 << 20}}
	commands, err := feed(r, "*60000\r\n"+text, 1)
	if err != nil || len(commands) != 1 || len(commands[0]) != 60_000 {
		t.Errorf("%d commands, %v", len(commands), err)
	}
}

func TestQueryLimit(t *testing.T) {
	reserved := 0
	r := &codec.Requests{Limits: codec.Limits{Arguments: 1000, Bulk: 1 << 20, Query: 1 << 20}}
	r.Reserve = func(n int) bool { reserved += n; return true }
	text := "*100\r\n" + strings.Repeat("$100000\r\n"+strings.Repeat("x", 100_000)+"\r\n", 100)
	if _, err := feed(r, text, 1000); err != codec.ErrQueryLimit {
		t.Errorf("%v", err)
	}
	if reserved == 0 {
		t.Error("nothing was reserved")
	}
	if r.Drop(); reserved != 0 {
		t.Errorf("%d bytes are still reserved", reserved)
	}
	r = &codec.Requests{Limits: limits, Reserve: func(n int) bool { return n < 0 }}
	if _, err := feed(r, text, 1000); err != codec.ErrQueryLimit {
		t.Errorf("without memory: %v", err)
	}
}

// A buffer that a long command needed is given back.
func TestLongCommandGivesItsBufferBack(t *testing.T) {
	reserved := 0
	r := &codec.Requests{Limits: limits, Reserve: func(n int) bool { reserved += n; return true }}
	r.Give(make([]byte, 16<<10))
	long := "*1\r\n$1000000\r\n" + strings.Repeat("x", 1_000_000) + "\r\n"
	for _, text := range []string{long, long + "PING\r\n", "PING\r\n"} {
		if _, err := feed(r, text, 10_000); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Space(); err != nil || reserved != 0 || r.Size() > 16<<10 {
		t.Errorf("a buffer of %d bytes, %d reserved, %v", r.Size(), reserved, err)
	}
	if buf := r.Take(); len(buf) != 16<<10 {
		t.Errorf("a buffer of %d bytes", len(buf))
	}
}

func TestReplies(t *testing.T) {
	var b []byte
	for _, proto := range []int{2, 3} {
		b = codec.AppendMap(b, proto, 1)
		b = codec.AppendBulk(b, "k")
		b = codec.AppendArray(b, 3)
		b = codec.AppendInt(b, -5)
		b = codec.AppendNull(b, proto)
		b = codec.AppendBool(b, proto, true)
		b = codec.AppendDouble(b, proto, 1.5)
		b = codec.AppendDouble(b, proto, math.Inf(-1))
		b = codec.AppendVerbatim(b, proto, "txt", "text")
		b = codec.AppendNullArray(b, proto)
		b = codec.AppendError(b, "ERR a\r\nb"+strings.Repeat("c", 1000))
	}
	r := codec.NewReplies(bytes.NewReader(b))
	var kinds []byte
	for {
		v, err := r.Read()
		if err != nil {
			break
		}
		if kinds = append(kinds, v.Kind); v.Kind == '-' && (len(v.Text) > 520 || !strings.HasPrefix(v.Text, "ERR a  bcc")) {
			t.Errorf("an error of %d bytes, %.20q", len(v.Text), v.Text)
		}
	}
	if want := "*$$$*-%,,=_-"; string(kinds) != want {
		t.Errorf("kinds %s, want %s", kinds, want)
	}
	for _, bad := range []string{"$9223372036854775807\r\n", "*99999999\r\n", "?\r\n", "$1\r\nab\r\n", strings.Repeat("*1\r\n", 1000), ":x\r\n", "+" + strings.Repeat("x", 1<<20)} {
		if _, err := codec.NewReplies(strings.NewReader(bad)).Read(); err == nil {
			t.Errorf("%.20q is read", bad)
		}
	}
}

// FuzzRequests checks that it does not matter in which pieces a text comes, and that nothing is
// returned that is over the limits.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{"*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET a\r\n", "SET \"a\\x41\" 'b'\n", "*1\r\n$9223372036854775807\r\n", "*-1\r\n*0\r\n\r\n", "*1\n$1\na\n"} {
		f.Add(seed, uint64(1))
	}
	small := codec.Limits{Arguments: 20, Bulk: 100, Query: 1 << 20}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		whole, err := feed(&codec.Requests{Limits: small}, text, len(text)+1)
		random := rand.New(rand.NewPCG(seed, 0))
		r := &codec.Requests{Limits: small}
		var pieces [][]string
		var err2 error
		for rest := text; err2 == nil; {
			n := min(random.IntN(10)+1, len(rest))
			var more [][]string
			more, err2 = feed(r, rest[:n], 3)
			pieces = append(pieces, more...)
			if rest = rest[n:]; rest == "" {
				break
			}
		}
		if fmt.Sprint(err) != fmt.Sprint(err2) || !slices.EqualFunc(whole, pieces, slices.Equal[[]string]) {
			t.Errorf("at once %q, %v; in pieces %q, %v", whole, err, pieces, err2)
		}
		for _, c := range whole {
			if len(c) == 0 || len(c) > small.Arguments {
				t.Errorf("a command of %d arguments", len(c))
			}
		}
	})
}

// FuzzReplies checks that reading replies neither panics nor takes much memory.
func FuzzReplies(f *testing.F) {
	f.Add("*2\r\n$1\r\na\r\n:1\r\n")
	f.Add("%1\r\n+a\r\n_\r\n>1\r\n#t\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := codec.NewReplies(strings.NewReader(text))
		for range 100 {
			if _, err := r.Read(); err != nil {
				return
			}
		}
	})
}

// BenchmarkRequests reads a pipeline of commands.
func BenchmarkRequests(b *testing.B) {
	text := strings.Repeat("*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nxxx\r\n", 16)
	r := &codec.Requests{Limits: codec.Limits{Arguments: 10, Bulk: 100, Query: 1 << 20}}
	for i := 0; i < b.N; {
		space, err := r.Space()
		if err != nil {
			b.Fatal(err)
		}
		r.Fed(copy(space, text))
		for {
			args, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if args == nil {
				break
			}
			i++
		}
	}
}
