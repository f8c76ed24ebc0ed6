package api_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// TestDocs runs the commands of docs/api.md, and checks that they print what stands there. An ellipsis
// stands for any text.
func TestDocs(t *testing.T) {
	for _, program := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here: %v", program, err)
		}
	}
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{"Tom": "630", "Ann": "589", "\xff": "\xff\xff"}
	scores, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		if value, ok := known[key]; ok {
			return []byte(value), nil
		}
		return nil, peercache.ErrNotFound
	}), peercache.WithTTL(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	server := serverOf(t, handlerOf(t, []door.Cache{scores}))
	commands := 0
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		for _, one := range regexp.MustCompile(`(?m)^\$ `).Split(block[1], -1)[1:] {
			command, want, _ := strings.Cut(one, "\n")
			commands++
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "http://127.0.0.1:8003", server.URL))
			cmd.Env = append(os.Environ(), "no_proxy=*")
			got, err := cmd.Output()
			pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(want, "\n")), "…", ".*")
			if !regexp.MustCompile("^"+pattern+"$").Match([]byte(strings.TrimSuffix(string(got), "\n"))) || err != nil {
				t.Errorf("%s\nprints %q, want %q: %v", command, got, want, err)
			}
		}
	}
	if commands < 15 {
		t.Errorf("%d commands were found", commands)
	}
	for _, code := range regexp.MustCompile(`(?m)^            - (\w+)$`).FindAllStringSubmatch(string(api.OpenAPI()), -1) {
		if !strings.Contains(string(text), "`"+code[1]+"`") {
			t.Errorf("the code %s is not in docs/api.md", code[1])
		}
	}
}
