package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/simnet"
)

// dial connects and says how it went, no later than after a minute.
func dial(n *simnet.Network, from, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.Host(from).DialContext(ctx, "tcp", address)
}

func TestListenAndDial(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		h := n.Host("10.0.0.1")
		l, err := h.Listen("10.0.0.1:8001")
		must(t, err)
		_, err = h.Listen(":8001")
		wantErr(t, err, syscall.EADDRINUSE)
		_, err = h.Listen("10.0.0.2:8001")
		wantErr(t, err, syscall.EADDRNOTAVAIL)
		_, err = h.Listen("nonsense")
		if err == nil {
			t.Error("listens at nonsense")
		}
		_, err = dial(n, "c", "10.0.0.1:8002")
		wantErr(t, err, syscall.ECONNREFUSED)
		_, err = dial(n, "c", "10.0.0.9:8001")
		wantErr(t, err, syscall.EHOSTUNREACH)
		c, err := dial(n, "10.0.0.1", "10.0.0.1:8001") // itself
		must(t, err)
		must(t, l.Close())
		fails(t, c, syscall.ECONNRESET) // never accepted
		_, err = l.Accept()
		wantErr(t, err, net.ErrClosed)
		_, err = dial(n, "c", "10.0.0.1:8001")
		wantErr(t, err, syscall.ECONNREFUSED)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = h.DialContext(ctx, "tcp", "c:1")
		wantErr(t, err, context.Canceled)
	})
}

func TestCutHoldsAndHealReleases(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		a, b := connect(t, n, "a", "b")
		send(t, a, "1")
		time.Sleep(5 * ms)
		n.Cut("a", "b") // while it is under way
		send(t, a, "2")
		send(t, b, "other way")
		must(t, a.(interface{ CloseWrite() error }).CloseWrite())
		silent(t, b, time.Hour)
		silent(t, a, time.Hour)
		_, err := dial(n, "a", b.LocalAddr().String())
		wantErr(t, err, context.DeadlineExceeded)
		start := time.Now()
		n.Heal("b", "a")
		expect(t, b, "12")
		since(t, start, 10*ms)
		fails(t, b, io.EOF)
		expect(t, a, "other way")
	})
}

func TestDialWaitsForHeal(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		_, err := n.Host("b").Listen(":1")
		must(t, err)
		time.AfterFunc(10*ms, func() { n.CutOneWay("b", "a") }) // amid the handshake
		time.AfterFunc(time.Second, func() { n.HealAll() })
		start := time.Now()
		_, err = dial(n, "a", "b:1")
		must(t, err)
		since(t, start, time.Second+20*ms)
	})
}

func TestCutOneWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetWindow(10)
		a, b := connect(t, n, "a", "b")
		n.CutOneWay("b", "a")
		send(t, a, "0123456789")
		expect(t, b, "0123456789")
		must(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		if k, err := a.Write([]byte("x")); k != 0 || err == nil {
			t.Fatal("the window moved without acknowledgements")
		}
		must(t, a.SetWriteDeadline(time.Time{}))
		send(t, b, "held")
		silent(t, a, time.Second)
		n.Heal("a", "b")
		expect(t, a, "held")
		send(t, a, "again")
		expect(t, b, "again")
	})
}

func TestPartitionAndIsolate(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		hosts := strings.Split("abcde", "")
		for _, h := range hosts {
			_, err := n.Host(h).Listen(":1")
			must(t, err)
		}
		reach := func() (s string) {
			for _, x := range hosts {
				for _, y := range hosts {
					if c, err := dial(n, x, y+":1"); err == nil {
						c.Close()
						s += x + y + " "
					}
				}
			}
			return s
		}
		n.Partition([]string{"a", "b"}, []string{"c", "d"})
		if got := reach(); got != "aa ab ae ba bb be cc cd ce dc dd de ea eb ec ed ee " {
			t.Error(got)
		}
		n.HealAll()
		n.Isolate("b")
		n.Isolate("e")
		n.Rejoin("e")
		_, err := n.Host("late").Listen(":1")
		must(t, err)
		if _, err := dial(n, "b", "late:1"); err == nil {
			t.Error("isolated, but not from a new host")
		}
		if got := reach(); got != "aa ac ad ae bb ca cc cd ce da dc dd de ea ec ed ee " {
			t.Error(got)
		}
	})
}

