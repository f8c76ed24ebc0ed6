package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
)

func TestFollowPeers(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	r, w := io.Pipe()
	views := make(chan string, 3)
	set := func(peers ...string) error {
		views <- strings.Join(peers, "|")
		if peers[0] == "wrong" {
			return errors.New("a wrong list")
		}
		return nil
	}
	go fmt.Fprintln(w, "a, b")
	ctx, err := followPeers(t.Context(), r, set, log)
	if got := <-views; got != "a|b" || err != nil || ctx.Err() != nil {
		t.Fatalf("after one line: peers %s, error %v, context %v", got, err, ctx.Err())
	}
	fmt.Fprintln(w, "wrong") // has no consequence once there is a view
	fmt.Fprintln(w, "c")
	w.Close()
	<-ctx.Done() // at the end of the lists
	if wrong, c := <-views, <-views; wrong != "wrong" || c != "c" {
		t.Errorf("then peers %s and %s: want wrong and c", wrong, c)
	}

	if _, err := followPeers(t.Context(), strings.NewReader("wrong\n"), set, log); err == nil {
		t.Error("a wrong first list: want an error")
	}
	if ctx, err := followPeers(t.Context(), strings.NewReader(""), set, log); err != nil || ctx.Err() == nil {
		t.Errorf("no list: error %v, context %v: want none, and one that has ended", err, ctx.Err())
	}
}

func TestAPIURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9999": "http://127.0.0.1:9999/api",
		"[::1]:80":       "http://[::1]:80/api",
		"0.0.0.0:9999":   "http://localhost:9999/api",
		"[::]:9999":      "http://localhost:9999/api",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := apiURL(a); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}
