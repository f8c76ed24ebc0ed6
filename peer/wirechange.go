package peer

import (
	"time"

	"google.golang.org/protobuf/proto"

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