func TestReset(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		a, b := connect(t, n, "a", "b")
		c, d := connect(t, n, "c", "b")
		send(t, a, "arrived")
		time.Sleep(10 * ms)
		send(t, a, "lost")
		time.AfterFunc(5*ms, func() { n.Reset("b", "a") })
		start := time.Now()
		fails(t, a, syscall.ECONNRESET)
		since(t, start, 5*ms)
		expect(t, b, "arrived")
		fails(t, b, syscall.ECONNRESET)
		_, err := b.Write([]byte("x"))
		wantErr(t, err, syscall.ECONNRESET)
		send(t, c, "others live")
		expect(t, d, "others live")
	})
}

func TestAfterBytes(t *testing.T) {
	for _, size := range []int64{0, 1, 3, 4, 5, 8} {
		bubble(t, func(t *testing.T, n *simnet.Network) {
			n.SetLatency(10*ms, 10*ms)
			a, b := connect(t, n, "a", "b")
			n.CutAfter("a", "b", size)
			send(t, a, "01234567"[:4])
			send(t, a, "01234567"[4:])
			send(t, b, "back")
			expect(t, b, "01234567"[:size])
			expect(t, a, "back")
			silent(t, b, time.Second)
			n.Heal("a", "b")
			expect(t, b, "01234567"[size:])
			send(t, a, "on")
			expect(t, b, "on")

			n.ResetAfter("a", "b", size)
			if _, err := a.Write([]byte("0123456789")); err == nil {
				fails(t, a, syscall.ECONNRESET)
			} else {
				wantErr(t, err, syscall.ECONNRESET)
			}
			if size > 0 {
				expect(t, b, "01234567"[:size])
			}
			fails(t, b, syscall.ECONNRESET)
			c, d := connect(t, n, "a", "b") // once only
			send(t, c, "0123456789")
			expect(t, d, "0123456789")
		})
	}
}

func TestFreeze(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		a, b := connect(t, n, "a", "b")
		l, err := n.Host("b").Listen(":1")
		must(t, err)
		send(t, b, "sent before")
		n.Freeze("b")
		expect(t, a, "sent before")
		send(t, b, "sent after")
		send(t, a, "question")
		silent(t, b, time.Second)
		silent(t, a, time.Second)
		_, err = dial(n, "a", "b:1") // its kernel lives
		must(t, err)
		accepted := make(chan error)
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		synctest.Wait()
		select {
		case <-accepted:
			t.Fatal("a frozen host accepts")
		default:
		}
		start := time.Now()
		n.Thaw("b")
		must(t, <-accepted)
		expect(t, b, "question")
		since(t, start, 0)
		expect(t, a, "sent after")
		since(t, start, 10*ms)
	})
}

func TestCrash(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		old := n.Host("b")
		l, err := old.Listen(":1")
		must(t, err)
		waiting, err := dial(n, "a", "b:1") // nobody accepts it
		must(t, err)
		a, b := connect(t, n, "a", "b")
		send(t, b, "last words")
		n.Crash("b")
		start := time.Now()
		expect(t, a, "last words")
		fails(t, a, syscall.ECONNRESET)
		since(t, start, 10*ms)
		fails(t, waiting, syscall.ECONNRESET)
		fails(t, b, net.ErrClosed)
		_, err = l.Accept()
		wantErr(t, err, net.ErrClosed)
		_, err = dial(n, "a", "b:1")
		wantErr(t, err, syscall.ECONNREFUSED)
		if _, err = old.DialContext(context.Background(), "tcp", "a:1"); err == nil {
			t.Error("the dead dial")
		}
		_, err = n.Host("b").Listen(":1") // again
		must(t, err)
		if _, err = old.Listen(":2"); err == nil {
			t.Error("the dead listen")
		}
		_, err = dial(n, "a", "b:1")
		must(t, err)
	})
}

func TestPowerOff(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		a, _ := connect(t, n, "a", "b")
		idle, _ := connect(t, n, "a", "b")
		n.PowerOff("b")
		send(t, a, "anybody there?")
		silent(t, a, time.Minute)
		_, err := dial(n, "a", "b:1")
		wantErr(t, err, context.DeadlineExceeded)
		start := time.Now()
		_, err = n.Host("b").Listen(":1")
		must(t, err)
		fails(t, a, syscall.ECONNRESET)
		since(t, start, 20*ms)
		silent(t, idle, time.Minute)
		send(t, idle, "and you?")
		fails(t, idle, syscall.ECONNRESET)
		_, err = dial(n, "a", "b:1")
		must(t, err)
	})
}

