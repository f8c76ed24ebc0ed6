//go:build unix

package node

import (
	"io"
	"net/http"
	"testing"
)

// Processes with a secret in the environment are one cache, and a stranger gets nothing from them.
func TestSecret(t *testing.T) {
	t.Setenv(secretVariable, testSecret)
	client, dir := newClient(t, 1), t.TempDir()
	nodes := startNodes(t, 3, "-dir", dir, "-detection-time", silence, "-log-level", "INFO")
	waitShared(t, client, nodes, dir)

	resp, err := client.Get(nodes[0].peer + "/_peercache/files/" + newFiles(t, dir, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger gets the status %s, %q: want 401", resp.Status, text)
	}
}
