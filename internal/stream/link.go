package stream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/peer"
)

// Link is the asking side of a stream. Its methods may be called concurrently.
type Link struct {
	cfg  Config
	name string // the peer's
	nc   net.Conn
	r    reader // of the reading goroutine
	// block has room for values of batches. It is of the reading goroutine.
	block block
	w     writer
	done  chan struct{} // closed when the link has ended; err is set, and all Waiters have their answers, before

	running sync.WaitGroup // the goroutines that read and write
	waiters sync.Pool      // of *waiter, that are in no use

	mu       sync.Mutex
	pending  pending // guarded by mu
	draining error   // guarded by mu; not nil: no new requests, and why
	err      error   // guarded by mu; not nil: the link has ended, and why
	watch    watch   // guarded by mu
	onEnd    func()  // guarded by mu; see AfterEnd; may be nil
	stats    Stats   // guarded by mu, but for its bytes
}

// Open begins a stream on a connection to the peer of that name, as the side that asks. br
// holds what was read of nc before, such as the answer to an upgrade, and may be nil. Open
// waits for the peer's hello as long as ctx lasts. If it fails, nc is closed.
func Open(ctx context.Context, nc net.Conn, br *bufio.Reader, name string, cfg Config) (*Link, error) {
	l := &Link{cfg: cfg.withDefaults(), name: name, nc: nc, done: make(chan struct{})}
	l.pending.every = l.cfg.Detect / detectTicks
	l.r.init(nc, br)
	l.r.answers = true
	l.w.init(nc, l.cfg.MaxRequestBytes)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	err := l.greet()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("stream: no hello from the peer: %w", ctx.Err())
		}
		return nil, err
	}
	l.mu.Lock()
	l.watchIdle()
	l.mu.Unlock()
	l.running.Go(l.read)
	l.running.Go(func() {
		if err := l.w.run(l.done); err != nil {
			l.fail(err)
		}
	})
	return l, nil
}

// greet exchanges hellos.
func (l *Link) greet() error {
	l.w.next.buf = appendHello(nil, hello{maxFrame: uint64(l.cfg.LargeValue + besideValue)})
	if _, err := l.w.flush(); err != nil {
		return err
	}
	h, err := l.r.hello()
	if err != nil {
		return err
	}
	if h.maxRequests == 0 || h.maxKeys == 0 {
		return protocolError("a hello that allows no request")
	}
	// This side's own bounds hold too, and are its guard against a peer that says
	// it takes anything.
	own := uint64(l.cfg.MaxRequestBytes)
	h.maxRequests = min(h.maxRequests, uint64(l.cfg.MaxRequests))
	h.maxKeys = min(h.maxKeys, uint64(l.cfg.MaxKeys))
	h.maxFrame = min(h.maxFrame-1, own-1) + 1 // 0 is no limit
	h.maxRequestBytes = min(h.maxRequestBytes-1, own-1) + 1
	l.pending.limit = h
	l.r.maxFrame = l.cfg.LargeValue + besideValue
	return nil
}

// Ask asks for the value of a key and returns. w gets exactly one answer, unless there is an
// error: ErrFull, ErrTooLarge and ErrInvalid, or why the link takes no requests.
//
// With the answer, w gets the error that the peer answered, or peer.ErrLarge if the value takes
// the plain way; a *peer.UnansweredError if there was no answer within the Timeout of q; a
// *peer.PeerError with the failure of the link if it failed before there was an answer.
//
// w is called by the goroutine that reads the connection, or by one that watches or ends it. It
// must not block, nor ask anything of the Link but Cancel, Stats and new requests. The Value that
// it gets is its own. That of a batch may share a piece of memory of at most 16 KiB with others.
func (l *Link) Ask(w peer.Waiter, q *peer.Query) (ID, error) {
	if !utf8.ValidString(q.Group) {
		return 0, ErrInvalid
	}
	size := sizeGet(q)
	id, alone, err := l.add(slot{kind: bodyGet, waiter: w, keys: 1, awaited: 1, timeout: q.Timeout}, size)
	if err != nil {
		return 0, err
	}
	l.w.mu.Lock()
	if l.w.err == nil {
		l.w.next.buf = appendGet(l.w.next.buf, id, size, q)
	}
	if !alone || size > smallRequest {
		l.w.unlockSignal()
		return id, nil
	}
	l.w.mu.Unlock()
	if more, err := l.w.flush(); more || err != nil {
		l.w.signal() // run goes on, or fails the link
	}
	return id, nil
}

