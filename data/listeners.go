package data

import (
	"sync"
	"sync/atomic"
)

// listeners are those of a Memory.
type listeners struct {
	mu      sync.Mutex
	all     map[*Listener]struct{}
	closed  bool
	tooSlow atomic.Int64 // how many were ended because they did not receive
}

func (s *listeners) add(l *Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.all == nil {
		s.all = make(map[*Listener]struct{})
	}
	s.all[l] = struct{}{}
	return true
}

func (s *listeners) remove(l *Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, l)
}

// close ends all.
func (s *listeners) close() {
	s.mu.Lock()
	all := s.all
	s.all, s.closed = nil, true
	s.mu.Unlock()
	for l := range all {
		l.stop(nil)
	}
}
