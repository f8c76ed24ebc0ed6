package origin_test

import (
	"os"
	"testing"

	"github.com/peercache/peercache/origin/command"
	"github.com/peercache/peercache/origin/files"
	"github.com/peercache/peercache/origin/internal/keys"
	"github.com/peercache/peercache/origin/web"
)

// Each key of the file has a line of help, and is in the docs.
func TestKeysAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../docs/origins.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, config := range map[string]any{"http": web.Config{}, "files": files.Config{}, "command": command.Config{}} {
		for _, problem := range keys.Undocumented(string(docs), kind, config) {
			t.Error(problem)
		}
	}
	type wrong struct {
		Dir   string `yaml:"dir"`
		TTL   string `yaml:"time_to_live" help:"the TTL"`
		Plain string
		Log   int `yaml:"-"`
	}
	if problems := keys.Undocumented(string(docs), "files", wrong{}); len(problems) != 3 {
		t.Errorf("%q, want one problem for each of Dir, TTL and Plain", problems)
	}
}
