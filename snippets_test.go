package peercache_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSnippetsAreExamples checks that the code that a reader copies first is that of an
// Example, which the compiler has seen.
func TestSnippetsAreExamples(t *testing.T) {
	examples := onlyCode(readText(t, "example_embed_test.go"))
	for _, tt := range []struct {
		file  string
		block *regexp.Regexp
		want  int // how many blocks, from the first on
	}{
		{"doc.go", regexp.MustCompile(`(?m)(^//(\t.*)?\n)*^//\t.*\n`), 1},
		{"README.md", regexp.MustCompile("(?ms)^```go\n(.*?)^```\n"), 2},
	} {
		blocks := tt.block.FindAllString(readText(t, tt.file), tt.want)
		if len(blocks) < tt.want {
			t.Errorf("%s has %d blocks of code, want %d", tt.file, len(blocks), tt.want)
		}
		for _, block := range blocks {
			if code := onlyCode(block); !strings.Contains(examples, code) {
				t.Errorf("%s: no Example has this code:\n%s", tt.file, code)
			}
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n") // as git may write it on Windows
}

// onlyCode returns the lines that are not empty, without the marks of code and comments.
func onlyCode(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimSpace(line), "/ \t")
		if line != "" && !strings.HasPrefix(line, "```") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
