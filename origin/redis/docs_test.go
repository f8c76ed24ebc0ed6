package redis

import (
	"os"
	"testing"

	"github.com/peercache/peercache/origin/internal/keys"
)

// Each key of the file has a line of help, and is in the docs.
func TestKeysAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/origins.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range keys.Undocumented(string(docs), "redis", Config{}) {
		t.Error(problem)
	}
}
