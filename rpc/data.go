package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/door"
	datapb "github.com/peercache/peercache/rpc/proto/peercache/data/v1"
)

// WithData has the server run commands on a driver as well: the service peercache.data.v1.Data. name stands for the data where
// tokens and authorizers name a group. No group may have it. A command that only reads needs RightGet, one that may write RightChange,
// one that removes all keys RightClear, and Subscribe RightWatch.
func WithData(name string, driver data.Driver) Option {
	return func(o *options) error {
		if name == "" || driver == nil {
			return errors.New("WithData: want a name and a driver")
		}
		o.data = newDataService(name, driver)
		return nil
	}
}

// dataService answers the calls of peercache.data.v1.Data.
type dataService struct {
	datapb.UnimplementedDataServer
	server *Server
	name   string
	driver data.Driver
	rights map[string]door.Right // by the name of a command
	waits  map[string]bool       // the names of those that wait for others
	held   atomic.Int64          // bytes of replies that are not sent
}

// clearing are the commands that remove all keys.
var clearing = []string{"flushall", "flushdb"}

func newDataService(name string, driver data.Driver) *dataService {
	infos := data.CommandInfos()
	if d, ok := driver.(interface{ CommandInfos() []data.CommandInfo }); ok {
		infos = d.CommandInfos()
	}
	s := &dataService{name: name, driver: driver, rights: make(map[string]door.Right, len(infos)), waits: make(map[string]bool)}
	for _, info := range infos {
		s.rights[info.Name] = door.RightChange
		if info.ReadOnly {
			s.rights[info.Name] = door.RightGet
		}
		s.waits[info.Name] = info.Blocking
	}
	for _, name := range clearing {
		s.rights[name] = door.RightClear
	}
	return s
}

// right returns what a command needs. Of one that is not there nobody knows what it does.
func (s *dataService) right(command string) door.Right {
	if right, ok := s.rights[command]; ok {
		return right
	}
	return door.RightChange
}

// Do implements datapb.DataServer.
func (s *dataService) Do(ctx context.Context, r *datapb.DoRequest) (*datapb.DoResponse, error) {
	cmds, err := s.commands(ctx, r.GetCommands())
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.untilClosing(ctx, cmds)
	defer cancel()
	held := &heldReplies{service: s}
	defer held.release()
	var replies []data.Reply
	undone := false
	if r.GetAtomic() {
		replies, undone, err = s.atomic(ctx, cmds, held)
	} else {
		replies, err = s.run(ctx, cmds, held)
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	response := &datapb.DoResponse{Undone: undone, Replies: make([]*datapb.Reply, len(replies))}
	for i := range replies {
		response.Replies[i] = replyOf(&replies[i])
	}
	return response, nil
}

// commands returns the commands of a request, if the client may run all of them. The error is a status.
func (s *dataService) commands(ctx context.Context, list []*datapb.Command) ([]data.Cmd, error) {
	if most := s.server.opts.limits.Keys; len(list) == 0 || len(list) > most {
		return nil, status.Errorf(codes.InvalidArgument, "a request with %d commands: want 1 to %d", len(list), most)
	}
	cmds := make([]data.Cmd, len(list))
	for i, c := range list {
		if len(c.GetArgs()) == 0 || len(c.GetArgs()[0]) == 0 {
			return nil, status.Error(codes.InvalidArgument, "a command without a name")
		}
		args := make([]string, len(c.GetArgs()))
		for j, arg := range c.GetArgs() {
			args[j] = string(arg)
		}
		cmds[i] = data.Cmd{Name: strings.ToLower(args[0]), Args: args[1:]}
		if err := s.server.may(ctx, door.Access{Group: s.name, Right: s.right(cmds[i].Name)}); err != nil {
			return nil, err
		}
	}
	return cmds, nil
}

// untilClosing returns a context for commands. It ends with Shutdown as well if one of them may wait for others: nobody would
// wait for that.
func (s *dataService) untilClosing(ctx context.Context, cmds []data.Cmd) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if slices.ContainsFunc(cmds, func(c data.Cmd) bool { return s.waits[c.Name] }) {
		go func() {
			select {
			case <-s.server.closing:
				cancel(errClosing)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// errUndo ends a transaction of which a command has failed.
var errUndo = errors.New("a command has failed")

// atomic runs commands as one. A driver whose transactions look at no reply before they end cannot undo them: there the
// others happen.
func (s *dataService) atomic(ctx context.Context, cmds []data.Cmd, held *heldReplies) (replies []data.Reply, undone bool, err error) {
	if _, interactive := s.driver.(*data.Memory); !interactive {
		if d, ok := s.driver.(data.Execer); ok {
			replies, err = d.Exec(ctx, cmds...)
			return replies, false, cmp.Or(err, held.add(replies...))
		}
	}
	err = s.driver.Tx(ctx, func(tx data.Transaction) error {
		replies = replies[:0]
		held.release() // of a try before this one
		for _, cmd := range cmds {
			r, err := tx.Do(cmd)
			if err = cmp.Or(err, held.add(r)); err != nil {
				return err
			}
			if replies = append(replies, r); r.Kind == data.ErrorReply {
				return errUndo
			}
		}
		return nil
	})
	if errors.Is(err, errUndo) {
		return replies, true, nil
	}
	return replies, false, err
}

// failed returns the status for an error of the driver.
func (s *dataService) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); cause == errClosing {
			return cause
		}
		return status.FromContextError(ctx.Err()).Err()
	}
	if errors.Is(err, errReplies) {
		return err
	}
	if errors.Is(err, data.ErrConflict) {
		return status.Error(codes.Aborted, "another client has changed what the commands read")
	}
	s.server.opts.log.Warn("commands on data failed", "err", err)
	return status.Error(codes.Unavailable, "what keeps the data cannot be reached, or has failed")
}

// replyOf returns a reply as messages have it.
func replyOf(r *data.Reply) *datapb.Reply {
	switch r.Kind {
	case data.StringReply:
		return &datapb.Reply{Kind: &datapb.Reply_Text{Text: []byte(r.Str)}}
	case data.StatusReply, data.QueuedReply:
		return &datapb.Reply{Kind: &datapb.Reply_Status{Status: r.Str}}
	case data.IntReply:
		return &datapb.Reply{Kind: &datapb.Reply_Integer{Integer: r.Int}}
	case data.FloatReply:
		return &datapb.Reply{Kind: &datapb.Reply_Number{Number: r.Float}}
	case data.ErrorReply:
		return &datapb.Reply{Kind: &datapb.Reply_Error{Error: clean(r.Str, mostText)}}
	case data.ListReply:
		return &datapb.Reply{Kind: &datapb.Reply_List{List: listOf(r.List)}}
	case data.MapReply:
		return &datapb.Reply{Kind: &datapb.Reply_Map{Map: listOf(r.List)}}
	case data.SetReply:
		return &datapb.Reply{Kind: &datapb.Reply_Set{Set: listOf(r.List)}}
	}
	return &datapb.Reply{Kind: &datapb.Reply_Null{Null: true}}
}

func listOf(replies []data.Reply) *datapb.List {
	list := &datapb.List{Items: make([]*datapb.Reply, len(replies))}
	for i := range replies {
		list.Items[i] = replyOf(&replies[i])
	}
	return list
}

// checkName returns an error if a group has the name of the data.
func (s *dataService) checkName(caches map[string]door.Cache) error {
	if s != nil && caches[s.name] != nil {
		return fmt.Errorf("WithData: there is a group %q: want another name", s.name)
	}
	return nil
}
