package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
)

// EncodeChange encodes c as a pb.ChangeRequest. The error says that c is too large for a protobuf
// message.
func EncodeChange(c *Change) ([]byte, error) {
	s := &c.State
	req := &pb.ChangeRequest{
		Group: c.Group, Keys: bytesOf(c.Keys), All: c.All, Holders: c.Holders, WaitNs: int64(c.Wait), Announced: c.Announced,
		View: s.View, Leaving: s.Leaving, Offering: s.Offering, Absent: s.Absent, Process: s.Process, Turn: s.Number, Departure: s.Departure,
		Offered: bytesOf(c.Offered), Since: c.Since, Members: c.Members, Token: c.Token, Proof: c.Proof,
		Relay: c.Relay, PassOn: c.PassOn, RollView: c.Roll.View, Roll: c.Roll.Packed, Trace: []byte(c.Trace),
		WatchNs: int64(c.Watch), Watch: c.WatchID,
	}
	if c.Item != nil {
		req.Item = &pb.Item{Value: c.Item.Value, TtlNs: int64(c.Item.TTL)}
	}
	return proto.Marshal(req)
}

// DecodeChange decodes a pb.ChangeRequest. The keys and the value of the Change are in the memory
// of raw, which must not be changed any more. It takes at most 8 times the memory of raw. The error
// says what is wrong with raw.
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
		Relay: req.GetRelay(), PassOn: req.GetPassOn(), Roll: Roll{req.GetRollView(), req.GetRoll()},
		Trace: string(req.GetTrace()), Watch: time.Duration(req.GetWatchNs()), WatchID: req.GetWatch(),
	}
	if item := req.GetItem(); item != nil {
		c.Item = &Item{Value: item.GetValue(), TTL: time.Duration(item.GetTtlNs())}
	}
	return c, nil
}

// EncodeChanged encodes what a Handler has answered to a Change, and the error that it has
// answered, which may be nil, as a pb.ChangeResponse.
func EncodeChanged(r *Changed, answer error) ([]byte, error) {
	s := &r.State
	resp := &pb.ChangeResponse{
		View: s.View, Leaving: s.Leaving, Offering: s.Offering, Absent: s.Absent, Process: s.Process, Turn: s.Number, Departure: s.Departure, Began: s.Began,
		Unheard: r.Unheard, Groups: r.Groups, GroupNames: r.GroupNames, Members: r.Members, Size: uint32(r.Size),
		Changed: r.Log, SinceDeparture: r.SinceDeparture, Unbroken: r.Unbroken, Circle: r.Circle,
		Relayed: r.Relayed, Untold: r.Untold, RollView: r.Roll.View, Roll: r.Roll.Packed,
		WatchNs: int64(r.Watch), Watch: r.WatchID,
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

// DecodeChanged decodes a pb.ChangeResponse from the peer of the name from. answer is the error
// that the peer has answered, or nil: Conn.Change returns it together with r. err says that raw is
// no pb.ChangeResponse: Conn.Change wraps it in a PeerError. DecodeChanged takes at most 32 times
// the memory of raw.
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
		Log: resp.GetChanged(), SinceDeparture: resp.GetSinceDeparture(), Unbroken: resp.GetUnbroken(), Circle: resp.GetCircle(),
		Relayed: resp.GetRelayed(), Untold: resp.GetUntold(), Roll: Roll{resp.GetRollView(), resp.GetRoll()},
		Watch: time.Duration(resp.GetWatchNs()), WatchID: resp.GetWatch(),
	}
	r.Holders = slices.Grow(r.Holders, len(resp.GetPending()))
	for _, h := range resp.GetPending() {
		reason := string(h.GetReason()[:min(len(h.GetReason()), MaxReason)])
		r.Holders = append(r.Holders, Holder{h.GetPeer(), time.Duration(h.GetLeftNs()), reason})
	}
	if e := resp.GetError(); e != nil {
		answer = DecodeError(from, e)
	}
	return r, answer, nil
}

// bytesOf returns texts in the form that protobuf has for bytes.
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

// errorKinds are the errors that remain the same on the way from one peer to another (P6), with
// their names on the wire.
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

// refusals are the errors of a peer that refuses to answer: the caller may ask another peer. Only a
// *Refusal is sent as one. The error of a getter may come from another pool, and must not be taken
// for a refusal of this one.
var refusals = map[pb.Error_Kind]error{
	pb.Error_KIND_UNKNOWN_GROUP: errUnknownGroup,
	pb.Error_KIND_SHUTTING_DOWN: ErrClosed,
	pb.Error_KIND_UNAUTHORIZED:  ErrUnauthorized,
}

// errUnknownGroup says that a peer has no group of the name that was asked for.
var errUnknownGroup = errors.New("no such group")

// EncodeError encodes the error of a Handler, which is not nil.
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

// A Refusal is the error of a Handler that refuses a request. At the peer that asked, RefuseClosed,
// RefuseGroup and RefuseUnauthorized become a *PeerError, so that it asks another peer. The others
// become a *RemoteError, which is an answer.
type Refusal struct {
	kind pb.Error_Kind
	text string
}

func (r *Refusal) Error() string { return r.text }

// RefuseClosed says that the process of that name is shut down (ErrClosed).
func RefuseClosed(name string) *Refusal { return &Refusal{pb.Error_KIND_SHUTTING_DOWN, name} }

// RefuseGroup says that there is no group of that name. Its text is the name as it is: who gets it
// quotes it.
func RefuseGroup(name string) *Refusal {
	return &Refusal{pb.Error_KIND_UNKNOWN_GROUP, name[:min(len(name), MaxGroupName)]}
}

// RefuseUnauthorized says why the peer that asks may not do that (ErrUnauthorized).
func RefuseUnauthorized(text string) *Refusal {
	return &Refusal{pb.Error_KIND_UNAUTHORIZED, text[:min(len(text), MaxErrorText)]}
}

// RefuseInvalid says that a request breaks a limit or a rule of the protocol (ErrKeySize).
func RefuseInvalid(text string) *Refusal { return &Refusal{pb.Error_KIND_INVALID, text} }

// Refuse says why a request is not carried out.
func Refuse(text string) *Refusal { return &Refusal{pb.Error_KIND_UNKNOWN, text} }

// Told is an error of a Handler with a text for the peer that asks, in place of the error's own:
// see peercache.WithErrorText.
type Told struct {
	Text string
	Err  error
}

func (e *Told) Error() string { return e.Text }

// Unwrap returns the error itself, whose kind is told to the peer that asks.
func (e *Told) Unwrap() error { return e.Err }

// DecodeError decodes the error that the peer of the name from has sent. The result is a
// *RemoteError, or a *PeerError if the peer refuses to answer.
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

// Received returns the error that a caller gets if a Handler of the peer of the name from returns
// err: what DecodeError makes of EncodeError. It returns nil for nil. It is for transports that do
// not encode messages.
func Received(from string, err error) error {
	if err == nil {
		return nil
	}
	return DecodeError(from, EncodeError(err))
}
