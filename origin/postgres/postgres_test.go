//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

const none = "\x00none"

// brings checks what o loads for keys: one by one, and all at once.
func brings(t *testing.T, o *Origin, want map[string]string, ttls map[string]time.Duration) {
	t.Helper()
	check := func(how, key string, item peercache.Item, err error) {
		t.Helper()
		switch want := want[key]; {
		case want == none && !errors.Is(err, peercache.ErrNotFound), want != none && (err != nil || string(item.Value) != want || item.Value == nil):
			t.Errorf("%s %q: %q, %v, want %q", how, key, item.Value, err, want)
		case want != none && item.TTL != ttls[key]:
			t.Errorf("%s %q: TTL %v, want %v", how, key, item.TTL, ttls[key])
		}
	}
	var keys []string
	for key := range want {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		item, err := o.Get(t.Context(), key)
		check("Get", key, item, err)
	}
	items, err := o.GetBatch(t.Context(), keys)
	errs, ok := errors.AsType[peercache.BatchError](err)
	if !ok {
		errs = make(peercache.BatchError, len(keys))
	}
	if err != nil && !ok || len(items) != len(keys) {
		t.Fatalf("GetBatch: %d items, %v", len(items), err)
	}
	for i, key := range keys {
		check("GetBatch", key, items[i], errs[i])
	}
}

func TestTypes(t *testing.T) {
	s := start(t)
	dsn := s.database(t,
		`CREATE TABLE texts (key text PRIMARY KEY, short varchar(80), value text, bytes bytea, number numeric, doc jsonb)`,
		`INSERT INTO texts VALUES ('Tom', 'Tom', '630', '\x00ff0a', 1.50, '{"a": 1}'), ('', '', '', '', 0, '[]'), ('a ''b', 'a ''b', E'\n', 'x', 1, '1'), ('null', 'null', NULL, NULL, NULL, NULL)`,
		`CREATE TABLE numbers (id bigint PRIMARY KEY, small smallint, value text)`,
		`INSERT INTO numbers VALUES (7, 7, 'seven'), (-1, -1, 'minus one'), (0, 0, 'zero')`,
		`CREATE TABLE ids (id uuid PRIMARY KEY, value text)`,
		`INSERT INTO ids VALUES ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'one')`,
		`CREATE TABLE binaries (key bytea PRIMARY KEY, value bytea)`,
		`INSERT INTO binaries VALUES ('\x00ff', '\x01'), ('Tom', 'Sam')`,
	)
	text := map[string]string{"Tom": "630", "": "", "a 'b": "\n", "null": none, "Sam": none, "\xff": none, "a\x00": none, "tom": none}
	number := map[string]string{"7": "seven", "-1": "minus one", "0": "zero", "8": none, "007": none, "+7": none, "-0": none, "x": none, "": none,
		"9223372036854775807": none, "9223372036854775808": none, "32768": none, "7 ": none}
	for query, want := range map[string]map[string]string{
		"SELECT key, value FROM texts WHERE key = ANY($1)":          text,
		"SELECT short, value FROM texts WHERE short = ANY($1)":      text,
		"SELECT key, bytes FROM texts WHERE key = ANY($1)":          {"Tom": "\x00\xff\n", "": "", "null": none, "Sam": none},
		"SELECT key, number FROM texts WHERE key = ANY($1);":        {"Tom": "1.50", "Sam": none},
		"SELECT key, doc FROM texts WHERE key = ANY($1) -- comment": {"Tom": `{"a": 1}`, "": "[]"},
		"SELECT id, value FROM numbers WHERE id = ANY($1)":          number,
		"SELECT small, value FROM numbers WHERE small = ANY($1)":    number,
		"SELECT id::text, value FROM numbers WHERE id = ANY($1)":    number,
		"SELECT id, value FROM ids WHERE id = ANY($1)": {"6ba7b810-9dad-11d1-80b4-00c04fd430c8": "one", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8": none,
			"6ba7b8109dad11d180b400c04fd430c8": none, "6ba7b810-9dad-11d1-80b4-00c04fd430c9": none, "6ba7b810-9dad-11d1-80b4-00c04fd430cg": none, "x": none, "6ba7b810-9da--11d1-80b4-00c04fd430c8": none},
		"SELECT key, value FROM binaries WHERE key = ANY($1)": {"\x00\xff": "\x01", "Tom": "Sam", "\xff": none},
	} {
		o := newOrigin(t, Config{DSN: dsn, Query: query})
		brings(t, o, want, nil)
		o.Close()
	}
}

