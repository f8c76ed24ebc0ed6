package simulation

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// forger is a stranger in a simulated network, who sends requests in the names of processes.
// What he says may be anything, but he cannot receive what is sent to their addresses.
type forger struct {
	hosts int
	http  *http.Transport
}

func newForger(net *simnet.Network, hosts int) *forger {
	return &forger{hosts, net.Host("10.0.0.99").Transport()}
}

// forges adds what a stranger does to a scenario. It is drawn apart, so that a seed has the same
// scenario as without.
func (s *scenario) forges() (steps []step) {
	r := rand.New(rand.NewPCG(s.seed, 1))
	if r.IntN(3) == 0 {
		return nil // there is none
	}
	for range 5 + r.IntN(80) {
		at := s.storm + time.Duration(r.Int64N(int64(s.end-s.storm)))
		steps = append(steps, step{at: at, do: doForge, host: r.IntN(s.hosts), other: r.IntN(s.hosts), size: r.Int64()})
	}
	return steps
}

// forge sends what a step says. Who asks a process for nothing learns of its state.
func (f *forger) forge(ctx context.Context, s step) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r := rand.New(rand.NewPCG(uint64(s.size), 2))
	as := nameOf(s.other)
	said := f.send(ctx, as, as, &pb.ChangeRequest{})
	req := &pb.ChangeRequest{
		View: said.GetView(), Process: said.GetProcess(), Turn: said.GetTurn(),
		Announced: r.IntN(2) == 0, Leaving: r.IntN(3) == 0, Offering: r.IntN(3) == 0, Departure: uint64(r.IntN(3)),
	}
	switch r.IntN(4) {
	case 0:
		req.Turn = math.MaxUint64
	case 1:
		req.View, req.Turn = r.Uint64(), req.Turn+1
	case 2:
		req.Process, req.Turn = r.Uint32(), r.Uint64()
	}
	if r.IntN(3) == 0 {
		req.Absent = []string{nameOf(r.IntN(f.hosts)), nameOf(r.IntN(f.hosts))}
	}
	if r.IntN(3) == 0 {
		req.Group, req.Offered = "test", [][]byte{[]byte("k0"), []byte("k1")}
	}
	if r.IntN(3) == 0 {
		req.Token = r.Uint64()
	}
	for range 1 + r.IntN(3) {
		f.send(ctx, nameOf(s.host), as, req)
	}
}

// send sends a request, and returns the answer; nil, if there is none.
func (f *forger) send(ctx context.Context, to, as string, m *pb.ChangeRequest) *pb.ChangeResponse {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to+peercache.DefaultBasePath+"change", bytes.NewReader(body))
	if err != nil {
		return nil
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Peercache-Peer", as)
	resp, err := f.http.RoundTrip(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	said := new(pb.ChangeResponse)
	if data, err := io.ReadAll(resp.Body); err != nil || proto.Unmarshal(data, said) != nil {
		return nil
	}
	return said
}
