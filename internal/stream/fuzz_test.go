package stream

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/peer"
)

// FuzzLink has a peer say anything to a link with requests in flight. Each gets
// exactly one answer, within the detection time.
func FuzzLink(f *testing.F) {
	f.Add(frames(answerFrame(firstID, 0, reply{Value: "v"}), answerFrame(secondID, 1, reply{}), answerFrame(secondID, 0, reply{Plain: true})))
	f.Add(frames(answerFrame(secondID, 0, reply{Err: errorOf(peer.ErrNotFound, "no")}), appendEnd(nil, 0, bodyGoAway, nil)))
	f.Add(frames(appendFrame(nil, secondID+1, bodyChanged, 0), appendFrame(nil, 0, bodyPong, 0)))
	f.Fuzz(func(t *testing.T, says []byte) {
		bubble(t, func(t *testing.T) {
			cli, srv := memConns(1 << 30)
			srv.Write(appendHello(nil, generous))
			l, err := Open(t.Context(), cli, nil, peerName, Config{})
			if err != nil {
				t.Fatal(err)
			}
			var get, batch, change records
			l.Ask(&get, queryFor("g", "a"))
			l.AskBatch(&batch, 0, &peer.Query{Group: "g"}, []string{"b", "c"}, nil)
			l.askChange(&change, changeOf("d"))
			srv.Write(says)
			start := time.Now()
			go io.Copy(io.Discard, srv)
			select {
			case <-l.Done():
			case <-time.After(time.Second):
				l.Close(t.Context()) // all were answered
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
			synctest.Wait()
			get.one(t, 0)
			batch.one(t, 0)
			batch.one(t, 1)
			change.one(t, 0)
			if get.len()+batch.len()+change.len() != 4 {
				t.Error("an answer that nobody asked for")
			}
		})
	})
}

// FuzzServer has a peer ask anything of a server. It ends with the connection.
func FuzzServer(f *testing.F) {
	greet := appendHello(nil, hello{maxFrame: 1 << 20})
	f.Add(frames(greet, getFrame(1, "hit"), getFrame(2, "miss"), appendEnd(nil, 2, bodyCancel, nil)))
	f.Add(frames(greet, appendBatch(nil, 3, 13, &peer.Query{}, []string{"hit", "misses"}, nil)))
	f.Add(frames(greet, append(appendFrame(nil, 3, bodyChange, 2), "do"...), appendFrame(nil, 0, bodyPing, 0)))
	f.Add(frames(greet, append(appendFrame(nil, 3, bodyChange, len(changeOf("do"))), changeOf("do")...)))
	h := funcs{
		hit:  func(_, key string) (reply, bool) { return reply{Value: key}, len(key)%2 == 1 },
		load: hang,
		loadBatch: func(_ context.Context, _ string, keys []string, answer func(int, reply)) {
			answer(len(keys)-1, reply{})
		},
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		bubble(t, func(t *testing.T) {
			cli, srv := memConns(1 << 30)
			s := NewServer(srv, nil, h, Config{MaxLoads: 2, MaxKeys: 100})
			ran := make(chan error, 1)
			go func() { ran <- s.Run() }()
			cli.Write(says)
			synctest.Wait()
			cli.Close()
			<-ran
			if n := s.Stats().InFlight; n != 0 {
				t.Errorf("%d in flight after the end", n)
			}
		})
	})
}

// allocated returns how many bytes f allocates, in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// FuzzReadMemory checks that what is read costs a small multiple of its bytes.
func FuzzReadMemory(f *testing.F) {
	f.Add(protowire.AppendVarint(nil, 4<<20))
	f.Add(appendBatch(nil, 9, 2*DefaultMaxKeys, &peer.Query{}, make([]string, DefaultMaxKeys), nil))
	f.Add(append(appendFrame(nil, 7, bodyChange, 200<<10), make([]byte, 200<<10)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		cost := allocated(func() {
			var r reader
			cli, srv := memConns(1 << 30)
			srv.out.buf = *bytes.NewBuffer(b)
			srv.Close()
			r.init(cli, nil)
			r.maxFrame, r.maxKeys = DefaultMaxRequestBytes, DefaultMaxKeys
			for {
				fr, _, err := r.next()
				if err != nil || fr.kind != bodyGet && fr.kind != bodyBatch && fr.kind != bodyChange {
					return // or the stream ends with it
				}
			}
		})
		if most := 8*int64(len(b)) + 128<<10; cost > most {
			t.Fatalf("%d bytes cost %d, want at most %d", len(b), cost, most)
		}
	})
}
