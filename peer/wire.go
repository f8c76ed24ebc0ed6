package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
)

// EncodeChange returns c as a pb.ChangeRequest.
func EncodeChange(c *Change) ([]byte, error) {
	s := &c.State
	req := &pb.ChangeRequest{
		Group: c.Group, Keys: bytesOf(c.Keys), All: c.All, Holders: c.Holders, WaitNs: int64(c.Wait), Announced: c.Announced,
		View: s.View, Leaving: s.Leaving, Offering: s.Offering, Absent: s.Absent, Process: s.Process, Turn: s.Number, Departure: s.Departure,
		Offered: bytesOf(c.Offered), Since: c.Since, Members: c.Members, Token: c.Token, Proof: c.Proof,
	}
	if c.Item != nil {
		req.Item = &pb.Item{Value: c.Item.Value, TtlNs: int64(c.Item.TTL)}
	}
	return proto.Marshal(req)
}

// DecodeChange returns the Change that a pb.ChangeRequest says. Its keys and its value are in the
// memory of raw, which must not be changed. It takes at most 8 times the memory of raw, and the
// error says what is wrong with it.
func DecodeChange(raw []byte) (*Change, error) {
	req, err := decodeChange(raw)
	if err != nil {
		return nil, err
	}
	c := &Change{
		Group: req.GetGroup(), Keys: req.keys, All: req.GetAll(), Holders: req.GetHolders(), Wait: time.Duration(req.GetWaitNs()), Announced: req.GetAnnounced(),
		State: State{
			Process: req.GetProcess(), Number: req.GetTurn(), View: req.GetView(), Leaving: req.GetLeaving(), Departure: req.GetDeparture(),
			Offering: req.GetOffering(), Absent: req.GetAbsent(),
		},
		Offered: req.offered, Since: req.GetSince(), Members: req.GetMembers(), Token: req.GetToken(), Proof: req.GetProof(),
	}
	if item := req.GetItem(); item != nil {
		c.Item = &Item{Value: item.GetValue(), TTL: time.Duration(item.GetTtlNs())}
	}
	return c, nil
}

// EncodeChanged returns what a Handler has answered to a Change as a pb.ChangeResponse.
func EncodeChanged(r *Changed, answer error) ([]byte, error) {
	s := &r.State
	resp := &pb.ChangeResponse{
		View: s.View, Leaving: s.Leaving, Offering: s.Offering, Absent: s.Absent, Process: s.Process, Turn: s.Number, Departure: s.Departure, Began: s.Began,
		Unheard: r.Unheard, Groups: r.Groups, GroupNames: r.GroupNames, Members: r.Members, Size: uint32(r.Size),
		Changed: r.Log, SinceDeparture: r.SinceDeparture, Unbroken: r.Unbroken,
	}
	for _, h := range r.Holders {
		reason := h.Reason[:min(len(h.Reason), MaxReason)]
		resp.Pending = append(resp.Pending, &pb.Holder{Peer: h.Peer, LeftNs: int64(h.Left), Reason: []byte(reason)})
	}
	if answer != nil {
		resp.Error = EncodeError(answer)
	}
	return proto.Marshal(resp)
}

// DecodeChanged returns what the peer of that name has answered to a Change, and the error that
// the answer has. It takes at most 8 times the memory of raw. If raw is no pb.ChangeResponse, err
// says so.
func DecodeChanged(raw []byte, from string) (r Changed, answer, err error) {
	resp := new(pb.ChangeResponse)
	if err := decodeChanged(raw, resp); err != nil {
		return Changed{}, nil, err
	}
	r = Changed{
		State: State{
			Process: resp.GetProcess(), Number: resp.GetTurn(), View: resp.GetView(), Began: resp.GetBegan(), Leaving: resp.GetLeaving(),
			Departure: resp.GetDeparture(), Offering: resp.GetOffering(), Absent: resp.GetAbsent(),
		},
		Unheard: resp.GetUnheard(), Groups: resp.GetGroups(), GroupNames: resp.GetGroupNames(), Members: resp.GetMembers(), Size: int(resp.GetSize()),
		Log: resp.GetChanged(), SinceDeparture: resp.GetSinceDeparture(), Unbroken: resp.GetUnbroken(),
	}
	for _, h := range resp.GetPending() {
		reason := string(h.GetReason()[:min(len(h.GetReason()), MaxReason)])
		r.Holders = append(r.Holders, Holder{h.GetPeer(), time.Duration(h.GetLeftNs()), reason})
	}
	if e := resp.GetError(); e != nil {
		answer = DecodeError(from, e)
	}
	return r, answer, nil
}

