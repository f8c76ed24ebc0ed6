package rpc

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/door"
	datapb "github.com/peercache/peercache/rpc/proto/peercache/data/v1"
)

// serveData serves a Memory alone.
func serveData(t *testing.T, opts ...Option) (*Server, datapb.DataClient) {
	t.Helper()
	memory, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	s, cc := serve(t, nil, append(opts, WithData("data", memory))...)
	return s, datapb.NewDataClient(cc)
}

// request makes a request of commands, each a line of words.
func request(atomic bool, lines ...string) *datapb.DoRequest {
	r := &datapb.DoRequest{Atomic: atomic}
	for _, line := range lines {
		c := new(datapb.Command)
		for _, word := range strings.Fields(line) {
			c.Args = append(c.Args, []byte(word))
		}
		r.Commands = append(r.Commands, c)
	}
	return r
}

// shown is a response in one line.
func shown(r *datapb.DoResponse) string {
	text := prototext.MarshalOptions{}.Format(r)
	return strings.Join(strings.Fields(text), " ")
}

func TestDataCommands(t *testing.T) {
	_, c := serveData(t)
	for _, tt := range []struct {
		request *datapb.DoRequest
		want    string
	}{
		{request(false, "SET a 1", "get a", "incr a", "GET none"), `replies:{status:"OK"} replies:{text:"1"} replies:{integer:2} replies:{null:true}`},
		{request(false, "HSET h f v", "HGETALL h"), `replies:{integer:1} replies:{map:{items:{text:"f"} items:{text:"v"}}}`},
		{request(false, "SADD s x", "SMEMBERS s"), `replies:{integer:1} replies:{set:{items:{text:"x"}}}`},
		{request(false, "ZADD z 1.5 x", "ZSCORE z x"), `replies:{integer:1} replies:{number:1.5}`},
		{request(false, "GET h", "NOSUCH"), `replies:{error:"WRONGTYPE Operation against a key holding the wrong kind of value"} replies:{error:"ERR unknown command`},
		{request(true, "INCR a", "INCR a"), `replies:{integer:3} replies:{integer:4}`},
		{request(true, "INCR a", "INCR h", "INCR a"), `replies:{integer:5} replies:{error:"WRONGTYPE Operation against a key holding the wrong kind of value"} undone:true`},
		{request(false, "GET a"), `replies:{text:"4"}`},
	} {
		r, err := c.Do(within(t), tt.request)
		if err != nil {
			t.Fatalf("%v: %v", tt.request, err)
		}
		if got := shown(r); !strings.HasPrefix(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(tt.want, " ", "")) {
			t.Errorf("%v:\n%s\nwant\n%s", tt.request, got, tt.want)
		}
	}
	for _, r := range []*datapb.DoRequest{request(false), {Commands: []*datapb.Command{{}}}} {
		if _, err := c.Do(within(t), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func TestDataRights(t *testing.T) {
	tokens, err := door.NewTokens(map[string]door.Rights{
		"a-token-that-may-get": {May: door.RightGet, Groups: []string{"data"}}, "a-token-that-may-change": {May: door.RightGet | door.RightChange},
		"a-token-for-elsewhere": {May: door.AllRights, Groups: []string{"g"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	memory, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	_, cc := serve(t, []door.Cache{newFake("g")}, WithTokens(tokens), WithData("data", memory))
	c := datapb.NewDataClient(cc)
	for _, tt := range []struct {
		token, command string
		want           codes.Code
	}{
		{"get", "GET a", codes.OK}, {"get", "SET a 1", codes.PermissionDenied}, {"get", "NOSUCH", codes.PermissionDenied},
		{"change", "SET a 1", codes.OK}, {"change", "FLUSHALL", codes.PermissionDenied}, {"change", "FlushDB", codes.PermissionDenied},
	} {
		ctx := metadata.AppendToOutgoingContext(within(t), "authorization", "Bearer a-token-that-may-"+tt.token)
		if _, err := c.Do(ctx, request(false, tt.command)); status.Code(err) != tt.want {
			t.Errorf("%s by a token that may %s: %v, want %v", tt.command, tt.token, err, tt.want)
		}
	}
	if _, err := c.Do(within(t), request(false, "GET a")); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(within(t), "authorization", "Bearer a-token-for-elsewhere")
	if _, err := c.Do(ctx, request(false, "GET a")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a token for a group: %v", err)
	}
}

// A command that waits ends with the node.
func TestDataWaitsUntilShutdown(t *testing.T) {
	s, c := serveData(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Do(within(t), request(false, "BLPOP none 0"))
		ended <- err
	}()
	eventually(t, "the command to wait", func() bool { return s.calls.Load() == 1 })
	if err := s.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestDataNames(t *testing.T) {
	memory, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := New([]door.Cache{newFake("data")}, WithData("data", memory)); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("a group of that name: %v", err)
	}
	if _, err := New(nil); err == nil {
		t.Error("nothing to serve")
	}
	if _, err := New(nil, WithData("", memory)); err == nil {
		t.Error("no name")
	}
}

// The replies of a call are bounded, and what a call that is atomic has done is undone.
func TestDataRepliesAreBounded(t *testing.T) {
	s, c := serveData(t, WithLimits(Limits{MessageBytes: 1 << 20, RequestBytes: 4 << 20}))
	large := strings.Repeat("x", 100_000)
	if _, err := c.Do(t.Context(), request(false, "SET large "+large, "SET n 0")); err != nil {
		t.Fatal(err)
	}
	for i, atomic := range []bool{false, true} {
		lines := append([]string{"INCR n"}, slices.Repeat([]string{"GET large"}, 1000)...)
		_, err := c.Do(t.Context(), request(atomic, append(lines, "INCR n")...))
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("1,000 large replies, atomic %v: %v", atomic, err)
		}
		r, err := c.Do(t.Context(), request(false, "GET n"))
		if err != nil || shown(r) != `replies:{text:"1"}` {
			t.Errorf("%d: after it: %v, %v", i, r, err)
		}
	}
	if held := s.opts.data.held.Load(); held != 0 {
		t.Errorf("%d bytes are held of replies that were sent", held)
	}
}

func TestDataMessages(t *testing.T) {
	s, c := serveData(t)
	ctx, cancel := context.WithCancel(within(t))
	stream, err := c.Subscribe(ctx, &datapb.SubscribeRequest{Channels: [][]byte{[]byte("news")}, Patterns: [][]byte{[]byte("n*")}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || len(m.GetChannel()) > 0 {
		t.Fatalf("%v, %v: want that it begins", m, err)
	}
	if _, err := c.Do(within(t), request(false, "PUBLISH news hello", "PUBLISH other x")); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for range 2 {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got[string(m.GetPattern())] = string(m.GetChannel()) + " " + string(m.GetPayload())
	}
	if got[""] != "news hello" || got["n*"] != "news hello" {
		t.Errorf("%q", got)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	eventually(t, "nobody to listen", func() bool { return s.watchers.Load() == 0 })

	stream, err = c.Subscribe(within(t), &datapb.SubscribeRequest{Channels: [][]byte{[]byte("news")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("at the end of the node: %v", err)
	}
}

// A subscriber that reads too slowly is ended, and holds nobody up.
func TestDataMessagesThatNobodyReads(t *testing.T) {
	_, c := serveData(t)
	stream, err := c.Subscribe(within(t), &datapb.SubscribeRequest{Channels: [][]byte{[]byte("news")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	publish := make([]string, 3000) // far more than wait for it, here and on the way
	for i := range publish {
		publish[i] = "PUBLISH news " + strings.Repeat("x", 1000)
	}
	if _, err := c.Do(within(t), request(false, publish...)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

func TestDataMessagesRefused(t *testing.T) {
	_, c := serveData(t)
	stream, err := c.Subscribe(within(t), &datapb.SubscribeRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("no channel: %v", err)
	}
}