// smallRequest is the size of a request, in bytes, up to which the caller writes it
// where nothing else is in flight. That saves waking the goroutine that writes, and
// cannot block: the peer has answered, and so read, all that was written before, so
// that the connection's buffers are empty.
const smallRequest = 2 << 10

// batchBytes is how large the frame of a batch is made, in bytes, so that the peer
// can decode it where it was read to.
const batchBytes = 48 << 10

// AskBatch asks for the values of as many of the first keys as go into one
// request, and returns how many that are: at least one, if there is no error. digests are
// those of the keys, or nil. q is what is asked for each of the keys; its Key, Digest and
// CachedOnly are not sent. w gets an answer for each of the keys, as from Ask, with base added
// to its index.
func (l *Link) AskBatch(w peer.Waiter, base int, q *peer.Query, keys, digests []string) (id ID, n int, err error) {
	if len(keys) == 0 || digests != nil && len(digests) < len(keys) || !utf8.ValidString(q.Group) {
		return 0, 0, ErrInvalid
	}
	n, size := l.batchSize(q, keys, digests)
	s := slot{kind: bodyBatch, waiter: w, base: base, keys: n, awaited: n, timeout: q.Timeout}
	if n > 1 {
		s.answered = make([]uint64, (n+63)/64)
	}
	place, _, err := l.add(s, size)
	if err != nil {
		return 0, 0, err
	}
	l.w.put(func(b []byte) []byte { return appendBatch(b, place, size, q, keys[:n], digests) })
	return place, n, nil
}

// askChange sends a pb.ChangeRequest. w gets one answer, whose Value is the pb.ChangeResponse.
func (l *Link) askChange(w peer.Waiter, request []byte) (ID, error) {
	id, _, err := l.add(slot{kind: bodyChange, waiter: w, keys: 1, awaited: 1}, len(request))
	if err != nil {
		return 0, err
	}
	l.w.put(func(b []byte) []byte { return append(appendFrame(b, id, bodyChange, len(request)), request...) })
	return id, nil
}

// batchSize returns how many of the keys go into one batch, and the size of its body.
func (l *Link) batchSize(q *peer.Query, keys, digests []string) (n, size int) {
	size = sizeUint(uint64(q.Lease)) + sizeUint(uint64(q.Nested)) + sizeCarried(q)
	if q.Group != "" {
		size += sizeBytes(len(q.Group))
	}
	for n < len(keys) && uint64(n) < l.pending.limit.maxKeys {
		s := sizeBytes(len(keys[n]))
		if digests != nil {
			s += sizeBytes(len(digests[n]))
		}
		if n > 0 && size+s > batchBytes {
			break
		}
		n, size = n+1, size+s
	}
	return n, size
}

// add adds a request whose body has size bytes to those in flight, and returns what
// pending.add does.
func (l *Link) add(s slot, size int) (id uint64, alone bool, err error) {
	s.start = time.Since(l.r.src.start)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, false, l.err
	}
	if l.draining != nil {
		return 0, false, l.draining
	}
	if id, alone, err = l.pending.add(s, size); err == nil {
		l.stats.asked(s.kind, s.keys)
		if !l.watch.fast {
			l.watchFast()
		}
	}
	return id, alone, err
}

// Cancel withdraws a request, and reports whether it was still in flight. If so,
// its Waiter gets no more answers, but for one of a batch that is just being handed
// to it. If not, it got its last one, or is just getting it.
func (l *Link) Cancel(id uint64) bool {
	l.mu.Lock()
	s := l.pending.find(id)
	if s == nil || s.waiter == nil {
		l.mu.Unlock()
		return false
	}
	s.waiter = nil
	l.stats.Canceled++
	l.mu.Unlock()
	l.w.put(func(b []byte) []byte { return appendEnd(b, id, bodyCancel, nil) })
	return true
}

