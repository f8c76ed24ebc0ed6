package peercache_test

import "strings"

// withoutEvents returns a log without the lines of the audit.
func withoutEvents(log string) string {
	var left strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " event=") {
			left.WriteString(line)
		}
	}
	return left.String()
}
