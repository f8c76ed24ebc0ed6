// Command gendocs writes docs/data-commands.md from the table of commands.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// groups are those of the commands, in the order of the page, with their titles.
var groups = []struct{ name, title string }{
	{"generic", "Keys"}, {"string", "Strings"}, {"bitmap", "Bits"}, {"hash", "Hashes"}, {"list", "Lists"}, {"set", "Sets"},
	{"sorted-set", "Sorted sets"}, {"channel", "Channels"}, {"transactions", "Transactions"}, {"pubsub", "Messages"}, {"server", "The server"}, {"connection", "Connections"},
}

const head = `# Commands of data

The commands of [package data](data.md), from the table that Go's client, the doors, the log and this page are made of.
What a command of Redis' name does is what Redis 7.0 does; the differences stand in [data.md](data.md#differences-to-redis).
"Since" is the version of Redis that had the command first. n is the number of elements, unless it says otherwise.

<!-- Written by go generate in data: do not edit. -->
`

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs FILE")
	}
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		log.Fatal(err)
	}
	page, err := render(table.All())
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], page, 0o666); err != nil {
		log.Fatal(err)
	}
}

// render returns the page. A command of an unknown group is an error: it would be missing.
func render(all []*engine.Command) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	shown := 0
	for _, g := range groups {
		of := slices.DeleteFunc(slices.Clone(all), func(c *engine.Command) bool { return c.Group != g.name })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| command | what it does | time | since |\n|---|---|---|---|\n", g.title)
		for _, c := range of {
			usage := strings.TrimSpace(strings.ToUpper(c.Name) + " " + c.Args)
			since := c.Since
			if since == "" {
				since = "not in Redis"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.ReplaceAll(usage, "|", `\|`), cell(c.Summary), cell(c.Complexity), since)
		}
		shown += len(of)
	}
	if shown != len(all) {
		return nil, fmt.Errorf("%d of %d commands have a group that is not known", len(all)-shown, len(all))
	}
	return b.Bytes(), nil
}

// cell returns a text as a cell of a table may have it.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