// bytesOf returns texts as protobuf has them.
func bytesOf(texts []string) [][]byte {
	if len(texts) == 0 {
		return nil
	}
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}

// errorKinds pairs the errors that keep their identity on the way from one peer
// to another with their names on the wire (P6).
var errorKinds = []struct {
	err  error
	kind pb.Error_Kind
}{
	{ErrNotFound, pb.Error_KIND_NOT_FOUND},
	{ErrValueSize, pb.Error_KIND_VALUE_SIZE},
	{ErrKeySize, pb.Error_KIND_INVALID},
	{context.DeadlineExceeded, pb.Error_KIND_TIMEOUT},
	{context.Canceled, pb.Error_KIND_CANCELED},
	{ErrNotCached, pb.Error_KIND_NOT_CACHED},
}

// refusals are the errors of a peer that has not answered: another may. They are
// apart, so that a getter's error, which may come from a pool of its own, never
// reads as one.
var refusals = map[pb.Error_Kind]error{
	pb.Error_KIND_UNKNOWN_GROUP: errUnknownGroup,
	pb.Error_KIND_SHUTTING_DOWN: ErrClosed,
}

// errUnknownGroup says that a peer has no group of the name that was asked for.
var errUnknownGroup = errors.New("no such group")

// EncodeError puts the error of a Handler into the form that it has on the wire.
func EncodeError(err error) *pb.Error {
	if r, ok := err.(*Refusal); ok { // not one that a getter wraps
		return &pb.Error{Kind: r.kind, Message: []byte(r.text)}
	}
	// Not err.Error(): that of a nil pointer may panic, and fmt knows.
	text := fmt.Sprint(err)
	e := &pb.Error{Message: []byte(text[:min(len(text), MaxErrorText)])}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// A Refusal is the error of a Handler that does not answer a request: another peer may.
type Refusal struct {
	kind pb.Error_Kind
	text string
}

func (r *Refusal) Error() string { return r.text }

// RefuseClosed says that the process of that name is leaving.
func RefuseClosed(name string) *Refusal { return &Refusal{pb.Error_KIND_SHUTTING_DOWN, name} }

// RefuseGroup says that there is no group of that name. Its text is the name as it is: who gets it
// quotes it.
func RefuseGroup(name string) *Refusal {
	return &Refusal{pb.Error_KIND_UNKNOWN_GROUP, name[:min(len(name), MaxGroupName)]}
}

// RefuseInvalid says that a request breaks a limit or a rule of the protocol.
func RefuseInvalid(text string) *Refusal { return &Refusal{pb.Error_KIND_INVALID, text} }

// Refuse says why a request is not obeyed.
func Refuse(text string) *Refusal { return &Refusal{pb.Error_KIND_UNKNOWN, text} }

// Told is an error of which the one who asks is told another text.
type Told struct {
	Text string
	Err  error
}

func (e *Told) Error() string { return e.Text }

// Unwrap returns the error, of which the kind is told.
func (e *Told) Unwrap() error { return e.Err }

// DecodeError returns the error that the peer of that name sent.
func DecodeError(from string, e *pb.Error) error {
	text := string(e.GetMessage()[:min(len(e.GetMessage()), MaxErrorText)])
	if refusal := refusals[e.GetKind()]; refusal != nil {
		return &PeerError{Peer: from, Err: fmt.Errorf("%w: %s", refusal, quote.Text(text))}
	}
	remote := &RemoteError{Peer: from, Message: text}
	for _, k := range errorKinds {
		if e.GetKind() == k.kind {
			remote.kind = k.err
		}
	}
	return remote
}

// Received returns what the one who asks gets of an error of a Handler of the peer of that name: what
// DecodeError makes of EncodeError.
func Received(from string, err error) error {
	if err == nil {
		return nil
	}
	return DecodeError(from, EncodeError(err))
}
