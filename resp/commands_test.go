package resp_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
)

func TestCommands(t *testing.T) {
	scores, files := newFake("scores"), newFake("files")
	scores.set("Tom", "630")
	files.set("a:b", "text of a file")
	files.load = func(ctx context.Context, key string) (string, error) {
		return "", errors.New("the disk\r\nis " + strings.Repeat("broken", 1000))
	}
	_, addr := start(t, []door.Cache{scores, files}, resp.WithDefaultGroup("scores"))
	c := dial(t, addr)
	for _, step := range [][2]string{
		{"GET scores:Tom", "$630"},
		{"get Tom", "$630"},
		{"GET scores:Sam", "(nil)"},
		{"GET files:a:b", "$text of a file"},
		{"MGET Tom scores:Sam files:a:b", "[$630 (nil) $text of a file]"},
		{"EXISTS Tom Tom Sam", ":2"},
		{"STRLEN files:a:b", ":14"},
		{"STRLEN Sam", ":0"},
		{"GETRANGE files:a:b 0 3", "$text"},
		{"GETRANGE files:a:b -4 -1", "$file"},
		{"SUBSTR files:a:b 5 6", "$of"},
		{"GETRANGE files:a:b 5 x", "-ERR value is not an integer or out of range"},
		{"TYPE Tom", "+string"},
		{"TYPE Sam", "+none"},
		{"TTL Tom", ":-1"},
		{"TTL Sam", ":-2"},
		{"SET Sam 1 EX 100", "+OK"},
		{"TTL Sam", ":100"},
		{"SET Sam 1 PX 0", "-ERR invalid expire time in 'set' command"},
		{"SET Sam 1 EXAT 1", "+OK"},
		{"GET Sam", "(nil)"},
		{"SET Sam 1 NX", "-ERR SET with NX is not possible: a read-through group cannot look and change in one step; the origin can"},
		{"SET Sam 1 NX XX", "-ERR syntax error"},
		{"SET Sam 1 EX", "-ERR syntax error"},
		{"SETEX Sam 10 2", "+OK"},
		{"GET Sam", "$2"},
		{"DEL Sam Sam Tom", ":2"},
		{"GET Tom", "(nil)"},
		{"FLUSHDB", "+OK"},
		{"DBSIZE", "-ERR DBSIZE is not possible: a read-through group does not know which keys there are"},
		{"NONSENSE a b", "-ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' "},
		{"GET", "-ERR wrong number of arguments for 'get' command"},
		{"CLIENT", "-ERR wrong number of arguments for 'client' command"},
		{"CLIENT FLY", "-ERR unknown subcommand 'FLY'. Try CLIENT HELP."},
		{"CLIENT SETNAME x", "+OK"},
		{"CLIENT GETNAME", "$x"},
		{"SELECT 0", "+OK"},
		{"SELECT 1", "-ERR DB index is out of range"},
		{"PING", "+PONG"},
		{"PING x", "$x"},
		{"ECHO x", "$x"},
		{"CONFIG GET maxm*", "[$maxmemory $0 $maxmemory-policy $allkeys-lru]"},
		{"COMMAND GETKEYS MGET a b", "[$a $b]"},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"EXEC", "-ERR EXEC without MULTI"},
		{"MULTI", "+OK"},
		{"SET a 1", "+QUEUED"},
		{"GET a", "+QUEUED"},
		{"EXEC", "[+OK $1]"},
		{"MULTI", "+OK"},
		{"GET", "-ERR wrong number of arguments for 'get' command"},
		{"EXEC", "-EXECABORT Transaction discarded because of previous errors."},
		{"RESET", "+RESET"},
	} {
		c.want(step[1], step[0])
	}
	c.want("-ERR the origin failed", "GET files:broken") // and nothing of its own words
	_, telling := start(t, []door.Cache{scores, files}, resp.WithErrorText(error.Error))
	if got := dial(t, telling).do("GET files:broken"); !strings.HasPrefix(got, "-ERR the disk  is broken") || len(got) > 600 {
		t.Errorf("an error of the origin, with WithErrorText: %s", got)
	}
	c.want("+OK", "QUIT")
}