// HasRoom reports whether there is room for one more request.
func (l *Link) HasRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending.hasRoom()
}

// Room returns when there is room for one more request, which somebody else may
// take, or with the error of ctx, or with why the link takes no requests.
func (l *Link) Room(ctx context.Context) error {
	l.mu.Lock()
	if l.err != nil || l.draining != nil || l.pending.hasRoom() {
		l.mu.Unlock()
		return l.Err()
	}
	turn := make(chan struct{})
	place := l.pending.waiting.PushBack(turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return l.Err()
	case <-l.done:
		return l.Err()
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // and it is not used
		l.pending.wakeOne()
	default:
		l.pending.waiting.Remove(place)
	}
	return ctx.Err()
}

// read reads answers until the link ends.
func (l *Link) read() {
	var err error
	for err == nil {
		var f *frame
		if f, _, err = l.r.next(); err == nil {
			err = l.handle(f)
		}
	}
	if err == io.EOF {
		err = ErrHungUp
	}
	l.fail(err)
}

// handle does what a frame says.
func (l *Link) handle(f *frame) error {
	switch f.kind {
	case bodyAnswer, bodyChanged:
		return l.answer(f)
	case bodyPong:
		l.answeredPing()
		return nil
	case bodyNone:
		return nil
	case bodyGoAway:
		if f.err != nil {
			return goAwayError(f.err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.drain(ErrGoAway)
	}
	return protocolError("a frame that only the asking side sends")
}

// answer hands the answer in a frame to its Waiter.
func (l *Link) answer(f *frame) error {
	l.mu.Lock()
	s := l.pending.find(f.id)
	if s == nil || (f.kind == bodyChanged) != (s.kind == bodyChange) {
		l.mu.Unlock()
		return protocolError("an answer to no request (id %d)", f.id)
	}
	w, index, start := s.waiter, s.base+int(f.index), s.start
	together := 0
	if s.keys > 1 {
		together = s.awaited // with this one
	}
	if !l.pending.answer(s, f.index) {
		l.mu.Unlock()
		return protocolError("an answer to no key of a request (id %d, index %d)", f.id, f.index)
	}
	l.stats.Latency.Observe(l.r.src.now - start)
	var err error
	idle := l.pending.open == 0
	if idle && l.draining != nil {
		err = l.draining // it was the last
	}
	l.mu.Unlock()
	if w != nil {
		if !f.owned {
			f.value = l.block.own(f.value, together)
		}
		a, answer := l.decode(f)
		w.Answer(index, a, answer)
	}
	if idle {
		l.block = nil
	}
	return err
}

// block is memory for values that come together. What is left of it is its capacity.
type block []byte

const (
	// blockBytes is the most that values which come together share, in bytes: what a holder of one
	// of them may keep others from being freed.
	blockBytes = 16 << 10
	// blockShare is how large a value may be to share memory. An allocation costs little beside
	// the copy of a larger one.
	blockShare = blockBytes / 4
)

// own returns a copy of value. It is one of so many that come together, and are of about the same
// size; zero says that it comes alone.
func (b *block) own(value []byte, together int) []byte {
	n := len(value)
	if n == 0 {
		return nil
	}
	if n > blockShare || together == 0 {
		return append([]byte(nil), value...)
	}
	if cap(*b)-len(*b) < n {
		*b = make([]byte, 0, min(blockBytes, together*n))
	}
	from := len(*b)
	*b = append(*b, value...)
	return (*b)[from:len(*b):len(*b)]
}

// decode returns the answer in a frame.
func (l *Link) decode(f *frame) (peer.Answer, error) {
	switch {
	case f.kind == bodyChanged:
		return peer.Answer{Item: peer.Item{Value: bytes.Clone(f.message)}}, nil
	case f.plain:
		return peer.Answer{}, peer.ErrLarge
	}
	a := peer.Answer{Item: peer.Item{TTL: f.ttl}, Noted: f.noted, Unchanged: f.unchanged}
	if f.err != nil {
		return a, peer.DecodeError(l.name, f.err)
	}
	a.Value = f.value
	return a, nil
}
