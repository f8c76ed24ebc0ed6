package engine

import (
	"slices"
	"sync"
	"sync/atomic"
)

// hooks are those who are told of something. The list is never changed in its place; nil: there are none, and nothing has to be noted for
// them.
type hooks[T any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*T]
}

// add adds one, until stop is called.
func (h *hooks[T]) add(hook *T) (stop func()) {
	h.change(func(list []*T) []*T { return append(list, hook) })
	return func() {
		h.change(func(list []*T) []*T { return slices.DeleteFunc(list, func(o *T) bool { return o == hook }) })
	}
}

func (h *hooks[T]) change(how func(list []*T) []*T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if list := how(slices.Clone(h.all())); len(list) == 0 {
		h.list.Store(nil)
	} else {
		h.list.Store(&list)
	}
}

// all returns all of them.
func (h *hooks[T]) all() []*T {
	if list := h.list.Load(); list != nil {
		return *list
	}
	return nil
}

// any reports whether there are any.
func (h *hooks[T]) any() bool { return h.list.Load() != nil }
