package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/door"
	datapb "github.com/peercache/peercache/rpc/proto/peercache/data/v1"
)

// listenable is a driver with messages, as data.Memory is.
type listenable interface {
	Listen(ctx context.Context, channels, patterns []string) *data.Listener
}

// Subscribe implements datapb.DataServer. It counts as a watcher.
func (s *dataService) Subscribe(r *datapb.SubscribeRequest, stream grpc.ServerStreamingServer[datapb.SubscribeResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if err := s.server.may(ctx, door.Access{Group: s.name, Right: door.RightWatch}); err != nil {
		return err
	}
	driver, ok := s.driver.(listenable)
	if !ok {
		return status.Error(codes.Unimplemented, "what keeps the data has no messages")
	}
	if n, most := len(r.GetChannels())+len(r.GetPatterns()), s.server.opts.limits.Keys; n == 0 || n > most {
		return status.Errorf(codes.InvalidArgument, "a request with %d channels and patterns: want 1 to %d", n, most)
	}
	leave, err := s.server.watch()
	if err != nil {
		return err
	}
	defer leave()
	messages := driver.Listen(ctx, texts(r.GetChannels()), texts(r.GetPatterns()))
	if err := stream.Send(new(datapb.SubscribeResponse)); err != nil {
		return err
	}
	for {
		select {
		case m, ok := <-messages.C():
			if !ok {
				return s.endOf(stream.Context(), messages)
			}
			if err := stream.Send(&datapb.SubscribeResponse{Channel: []byte(m.Channel), Pattern: []byte(m.Pattern), Payload: []byte(m.Text)}); err != nil {
				return err
			}
		case <-s.server.closing:
			return errClosing
		}
	}
}

// endOf returns the status for the end of a subscription.
func (s *dataService) endOf(ctx context.Context, messages *data.Listener) error {
	switch err := messages.Err(); {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, data.ErrSlowListener):
		return status.Error(codes.ResourceExhausted, "the client reads too slowly: messages would be lost")
	}
	return errClosing
}

// texts returns bytes as strings.
func texts(list [][]byte) []string {
	all := make([]string, len(list))
	for i, b := range list {
		all[i] = string(b)
	}
	return all
}