func TestTTLs(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text, value text, ttl interval, seconds numeric)`,
		`INSERT INTO scores VALUES ('a', '1', '1 hour 30 minutes', 5400), ('b', '2', '2 days', 172800), ('c', '3', '-1 second', -1), ('d', '4', NULL, NULL),
			('e', '5', '0', 0), ('f', '6', '1 month', 2592000), ('g', '7', '1500 microseconds', 0.0015), ('h', '8', '1000000 years', 1e30)`)
	values := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8", "i": none}
	ttls := map[string]time.Duration{"a": 90 * time.Minute, "b": 48 * time.Hour, "c": -1, "d": time.Minute, "e": -1, "f": 720 * time.Hour, "g": 1500 * time.Microsecond, "h": math.MaxInt64}
	for _, column := range []string{"ttl", "seconds"} {
		brings(t, newOrigin(t, Config{DSN: dsn, TTL: time.Minute, Query: "SELECT key, value, " + column + " FROM scores WHERE key = ANY($1)"}), values, ttls)
	}
	brings(t, newOrigin(t, Config{DSN: dsn, TTL: time.Minute, Query: "SELECT key, value FROM scores WHERE key = ANY($1)"}), map[string]string{"a": "1"}, map[string]time.Duration{"a": time.Minute})
	if _, err := newOrigin(t, Config{DSN: dsn, Query: "SELECT key, value, 'NaN'::float8 FROM scores WHERE key = ANY($1)"}).Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "no number of seconds") {
		t.Errorf("NaN: %v", err)
	}
}

// What is wrong with a statement is said with what would be right, when the first connection is made.
func TestStatementIsChecked(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TYPE color AS ENUM ('red')`, `CREATE TABLE scores (key text, value text, id int, paint color, day date, list text[])`,
		`INSERT INTO scores (key, value) VALUES ('Tom', '1'), ('Tom', '2'), ('Sam', '3')`)
	for query, want := range map[string]string{
		"SELECT key, value FROM nowhere WHERE key = ANY($1)":                             `relation "nowhere" does not exist`,
		"SELECT key value FRM scores":                                                    "syntax error",
		"SELECT key, value FROM scores":                                                  "it has 0 parameters: want one, the keys, as in SELECT key, value",
		"SELECT key, value FROM scores WHERE key = ANY($1) AND id = $2":                  "it has 2 parameters",
		"SELECT key, value FROM scores WHERE key = $1":                                   "its parameter is one text: want an array of keys",
		"SELECT id, value FROM scores WHERE id = $1":                                     "its parameter is one integer: want an array",
		"SELECT paint, value FROM scores WHERE paint = ANY($1)":                          "want them as text, as in key::text = ANY($1)",
		"SELECT day, value FROM scores WHERE day = ANY($1)":                              "keys that are date: want them as text",
		"SELECT key FROM scores WHERE key = ANY($1)":                                     "it returns 1 columns: want the key, the value",
		"SELECT * FROM scores WHERE key = ANY($1)":                                       "it returns 6 columns",
		"SELECT id, value FROM scores WHERE key = ANY($1)":                               "its first column is int4: want the key, which is text",
		"SELECT key, value, day FROM scores WHERE key = ANY($1)":                         "its third column is date: want a TTL",
		"SELECT key, value FROM scores WHERE key = ANY($1); SELECT 1":                    "cannot insert multiple commands",
		"DELETE FROM scores WHERE key = ANY($1)":                                         "it returns 0 columns",
		"SELECT key, value FROM scores WHERE key = ANY($1)":                              `two rows for the key "Tom"`,
		"SELECT 'Sam'::text, value FROM scores WHERE key = ANY($1)":                      `the key "Sam", which was not asked for`,
		"SELECT key, value FROM scores WHERE key = ANY($1) OR key <> 'Tom' ORDER BY key": `the key "Sam", which was not asked for`,
		"SELECT NULL::text, value FROM scores WHERE key = ANY($1)":                       `the key "", which was not asked for`,
	} {
		o := newOrigin(t, Config{DSN: dsn, Query: query})
		if _, err := o.Get(t.Context(), "Tom"); err == nil || !strings.HasPrefix(err.Error(), "postgres: ") || !strings.Contains(err.Error(), want) || errors.Is(err, peercache.ErrNotFound) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
		if items, err := o.GetBatch(t.Context(), []string{"Tom", "Ann"}); err == nil || items != nil {
			t.Errorf("%s: a batch brings %v", query, items)
		}
		o.Close()
	}
}

