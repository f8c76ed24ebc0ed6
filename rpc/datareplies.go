package rpc

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/data"
)

// The replies of all calls together take up to Limits.RequestBytes, and those of one call up to this part of it.
const callReplies = 4

// errReplies is the status of a call whose replies are too large.
var errReplies = status.Error(codes.ResourceExhausted, "the replies are too large: commands up to there have happened, unless the call is atomic; ask for less at a time")

// heldReplies is the memory of the replies of a call.
type heldReplies struct {
	service *dataService
	bytes   int64
}

// add counts replies, and returns an error if there is no room for them.
func (h *heldReplies) add(replies ...data.Reply) error {
	n := int64(0)
	for i := range replies {
		n += replyBytes(&replies[i])
	}
	h.bytes += n
	most := h.service.server.opts.limits.RequestBytes
	if h.service.held.Add(n) > most || h.bytes > most/callReplies {
		return errReplies
	}
	return nil
}

// release gives all of it back.
func (h *heldReplies) release() {
	h.service.held.Add(-h.bytes)
	h.bytes = 0
}

// replyBytes returns about what a reply takes, as a message as well.
func replyBytes(r *data.Reply) int64 {
	n := int64(256 + len(r.Str))
	for i := range r.List {
		n += replyBytes(&r.List[i])
	}
	return n
}

// run runs commands one after the other. Those of a Memory end with the one whose reply finds no room.
func (s *dataService) run(ctx context.Context, cmds []data.Cmd, held *heldReplies) ([]data.Reply, error) {
	if _, ok := s.driver.(*data.Memory); !ok {
		replies, err := s.driver.Do(ctx, cmds...)
		if err == nil {
			err = held.add(replies...)
		}
		return replies, err
	}
	replies := make([]data.Reply, 0, len(cmds))
	for _, cmd := range cmds {
		r, err := s.driver.Do(ctx, cmd)
		if err == nil {
			err = held.add(r...)
		}
		if err != nil {
			return nil, err
		}
		replies = append(replies, r...)
	}
	return replies, nil
}