func TestResetOverACutArrivesAfterHeal(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		a, b := connect(t, n, "a", "b")
		send(t, a, "unread")
		n.CutOneWay("b", "a")
		time.Sleep(time.Second)
		b.Close()
		silent(t, a, time.Second)
		n.Heal("a", "b")
		time.Sleep(time.Second)
		fails(t, a, io.EOF) // the end of the stream came first
		_, err := a.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
	})
}

func TestTraceStatsAndReplay(t *testing.T) {
	run := func(t *testing.T, seed uint64) (trace []string) {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(seed)
			defer n.Close()
			n.SetTrace(func(e simnet.Event) { trace = append(trace, e.String()) })
			n.SetLatency(1*ms, 9*ms)
			for i := range 5 {
				a, b := connect(t, n, "a", fmt.Sprint("b", i))
				send(t, a, "x")
				expect(t, b, "x")
				a.Close()
				if i == 2 {
					n.Reset("a", "b2")
				}
			}
			c, d := connect(t, n, "a", "b0")
			send(t, c, "12345")
			send(t, d, "1")
			if s := n.LinkStats("a", "b0"); s != (simnet.LinkStats{Dials: 2, Open: 1, Messages: 2, Bytes: 6}) {
				t.Errorf("%+v", s)
			}
			if s := n.Stats(); s != (simnet.LinkStats{Dials: 6, Open: 1, Messages: 7, Bytes: 11}) {
				t.Errorf("%+v", s)
			}
		})
		return trace
	}
	first, again, other := run(t, 7), run(t, 7), run(t, 8)
	if len(first) < 20 || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("not replayed:\n%s\n\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
	}
	if fmt.Sprint(first) == fmt.Sprint(other) {
		t.Error("the seed changes nothing")
	}
}

func TestCloseEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		_, b := connect(t, n, "a", "b")
		l, err := n.Host("c").Listen(":1")
		must(t, err)
		n.Isolate("c")
		errs := make(chan error, 4)
		go func() { _, err := b.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := b.Write(make([]byte, 1<<20)); errs <- err }()
		go func() { _, err := l.Accept(); errs <- err }()
		go func() { _, err := n.Host("a").DialContext(context.Background(), "tcp", "c:1"); errs <- err }()
		synctest.Wait()
		n.Close()
		n.Close()
		for range 4 {
			wantErr(t, <-errs, net.ErrClosed)
		}
		if _, err := n.Host("a").Listen(":2"); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestLossDelays(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLinkBetween("a", "b", simnet.Link{Loss: 0.5, RetransmitAfter: time.Second})
		a, b := connect(t, n, "a", "b")
		start := time.Now()
		for range 50 {
			send(t, a, "x")
			expect(t, b, "x")
		}
		if took := time.Since(start); took < 20*time.Second || took > 20*time.Minute {
			t.Errorf("50 segments, each lost with a probability of 1/2, took %v", took)
		}
	})
}

func TestBacklogIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		l, err := n.Host("b").Listen(":1")
		must(t, err)
		for range 4096 {
			_, err := dial(n, "a", "b:1")
			must(t, err)
		}
		_, err = dial(n, "a", "b:1")
		wantErr(t, err, context.DeadlineExceeded)
		time.AfterFunc(time.Second, func() { l.Accept() })
		start := time.Now()
		_, err = dial(n, "a", "b:1")
		must(t, err)
		since(t, start, time.Second)
	})
}

func TestNoDialOverALinkThatCutAfterStopped(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		_, err := n.Host("b").Listen(":1")
		must(t, err)
		a, _ := connect(t, n, "a", "b")
		n.CutAfter("a", "b", 1)
		send(t, a, "x")
		for _, from := range []string{"a", "b"} {
			l, err := n.Host(map[string]string{"a": "b", "b": "a"}[from]).Listen(":2")
			must(t, err)
			_, err = dial(n, from, l.Addr().String())
			wantErr(t, err, context.DeadlineExceeded)
		}
	})
}
