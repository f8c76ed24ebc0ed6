package redis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// table has the commands, of which a cluster and a retry need the keys and the flags.
var table = func() engine.Table {
	t, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		panic(err)
	}
	return t
}()

// stateful are commands that change what a connection is, which others share.
var stateful = map[string]string{
	"multi": "use Tx", "exec": "use Tx", "discard": "use Tx", "watch": "use Tx", "unwatch": "use Tx",
	"subscribe": "", "psubscribe": "", "ssubscribe": "", "unsubscribe": "", "punsubscribe": "", "sunsubscribe": "",
	"monitor": "", "select": "", "auth": "", "hello": "", "client": "", "quit": "", "reset": "", "sync": "", "psync": "", "readonly": "",
	"readwrite": "", "asking": "",
}

// refused returns why a command may not be sent on a connection that others share, or "".
func refused(cmd data.Cmd) string {
	if cmd.Name == "" {
		return "ERR unknown command ''"
	}
	instead, ok := stateful[strings.ToLower(cmd.Name)]
	if !ok {
		return ""
	}
	text := fmt.Sprintf("ERR the command '%s' would change a connection that others share", cmd.Name)
	if instead != "" {
		text += ": " + instead
	}
	return text
}

// build makes a command for rueidis. Of its keys only the first one decides where it goes: if the others are elsewhere, it is the server who
// says so. once has it sent once only.
func build(b rueidis.Builder, cmd data.Cmd, once bool) rueidis.Completed {
	made := b.Arbitrary(cmd.Name)
	c, at := table.Find(cmd.Name), firstKey(cmd)
	if at > 0 {
		made = made.Args(cmd.Args[:at-1]...).Keys(cmd.Args[at-1]).Args(cmd.Args[at:]...)
	} else {
		made = made.Args(cmd.Args...)
	}
	switch {
	case c == nil || once:
		return made.Build()
	case c.Flags&engine.Blocking != 0:
		return made.Blocking()
	case c.Flags&engine.ReadOnly != 0:
		return made.ReadOnly()
	}
	return made.Build()
}

// firstKey returns the place of the first key of a command, where 1 is the first argument, or 0. Of a command that is not known it is the
// first argument.
func firstKey(cmd data.Cmd) int {
	c := table.Find(cmd.Name)
	if c == nil {
		return min(1, len(cmd.Args))
	}
	args := append([]string{cmd.Name}, cmd.Args...)
	switch {
	case !c.Fits(len(args)):
		return 0
	case c.Keys.Find != nil:
		if places := c.Keys.Find(args); len(places) > 0 {
			return places[0]
		}
		return 0
	case c.Keys.First < len(args):
		return c.Keys.First
	}
	return 0
}

// replyTo makes a Reply of what the server has replied to a command.
func replyTo(cmd data.Cmd, result rueidis.RedisResult) (data.Reply, error) {
	r, err := replyOf(result)
	return withStatus(cmd, r), err
}

// withStatus returns a reply with its kind: rueidis does not tell a status from a string.
func withStatus(cmd data.Cmd, r data.Reply) data.Reply {
	if r.Kind != data.StringReply {
		return r
	}
	c := table.Find(cmd.Name)
	if c == nil || c.Flags&engine.Status == 0 {
		return r
	}
	isGet := func(option string) bool { return strings.EqualFold(option, "get") }
	if c.Name != "set" || !slices.ContainsFunc(cmd.Args[min(2, len(cmd.Args)):], isGet) {
		r.Kind = data.StatusReply
	}
	return r
}

func replyOf(result rueidis.RedisResult) (data.Reply, error) {
	m, err := result.ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		if text, ok := errorText(err); ok {
			return data.Reply{Kind: data.ErrorReply, Str: text}, nil
		}
		return data.Reply{}, fmt.Errorf("redis: %w", err)
	}
	if err != nil {
		return data.Reply{}, nil
	}
	return replyOfMessage(&m)
}

// errorText returns the text of an error that the server has replied. rueidis has cut ERR off.
func errorText(err error) (string, bool) {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return "", false
	}
	text := e.Error()
	code, _, _ := strings.Cut(text, " ")
	if code == "" || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		text = "ERR " + text
	}
	return text, true
}

func replyOfMessage(m *rueidis.RedisMessage) (data.Reply, error) {
	switch {
	case m.IsNil():
		return data.Reply{}, nil
	case m.IsString():
		s, err := m.ToString()
		return data.Reply{Kind: data.StringReply, Str: s}, err
	case m.IsInt64():
		n, err := m.ToInt64()
		return data.Reply{Kind: data.IntReply, Int: n}, err
	case m.IsFloat64():
		f, err := m.ToFloat64()
		return data.Reply{Kind: data.FloatReply, Float: f}, err
	case m.IsBool():
		b, err := m.ToBool()
		r := data.Reply{Kind: data.IntReply}
		if b {
			r.Int = 1
		}
		return r, err
	case m.IsArray():
		list, err := m.ToArray()
		if err != nil {
			return data.Reply{}, err
		}
		return listOf(list)
	case m.IsMap():
		pairs, err := m.ToMap()
		if err != nil {
			return data.Reply{}, err
		}
		r := data.Reply{Kind: data.MapReply}
		for key, value := range pairs {
			v, err := replyOfMessage(&value)
			if err != nil {
				return r, err
			}
			r.List = append(r.List, data.Reply{Kind: data.StringReply, Str: key}, v)
		}
		return r, nil
	}
	if text, ok := errorText(m.Error()); ok {
		return data.Reply{Kind: data.ErrorReply, Str: text}, nil
	}
	v, err := m.ToAny()
	return data.Reply{Kind: data.StringReply, Str: fmt.Sprint(v)}, err
}

func listOf(list []rueidis.RedisMessage) (data.Reply, error) {
	r := data.Reply{Kind: data.ListReply, List: make([]data.Reply, len(list))}
	for i := range list {
		var err error
		if r.List[i], err = replyOfMessage(&list[i]); err != nil {
			return r, err
		}
	}
	return r, nil
}