func TestBatch(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text PRIMARY KEY, value text)`, `INSERT INTO scores SELECT 'key' || i, i FROM generate_series(0, 999) i`)
	o := newOrigin(t, Config{DSN: dsn, Query: example2})
	want := make(map[string]string)
	for i := range 1100 {
		want[fmt.Sprint("key", i)] = fmt.Sprint(i)
		if i > 999 {
			want[fmt.Sprint("key", i)] = none
		}
	}
	brings(t, o, want, nil)
	group, err := peercache.NewGroup("scores", 1<<20, o)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range want {
		keys = append(keys, key)
	}
	for i, r := range group.GetMulti(t.Context(), keys) {
		if w := want[keys[i]]; w == none && !errors.Is(r.Err, peercache.ErrNotFound) || w != none && r.View.String() != w {
			t.Errorf("%s: %v, %v", keys[i], r.View, r.Err)
		}
	}
}

const example2 = "SELECT key, value FROM scores WHERE key = ANY($1)"

// A table may change while a node runs.
func TestTableThatChanges(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text, value text)`, `INSERT INTO scores VALUES ('Tom', 'abc')`)
	o := newOrigin(t, Config{DSN: dsn, Query: example2, Connections: 3})
	want := map[string]string{"Tom": "abc", "Sam": none}
	brings(t, o, want, nil)
	s.do(t, dsn, `ALTER TABLE scores ALTER value TYPE bytea USING value::bytea`)
	brings(t, o, want, nil)
	s.do(t, dsn, `ALTER TABLE scores ALTER key TYPE varchar(10), ADD other text`)
	brings(t, o, want, nil)
	s.do(t, dsn, `ALTER TABLE scores RENAME TO scores_old`)
	if _, err := o.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("without its table: %v", err)
	}
	s.do(t, dsn, `ALTER TABLE scores_old RENAME TO scores`)
	brings(t, o, want, nil)
}

// A database that is down is an error of each load, not of New, and is found when it is back.
func TestDatabaseThatIsDown(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text, value text)`, `INSERT INTO scores VALUES ('Tom', '630')`)
	o := newOrigin(t, Config{DSN: dsn, Query: example2})
	want := map[string]string{"Tom": "630"}
	brings(t, o, want, nil)
	s.stop()
	for range 2 {
		if _, err := o.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) {
			t.Errorf("down: %v", err)
		}
	}
	late := newOrigin(t, Config{DSN: dsn, Query: example2})
	if _, err := late.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) || strings.Contains(err.Error(), "secret") {
		t.Errorf("down from the beginning: %v", err)
	}
	s.run(t)
	brings(t, o, want, nil)
	brings(t, late, want, nil)
}

// A statement that takes too long is ended here, and by the server.
func TestTimeouts(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text, value text)`, `INSERT INTO scores VALUES ('Tom', '630')`)
	const slow = "SELECT key, value FROM scores, pg_sleep(60) WHERE key = ANY($1)"
	begin := time.Now()
	o := newOrigin(t, Config{DSN: dsn, Query: slow, StatementTimeout: 50 * time.Millisecond, Timeout: 30 * time.Second})
	if _, err := o.Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "statement timeout") {
		t.Errorf("%v, want that of the server", err)
	}
	o = newOrigin(t, Config{DSN: dsn, Query: slow, StatementTimeout: -1, Timeout: 200 * time.Millisecond})
	if _, err := o.Get(t.Context(), "Tom"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the time", err)
	}
	o = newOrigin(t, Config{DSN: dsn, Query: slow, StatementTimeout: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := o.Get(ctx, "Tom"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the caller's", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestRowsAreBounded(t *testing.T) {
	s := start(t)
	dsn := s.database(t, `CREATE TABLE scores (key text, value text)`, `INSERT INTO scores VALUES ('Tom', '630'), ('large', repeat('x', 1000000))`)
	o := newOrigin(t, Config{DSN: dsn, Query: example2, MaxBytes: 500_000})
	if _, err := o.Get(t.Context(), "large"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("a large row: %v", err)
	}
	brings(t, o, map[string]string{"Tom": "630"}, nil)
}

func TestPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	c := Config{DSN: "host=localhost password=first", Query: example2, PasswordFile: file}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "password_file") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, c)
	config := o.pool.Config().ConnConfig
	for _, password := range []string{"second", "third"} {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := o.pool.Config().BeforeConnect(t.Context(), config); err != nil || config.Password != password {
			t.Errorf("%q, %v, want %q", config.Password, err, password)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"dsn is missing":    {Query: example2},
		"query is missing":  {DSN: "host=a"},
		"dsn: ":             {DSN: "postgres://a:secret@b:x/", Query: example2},
		"ttl is -1s":        {DSN: "host=a", Query: example2, TTL: -time.Second},
		"connections is -1": {DSN: "host=a", Query: example2, Connections: -1},
		"max_bytes is 2GiB": {DSN: "host=a", Query: example2, MaxBytes: 2 << 30},
		"simple_protocol":   {DSN: "host=a default_query_exec_mode=simple_protocol", Query: example2},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "postgres: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestFactory(t *testing.T) {
	var f origin.Factory = Factory
	getter, err := f(t.Context(), origin.Env{}, func(section any) error {
		c := section.(*Config)
		c.DSN, c.Query = "host=/nowhere", example2
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := getter.(*Origin).Close(); err != nil {
		t.Error(err)
	}
	wrong := errors.New("line 3: unknown key")
	if _, err := f(t.Context(), origin.Env{}, func(any) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what decode said", err)
	}
	if getter, err := f(t.Context(), origin.Env{}, func(any) error { return nil }); err == nil || getter != nil {
		t.Errorf("%v, %v: want an error", getter, err)
	}
}
