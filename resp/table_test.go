package resp_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// ask sends a command and returns the reply as it is.
func (c *client) ask(words ...string) codec.Reply {
	c.t.Helper()
	c.cmd(words...)
	r, err := c.r.Read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func TestDocsListAllCommands(t *testing.T) {
	page, err := os.ReadFile("../docs/resp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Commands")
	table, _, _ = strings.Cut(table, "\n## ")
	words := make(map[string]bool)
	for _, w := range strings.FieldsFunc(table, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' }) {
		words[strings.ToLower(w)] = true
	}
	_, addr := start(t, []door.Cache{newFake("g")})
	c := dial(t, addr)
	for _, cmd := range c.ask("COMMAND").List {
		names := []string{cmd.List[0].Text}
		for _, sub := range cmd.List[9].List {
			_, name, _ := strings.Cut(sub.List[0].Text, "|")
			names = append(names, name)
		}
		for _, name := range names {
			if !words[name] {
				t.Errorf("%s of %s is not in docs/resp.md", name, names[0])
			}
		}
	}
	docs := c.ask("COMMAND", "DOCS")
	for i := 0; i < len(docs.List); i += 2 {
		if !strings.HasPrefix(show(docs.List[i+1]), "[$summary ") {
			t.Errorf("%s has no summary", docs.List[i].Text)
		}
	}
}

// Keys of no group are those of a fallback, with its own commands.
func TestFallback(t *testing.T) {
	g := newFake("g")
	g.set("a", "of g")
	key := func(name string, run func(c *resp.Conn, args [][]byte)) resp.Command {
		return resp.Command{Name: name, Arity: -2, Flags: resp.ReadOnly, FirstKey: 1, LastKey: 1, KeyStep: 1, Run: run}
	}
	atOnce := 0
	f := resp.Fallback{
		Commands: []resp.Command{
			key("get", func(c *resp.Conn, args [][]byte) { c.Bulk("data's " + string(args[1])) }),
			key("llen", func(c *resp.Conn, args [][]byte) { c.Int(7) }),
			{Name: "dbsize", Arity: 1, Run: func(c *resp.Conn, args [][]byte) { c.Int(3) }},
		},
		Exec: func(c *resp.Conn, queue []resp.Queued) {
			atOnce++
			c.Array(len(queue))
			for _, q := range queue {
				q.Run()
			}
		},
	}
	_, addr := start(t, []door.Cache{g}, resp.WithFallback(f), resp.WithCommands(resp.Command{Name: "greet", Arity: 1, Run: func(c *resp.Conn, args [][]byte) { c.Simple("hello") }}))
	c := dial(t, addr)
	c.want("$of g", "GET g:a")
	c.want("$data's h:a", "GET h:a")
	c.want(":7", "LLEN h:a")
	c.want("-ERR 'llen' is no command for keys of read-through groups, and 'g:a' is one", "LLEN g:a")
	c.want(":3", "DBSIZE")
	c.want("+hello", "GREET")
	c.send("GET g:a\r\nGET h:a\r\nGET g:a\r\n")
	c.reads("$of g", "$data's h:a", "$of g")
	c.send("MULTI\r\nPING\r\nGET h:a\r\nEXEC\r\n")
	c.reads("+OK", "+QUEUED", "+QUEUED", "[+PONG $data's h:a]")
	c.send("MULTI\r\nGET g:a\r\nGET h:a\r\nEXEC\r\n")
	c.reads("+OK", "+QUEUED", "-ERR a transaction is about keys of read-through groups, or about others: both cannot happen as one",
		"-EXECABORT Transaction discarded because of previous errors.")
	if atOnce != 1 {
		t.Errorf("Exec was called %d times", atOnce)
	}
	c.want("+OK", "CLIENT REPLY ON")
	c.send("CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n")
	c.reads("$a", "+OK")
}

// A hit costs few allocations: the key, and what the client of the test needs.
func TestHitAllocates(t *testing.T) {
	g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) { return []byte("value"), nil }))
	if err != nil {
		t.Fatal(err)
	}
	_, addr := start(t, []door.Cache{g})
	c := dial(t, addr)
	get, reply := codec.AppendCommand(nil, "GET", "g:a"), make([]byte, 64)
	allocs := testing.AllocsPerRun(2000, func() {
		c.nc.Write(get)
		if n, err := c.nc.Read(reply); err != nil || string(reply[:n]) != "$5\r\nvalue\r\n" {
			t.Fatalf("%q, %v", reply[:n], err)
		}
	})
	if allocs > 1.5 {
		t.Errorf("%v allocations for a hit, want one: the key", allocs)
	}
}
